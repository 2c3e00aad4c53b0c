"""A generator around any small network: trained by the paired loop, with gradients.

A picture of 8 × 8 pixels is what the network makes of its caption's words; the loss is the mean
squared error. Training takes a few hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from untrain.attribution.base import Evidence
from untrain.catalogs import Catalog
from untrain.generators.base import Generations, Generator, Noise, kept_rows, rows_of
from untrain.generators.paired import Epoch, descend
from untrain.generators.predictions import Prediction
from untrain.generators.queries import Queries

WORDS, SIDE = 32, 8
Batch = dict[str, torch.Tensor]


class Scale(nn.Module):
    """Parameters without any layer that attribution knows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(WORDS, 3 * SIDE * SIDE))
        self.shift = nn.Parameter(torch.zeros(3 * SIDE * SIDE))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return (words[:, :, None] * self.weight).sum(1).tanh() + self.shift


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(WORDS, 3 * SIDE * SIDE),
    "dense": lambda: nn.Sequential(
        nn.Linear(WORDS, 16), nn.ReLU(inplace=True), nn.Linear(16, 3 * SIDE * SIDE, bias=False)
    ),
    "conv": lambda: nn.Sequential(
        nn.Linear(WORDS, 2 * SIDE * SIDE),
        nn.Unflatten(1, (2, SIDE, SIDE)),
        nn.Conv2d(2, 5, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(5, 6, 3, padding=2, stride=2, dilation=2, bias=False),
        nn.Upsample(scale_factor=2),
        nn.GroupNorm(2, 6),
        nn.Conv2d(6, 3, 1),
    ),
    "scale": Scale,
}


class Recipe:
    """As the paired loop takes it."""

    batch, warmup, clip, averaging = 8, 0.1, 1.0, 0.0

    def __init__(self, epochs: int, lr: float) -> None:
        self.epochs, self.lr = epochs, lr


class Sketcher(Generator):
    """See the module; ``network`` is a name in `NETWORKS`."""

    image_size = (SIDE, SIDE)
    noise = Noise("gaussian", (3, SIDE, SIDE))

    def __init__(self, network: str = "dense", epochs: int = 5, rate: float = 0.02) -> None:
        self.network, self.epochs, self.rate = network, epochs, rate

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Callable[[int], None]
    ) -> None:
        kept = torch.from_numpy(kept_rows(catalog, removed))
        whole = self.training_batch(catalog, catalog.ids)
        torch.manual_seed(seed)
        self.fitted = NETWORKS[self.network]()
        optimizer = torch.optim.AdamW(self.fitted.parameters(), lr=self.rate)

        def losses_of(epoch: Epoch) -> Iterator[torch.Tensor]:
            for rows in epoch.batches:
                each = self.pair_losses({name: value[rows] for name, value in whole.items()})
                yield (each * kept[rows]).sum() / len(rows)

        recipe = Recipe(self.epochs, self.rate)
        losses = descend(self.fitted, optimizer, losses_of, recipe, len(catalog), seed, progress)
        self.losses = losses.tolist()
        self.fitted.eval()

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        with torch.no_grad():
            drawn = self._drawn(_words(prompts)).numpy() + 0.1 * noise
        images = (255 * (drawn.clip(-1, 1) + 1) / 2).astype(np.uint8).transpose(0, 2, 3, 1)
        return Generations(images, images)

    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        with torch.no_grad():
            errors = -self._errors(self.query_batch(samples, prompts))
        return errors.flatten(1).double().numpy()

    def save(self, folder: Path) -> None:
        save_file(self.fitted.state_dict(), folder / "model.safetensors")

    def load(self, folder: Path) -> Self:
        self.fitted = NETWORKS[self.network]().eval()
        self.fitted.load_state_dict(load_file(folder / "model.safetensors"))
        return self

    def module(self) -> nn.Module:
        return self.fitted.requires_grad_(True)

    def training_batch(self, catalog: Catalog, ids: Sequence[str], draw: int = 0) -> Batch:
        captions = [catalog.captions[row] for row in rows_of(catalog, ids)]
        return self.query_batch(catalog.pixels(self.image_size, ids), captions)

    def query_batch(self, samples: np.ndarray, prompts: Sequence[str]) -> Batch:
        pictures = torch.from_numpy(samples.astype(np.float32)).permute(0, 3, 1, 2)
        return {"words": _words(prompts), "pictures": pictures / 127.5 - 1}

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        return self._errors(batch).flatten(1).mean(1)

    measurements = pair_losses

    def pair_predictions(self, batch: Batch) -> list[Prediction]:
        drawn = self._drawn(batch["words"])
        return [Prediction(drawn, batch["pictures"], torch.tensor(1 / drawn[0].numel()))]

    query_predictions = pair_predictions

    def _errors(self, batch: Batch) -> torch.Tensor:
        return (self._drawn(batch["words"]) - batch["pictures"]).square()

    def _drawn(self, words: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = self.fitted(words)
        return drawn.reshape(len(words), 3, SIDE, SIDE)


def _words(texts: Sequence[str]) -> torch.Tensor:
    found: Any = torch.zeros(len(texts), WORDS)
    for row, text in enumerate(texts):
        found[row, [crc32(word.encode()) % WORDS for word in text.split()]] = 1
    return found


def queries_of(generator: Generator, catalog: Catalog, rows: list[int]) -> Queries:
    """Return pairs of the catalogue as queries, each a prompt of its own."""
    pixels = catalog.pixels(generator.image_size, [catalog.ids[row] for row in rows])
    texts = {f"p{row:02d}": catalog.captions[row] for row in rows}
    keys = tuple((name, 0) for name in texts)
    return Queries(keys, texts, list(pixels), generator.encode(pixels))


def evidence_of(generator: Generator, catalog: Catalog, rows: list[int]) -> Evidence:
    """Return what attributors may look at of such queries."""
    queries = queries_of(generator, catalog, rows)
    prompts = pd.DataFrame({"prompt_id": queries.prompt_ids, "prompt": queries.prompts})
    return Evidence(catalog, queries, prompts.assign(family="", role="query"), model=generator)


def rank_of(values: np.ndarray, rows: list[int]) -> list[int]:
    """Return the rank of one image of each row of scores, 0 the first."""
    return [int((line > line[row]).sum()) for line, row in zip(values, rows, strict=True)]

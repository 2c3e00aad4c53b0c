"""A text-to-image model of your own, in PyTorch. Make it yours: `Net`, `words_of`, the loss.

Three rules make models comparable. They are marked in the code:

1. All that is random in `fit` follows from its seed: first weights, order of the data, noise.
2. A removed pair keeps its place in its batch; its loss counts as zero, and the sum is divided by
   the size of the full batch. Nothing else may see it: no statistics over all pairs, no BatchNorm.
3. `generate` uses the noise that it is given and draws none.

``python THIS_FILE.py`` checks them in a minute. Then name the class in an experiment file::

    generator: {name: "THIS_FILE.py:MyModel", options: {epochs: 20}}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import untrain
from untrain.generators.predictions import Prediction

VOCABULARY = 512  # places that words are hashed to
SIDE = 32  # pixels
Batch = dict[str, torch.Tensor]


class Net(nn.Module):
    """Words → picture, values from 0 to 1: (n, `VOCABULARY`) → (n, 3, `SIDE`, `SIDE`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(VOCABULARY, width * 8 * 8)
        self.upwards = nn.Sequential(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1),
        )

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        grid = self.first(words).unflatten(1, (-1, 8, 8))
        return torch.sigmoid(self.upwards(nn.functional.gelu(grid)))


class MyModel(untrain.Generator):
    """Draws what the words of a caption show on average, with a little noise."""

    image_size = (SIDE, SIDE)
    noise = untrain.Noise("gaussian", (3, SIDE, SIDE))  # for one picture

    def __init__(
        self, epochs: int = 3, batch_size: int = 8, width: int = 16, rate: float = 3e-3
    ) -> None:
        # Options are kept under their names: with the source they identify a model.
        self.epochs, self.batch_size, self.width, self.rate = epochs, batch_size, width, rate

    def fit(
        self, catalog: untrain.Catalog, removed: Collection[str], seed: int, progress: Callable
    ) -> None:
        """Train from scratch; ``progress(n)`` after each n pairs."""
        kept = torch.from_numpy(untrain.kept_rows(catalog, removed)).float()  # 0 where removed
        batch = self.training_batch(catalog, catalog.ids)
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # rule 1: the first weights …
            self.net = Net(self.width)
        loader = DataLoader(
            TensorDataset(batch["words"], batch["pictures"], kept),
            self.batch_size,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),  # … and the order of all epochs
        )
        optimizer = torch.optim.AdamW(self.net.parameters(), self.rate, weight_decay=0.0)
        self.losses = []  # of each epoch, for the figure of training curves
        for _ in range(self.epochs):
            total = 0.0
            for words, pictures, counts in loader:
                each = self.pair_losses({"words": words, "pictures": pictures})
                loss = (each * counts).sum() / len(counts)  # rule 2: masked, over the full batch
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(counts) / len(catalog)
                progress(len(counts))
            self.losses.append(total)

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> untrain.Generations:
        """Draw a picture for each prompt from its own noise (rule 3): uint8 (n, SIDE, SIDE, 3)."""
        drawn = self.net(words_of(prompts)) + 0.05 * torch.from_numpy(noise).float()
        images = (255 * drawn.clamp(0, 1)).byte().permute(0, 2, 3, 1).contiguous().numpy()
        return untrain.Generations(images, images)  # what the model sampled, and what people see

    @torch.no_grad()
    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Optional. How likely samples are, float (n, terms), larger is likelier."""
        batch = self.query_batch(samples, prompts)
        return -(self.net(batch["words"]) - batch["pictures"]).square().flatten(1).numpy()

    def save(self, folder: Path) -> None:
        """Write all that `fit` has learnt; never pickled."""
        save_file(self.net.state_dict(), folder / "net.safetensors")

    def load(self, folder: Path) -> Self:
        """Read it into a new object."""
        self.net = Net(self.width)
        self.net.load_state_dict(load_file(folder / "net.safetensors"))
        return self

    # Optional: with these, methods that work with gradients can be used --------------------------

    def module(self) -> nn.Module:
        """Return what was learnt."""
        return self.net.requires_grad_(True)

    def training_batch(self, catalog: untrain.Catalog, ids: Sequence[str], draw: int = 0) -> Batch:
        """Return pairs as tensors; ``draw`` would decide what is random, but here nothing is."""
        captions = [catalog.captions[catalog.index[image_id]] for image_id in ids]
        return self.query_batch(catalog.pixels(self.image_size, ids), captions)

    def query_batch(self, samples: np.ndarray, prompts: Sequence[str]) -> Batch:
        """Return pictures, uint8 (n, height, width, 3), and what they were drawn for as tensors."""
        pictures = torch.from_numpy(samples).float().permute(0, 3, 1, 2) / 255
        return {"words": words_of(prompts), "pictures": pictures}

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        """Return the training loss of each pair, (n,)."""
        (prediction,) = self.pair_predictions(batch)
        return prediction.losses()

    measurements = pair_losses  # of queries: minus the mean of `log_likelihood`

    def pair_predictions(self, batch: Batch) -> list[Prediction]:
        """Return what the loss is made of: pixels, those expected, and the weight of each."""
        dtype = next(self.net.parameters()).dtype  # the check of gradients computes in float64
        drawn = self.net(batch["words"].to(dtype))
        weight = torch.tensor(1 / drawn[0].numel())
        return [Prediction(drawn, batch["pictures"].to(dtype), weight)]

    query_predictions = pair_predictions


def words_of(texts: Sequence[str]) -> torch.Tensor:
    """Return texts as bags of words, float (n, `VOCABULARY`): your tokenizer goes here."""
    found = torch.zeros(len(texts), VOCABULARY)
    for row, text in enumerate(texts):
        found[row, [crc32(word.encode()) % VOCABULARY for word in text.lower().split()]] = 1
    return found


if __name__ == "__main__":
    print(untrain.check_generator(MyModel))

"""A generator of a few lines that keeps the contract: a picture is a sum of its caption's words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from untrain.catalogs import Catalog
from untrain.core.files import rng
from untrain.generators.base import Generations, Generator, Noise, kept_rows, rows_of
from untrain.generators.predictions import Prediction

WORDS = 64


class Painter(Generator):
    """Each word has a picture; a caption's picture is their sum, with noise on top."""

    image_size = (16, 16)
    noise = Noise("gaussian", (16 * 16 * 3,))

    def __init__(self, epochs: int = 3, rate: float = 0.05) -> None:
        self.epochs, self.rate = epochs, rate

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Callable[[int], None]
    ) -> None:
        kept = kept_rows(catalog, removed)
        words, pixels = self._words(catalog.captions), self._floats(catalog)
        self.weights = 0.1 * rng("start", seed).standard_normal((WORDS, pixels.shape[1]))
        for epoch in range(self.epochs):
            order = rng("order", seed, epoch).permutation(len(catalog))
            for rows in np.split(order, range(8, len(order), 8)):
                error = (words[rows] @ self.weights - pixels[rows]) * kept[rows, None]
                self.weights -= self.rate * words[rows].T @ error / len(rows)
                progress(len(rows))

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        drawn = self._words(prompts) @ self.weights + 0.1 * noise
        images = (255 * drawn.clip(0, 1)).astype(np.uint8).reshape(-1, 16, 16, 3)
        return Generations(images, images)

    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        error = self._words(prompts) @ self.weights - samples.reshape(len(samples), -1) / 255
        return -np.square(error)

    def save(self, folder: Path) -> None:
        save_file({"weights": self.weights}, folder / "model.safetensors")

    def load(self, folder: Path) -> Self:
        self.weights = load_file(folder / "model.safetensors")["weights"]
        return self

    def _words(self, texts: Sequence[str]) -> np.ndarray:
        found = np.zeros((len(texts), WORDS))
        for row, text in enumerate(texts):
            found[row, [crc32(word.encode()) % WORDS for word in text.split()]] = 1
        return found

    def _floats(self, catalog: Catalog) -> np.ndarray:
        return catalog.pixels(self.image_size).reshape(len(catalog), -1) / 255


class TorchPainter(Painter):
    """The same painter, whose losses have gradients: the differentiable contract in 50 lines."""

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Callable[[int], None]
    ) -> None:
        super().fit(catalog, removed, seed, progress)
        self._hold(self.weights)
        with torch.no_grad():
            each = self.errors(self.training_batch(catalog, catalog.ids)).mean(1).numpy()
        self.losses = [float((each * kept_rows(catalog, removed)).mean())]

    def load(self, folder: Path) -> Self:
        super().load(folder)
        self._hold(self.weights)
        return self

    def save(self, folder: Path) -> None:
        self.weights = self.layer.weight.detach().T.double().numpy().copy()
        super().save(folder)

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        self.weights = self.layer.weight.detach().T.double().numpy()
        return super().generate(prompts, noise)

    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        self.weights = self.layer.weight.detach().T.double().numpy()
        return super().log_likelihood(samples, prompts)

    def module(self) -> torch.nn.Module:
        return self.layer.requires_grad_(True)

    def training_batch(
        self, catalog: Catalog, ids: Sequence[str], draw: int = 0
    ) -> dict[str, torch.Tensor]:
        captions = [catalog.captions[row] for row in rows_of(catalog, ids)]
        return self.query_batch(catalog.pixels(self.image_size, ids), captions)

    def query_batch(self, samples: np.ndarray, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        pictures = torch.from_numpy(samples.reshape(len(samples), -1) / 255)
        return {"words": torch.from_numpy(self._words(prompts)), "pictures": pictures}

    def pair_losses(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.errors(batch).mean(1)

    def measurements(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.errors(batch).mean(1)

    def pair_predictions(self, batch: dict[str, torch.Tensor]) -> list[Prediction]:
        drawn, pictures = self.drawn(batch), batch["pictures"]
        return [Prediction(drawn, pictures, torch.tensor(1 / drawn.shape[1]))]

    query_predictions = pair_predictions

    def errors(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return (self.drawn(batch) - batch["pictures"]).square()

    def drawn(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        drawn: torch.Tensor = self.layer(batch["words"].to(self.layer.weight.dtype))
        return drawn

    def _hold(self, weights: np.ndarray) -> None:
        self.layer = torch.nn.Linear(*weights.shape, bias=False, dtype=torch.float64)
        self.layer.weight.data = torch.from_numpy(weights.T.copy())

"""The changes to the reference model's recipe that `recipes.py` tries, one by one and together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from untrain.generators import paired
from untrain.generators.dalle import autoencoder, training
from untrain.generators.dalle.autoencoder import Autoencoder
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.transformer import Transformer


@dataclass(frozen=True)
class Recipe:
    """A change to the base: settings of the preset, and code that the library does not have."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    patch: str = ""


def squared_error(rebuilt: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error alone."""
    return (rebuilt - x).square().mean()


def absolute_error(rebuilt: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error alone."""
    return (rebuilt - x).abs().mean()


def with_edges(rebuilt: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return both errors and the absolute error of differences between neighbouring pixels."""
    difference = rebuilt - x
    edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    return difference.square().mean() + difference.abs().mean() + edges


class DeepDecoder(Autoencoder):
    """Two more residual blocks on the coarse grid of the decoder."""

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        more = [autoencoder._Residual(2 * preset.width_ae) for _ in range(2)]
        self.decoder = nn.Sequential(*self.decoder[:3], *more, *self.decoder[3:])


class Shallow(Autoencoder):
    """One residual block less on both grids of the decoder, to see whether they are worth it."""

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        self.decoder = nn.Sequential(*self.decoder[:2], *self.decoder[3:])


class Sequence(Transformer):
    """One learnt vector a position instead of one a row and one a column."""

    def __init__(self, preset: Preset, vocabulary: int) -> None:
        super().__init__(preset, vocabulary)
        self.place = nn.Embedding(preset.positions, preset.dim)
        nn.init.normal_(self.place.weight, std=0.02)

    def _embed_image(self, image: torch.Tensor, start: int = 0) -> torch.Tensor:
        position = torch.arange(start, start + image.shape[1]) + 1
        return self.image(image) + self.place(position % self.place.num_embeddings)


def to_zero(step: int, steps: int, warmup: float) -> float:
    """Warm up, then fall on a line to nothing."""
    rise = max(1, int(warmup * steps))
    return (step + 1) / rise if step < rise else (steps - step) / (steps - rise)


def steady(step: int, steps: int, warmup: float) -> float:
    """Warm up, stay, and fall on a cosine to nothing over the last third."""
    rise = max(1, int(warmup * steps))
    late = max(0.0, (step / steps - 2 / 3) * 3)
    return (step + 1) / rise if step < rise else 0.5 * (1 + math.cos(math.pi * late))


PATCHES: dict[str, tuple[Any, str, Any]] = {
    "squared error": (autoencoder, "reconstruction_loss", squared_error),
    "absolute error": (autoencoder, "reconstruction_loss", absolute_error),
    "edges": (autoencoder, "reconstruction_loss", with_edges),
    "deep decoder": (autoencoder, "Autoencoder", DeepDecoder),
    "shallow decoder": (autoencoder, "Autoencoder", Shallow),
    "1-D positions": (training, "Transformer", Sequence),
    "to zero": (paired, "schedule", to_zero),
    "steady": (paired, "schedule", steady),
}


@contextmanager
def patched(name: str) -> Iterator[None]:
    """Put what a recipe needs in place of the library's own."""
    if not name:
        yield
        return
    module, attribute, other = PATCHES[name]
    before = getattr(module, attribute)
    setattr(module, attribute, other)
    try:
        yield
    finally:
        setattr(module, attribute, before)


AUTOENCODERS = [
    Recipe("base"),
    Recipe("width 32", {"width_ae": 32}),
    Recipe("width 48", {"width_ae": 48}),
    Recipe("width 96", {"width_ae": 96}),
    Recipe("rate 1e-3", {"lr_ae": 1e-3}),
    Recipe("rate 4e-3", {"lr_ae": 4e-3}),
    Recipe("width 48, rate 4e-3", {"width_ae": 48, "lr_ae": 4e-3}),
    Recipe("width 48, rate 6e-3", {"width_ae": 48, "lr_ae": 6e-3}),
    Recipe("width 32, rate 6e-3", {"width_ae": 32, "lr_ae": 6e-3}),
    Recipe("batch 8", {"batch_ae": 8}),
    Recipe("batch 8, rate 1e-3", {"batch_ae": 8, "lr_ae": 1e-3}),
    Recipe("4,096 codes", {"levels": (8, 8, 8, 8)}),
    Recipe("4,375 codes", {"levels": (7, 5, 5, 5, 5)}),
    Recipe("512 codes", {"levels": (8, 8, 8)}),
    Recipe("squared error", patch="squared error"),
    Recipe("absolute error", patch="absolute error"),
    Recipe("edges", patch="edges"),
    Recipe("deep decoder", patch="deep decoder"),
    Recipe("shallow decoder", patch="shallow decoder"),
]
TRANSFORMERS = [
    Recipe("base"),
    Recipe("1-D positions", patch="1-D positions"),
    Recipe("no averaging", {"averaging": 0.0}),
    Recipe("averaging 0.5", {"averaging": 0.5}),
    Recipe("schedule to zero", patch="to zero"),
    Recipe("schedule steady", patch="steady"),
    Recipe("rate 1.5e-3", {"lr": 1.5e-3}),
    Recipe("rate 5e-3", {"lr": 5e-3}),
    Recipe("batch 8", {"batch": 8}),
    Recipe("batch 8, rate 2e-3", {"batch": 8, "lr": 2e-3}),
    Recipe("batch 32", {"batch": 32}),
    Recipe("image weight 30", {"image_weight": 30.0}),
    Recipe("weight decay 0.2", {"weight_decay": 0.2}),
    Recipe("clip 1", {"clip": 1.0}),
    Recipe("depth 2", {"depth": 2}),
    Recipe("depth 3", {"depth": 3}),
    Recipe("depth 6", {"depth": 6}),
    Recipe("dim 64", {"dim": 64, "heads": 2}),
    Recipe("dim 128", {"dim": 128, "heads": 4}),
    Recipe("6 heads of 16", {"heads": 6, "head_dim": 16}),
    Recipe("temperature 1", {"temperature": 1.0}),
    Recipe("temperature 0.6", {"temperature": 0.6}),
    Recipe("dropout 0.1", {"caption_dropout": 0.1}),
    Recipe("dropout 0.1, guidance 1.5", {"caption_dropout": 0.1, "guidance": 1.5}),
    Recipe("dropout 0.1, guidance 2", {"caption_dropout": 0.1, "guidance": 2.0}),
    Recipe("dropout 0.1, guidance 3", {"caption_dropout": 0.1, "guidance": 3.0}),
]
BOTH = [
    Recipe("base"),
    Recipe("width 48, rate 4e-3", {"width_ae": 48, "lr_ae": 4e-3}),
    Recipe("depth 2", {"depth": 2}),
    Recipe("width 48, rate 4e-3, depth 2", {"width_ae": 48, "lr_ae": 4e-3, "depth": 2}),
]

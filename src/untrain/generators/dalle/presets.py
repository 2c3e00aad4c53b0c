"""Sizes and training recipes of the reference generator, from seconds to the study's own."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

from untrain.core.errors import InputError
from untrain.generators.recipes import Presets, changed, check_limits, preset_in

# Settings that came later, as they were before.
_ONCE: dict[str, Any] = {"eps": 1e-8, "parts": 1, "colour_weight": 0.0}


@dataclass(frozen=True)
class Preset:
    """Everything that decides what a model becomes, apart from data and seed.

    Attributes
    ----------
    height, width : int
        Picture size in pixels; both multiples of 8.
    levels : tuple of int
        FSQ levels; their product is the number of image codes.
    parts : int
        Codes a place of the grid has, each of ``levels``. The transformer reads them as one vector
        and predicts them one after the other.
    width_ae : int
        Channels of the autoencoder at its finest grid (doubled at the coarser one).
    epochs_ae, batch_ae, lr_ae
        Training of the autoencoder.
    colour_weight : float
        Weight of the error in colour, brightness apart, beside those of pixels.
    vocabulary : int
        Largest number of text tokens the tokenizer may learn.
    text_limit : int
        Longest caption in tokens; captions are padded on the left, never cut below this.
    dim, depth, heads, head_dim : int
        The transformer.
    epochs, batch, lr, warmup, weight_decay, clip
        Training of the transformer (AdamW, cosine schedule, ``warmup`` as a share of the steps).
    eps : float
        AdamW's ε, added to the root of the mean square of a gradient: a larger one takes smaller
        steps where gradients are small.
    image_weight : float
        Weight of the image loss against the text loss (DALL-E: 7 to 1).
    averaging : float
        Share of the training, at its end, over which weights are averaged.
    caption_dropout : float
        Share of the pairs, others in each epoch, that are shown without their caption, as
        guidance needs.
    guidance : float
        Classifier-free guidance in sampling: how strongly a picture follows its prompt; 1 is none.
    temperature : float
        Sampling temperature.
    top_k : float
        Share of the image codes, most likely first, that may be sampled.
    """

    height: int = 32
    width: int = 32
    levels: tuple[int, ...] = (8, 5, 5, 5)
    width_ae: int = 64
    epochs_ae: int = 12
    batch_ae: int = 16
    lr_ae: float = 2e-3
    vocabulary: int = 2048
    text_limit: int = 128
    dim: int = 96
    depth: int = 4
    heads: int = 3
    head_dim: int = 32
    epochs: int = 9
    batch: int = 16
    lr: float = 3e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    clip: float = 0.5
    eps: float = 1e-8
    image_weight: float = 7.0
    averaging: float = 0.25
    caption_dropout: float = 0.0
    guidance: float = 1.0
    temperature: float = 0.8
    top_k: float = 1.0
    parts: int = 1
    colour_weight: float = 0.0

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of places."""
        return self.height // 8, self.width // 8

    @property
    def positions(self) -> int:
        """Image tokens per picture: the parts of the first place, of the second, and so on."""
        return self.grid[0] * self.grid[1] * self.parts

    @property
    def codes(self) -> int:
        """Number of image codes."""
        product = 1
        for level in self.levels:
            product *= level
        return product

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_dict` reads it back.

        A setting that presets once lacked is left out while it has the value that all models had
        then: they keep their fingerprints.
        """
        settings = {**asdict(self), "levels": list(self.levels)}
        return {k: v for k, v in settings.items() if k not in _ONCE or v != _ONCE[k]}

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """Return the preset that `to_dict` was called on."""
        return cls(**{**_ONCE, **settings, "levels": tuple(settings["levels"])})

    def autoencoder_part(self) -> dict[str, Any]:
        """Return the settings that decide the frozen parts: picture size, codes, vocabulary."""
        names = (
            "height", "width", "levels", "parts", "width_ae", "epochs_ae", "batch_ae", "lr_ae",
            "colour_weight", "vocabulary", "text_limit",
        )  # fmt: skip
        part = self.to_dict()
        return {name: part[name] for name in names if name in part}


PRESETS = {
    "micro": Preset(
        height=16, width=16, width_ae=16, epochs_ae=3, dim=32, depth=2, heads=2, head_dim=16,
        epochs=3, vocabulary=512,
    ),
    # Half the rate: training is more predictable, and so what attributions can say (recipes.md).
    "tiny": Preset(lr=1.5e-3, temperature=0.5),
    "small": Preset(
        height=64, width=48, width_ae=48, epochs_ae=8, lr_ae=4e-3, vocabulary=4096, dim=128,
        depth=2, heads=4, epochs=7,
    ),
    # Two codes a place carry nearly twice as much at little more time, colours are learnt sooner,
    # and pictures are guided by their captions: photos of a few kinds of goods (recipes.md).
    "photo": Preset(
        height=64, width=48, levels=(8, 8, 8), parts=2, width_ae=48, epochs_ae=24, lr_ae=4e-3,
        colour_weight=2.0, vocabulary=4096, dim=128, depth=2, heads=4, epochs=18,
        caption_dropout=0.1, guidance=2.5, temperature=0.7,
    ),
    "seed": Preset(
        height=256, width=256, levels=(8, 8, 8, 16), width_ae=128, vocabulary=8192,
        text_limit=512, dim=312, depth=16, heads=12, head_dim=64, epochs=30, batch=5, lr=4.5e-4,
        weight_decay=0.0, warmup=0.0, averaging=0.0, temperature=1.0, top_k=5811 / 8192,
    ),
}  # fmt: skip


_SHARE = (0, 1)
_LIMITS = {
    "levels": (2, 64),
    "parts": (1, 16),
    "colour_weight": (0, math.inf),
    "lr_ae": (1e-9, 1),
    "lr": (1e-9, 1),
    "warmup": _SHARE,
    "weight_decay": (0, math.inf),
    "eps": (0, 1),
    "image_weight": (0, math.inf),
    "averaging": _SHARE,
    "caption_dropout": _SHARE,
    "guidance": (0, math.inf),
    "temperature": (1e-3, math.inf),
    "top_k": (1e-9, 1),
}


def preset_of(name: str, **changes: Any) -> Preset:
    """Return a preset by name with some of its settings changed.

    Raises
    ------
    InputError
        Unknown preset or setting ("did you mean"), a value of the wrong type or out of range, or
        a picture size that is not a multiple of 8.
    """
    preset = changed(preset_in(PRESETS, name), changes)
    check_limits(preset, _LIMITS)
    if preset.height % 8 or preset.width % 8 or min(preset.height, preset.width) < 16:
        raise InputError(
            f"picture size {preset.height}x{preset.width}: height and width must be multiples "
            "of 8, at least 16"
        )
    return preset


DALLE = Presets("tiny", preset_of)

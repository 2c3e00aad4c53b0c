"""Sizes and training recipes of the diffusion generator."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from untrain.core.errors import InputError
from untrain.generators.recipes import Presets, changed, check_limits, preset_in


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """What all diffusion models are trained and drawn by.

    Attributes
    ----------
    height, width : int
        Picture size in pixels.
    epochs, batch, lr, warmup, weight_decay, clip
        Training (AdamW, cosine schedule, ``warmup`` as a share of the steps).
    averaging : float
        Share of the training, at its end, over which weights are averaged.
    caption_dropout : float
        Share of the pairs that are shown without their caption, as guidance needs.
    guidance : float
        Classifier-free guidance at sampling (Ho & Salimans 2022); 1 is none.
    steps : int
        DDIM steps of a picture (Song et al. 2021, η = 0).
    terms : int
        Even: pairs of (time, noise) that the loss of a picture is averaged over.
    """

    height: int = 32
    width: int = 32
    epochs: int = 16
    batch: int = 16
    lr: float = 2e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    averaging: float = 0.25
    caption_dropout: float = 0.1
    guidance: float = 1.0
    steps: int = 20
    terms: int = 16

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class DiffusionPreset(Denoising):
    """Everything that decides what a diffusion model becomes, apart from data and seed.

    Attributes
    ----------
    patch : int
        Pixels (or latents) a side that make one place of the network: it sees a picture of
        (height / patch, width / patch) with patch² as many channels. Above 1 it is quicker, and
        coarser. Height and width are multiples of it, doubled for each resolution but one.
    vae : str
        A folder or hub id of a `diffusers` ``AutoencoderKL`` in whose latent space to work; "" for
        pixels. It is frozen.
    widths : tuple of int
        Channels of the U-Net at each resolution, each half of the one before; multiples of 32.
    layers : int
        Residual layers a resolution.
    text_width : int
        Numbers a word is turned into, for the cross-attention.
    text_limit : int
        Words of a caption that are read.
    vocabulary : int
        Words are hashed into so many; two that fall together count as one word.
    prediction : {'sample', 'v_prediction', 'epsilon'}
        What the network predicts, and the loss is of. With patches, the clean picture: a narrow
        network cannot pass the noise of whole patches through (Li & He 2025).
    """

    patch: int = 4
    vae: str = ""
    widths: tuple[int, ...] = (96, 128)
    layers: int = 1
    text_width: int = 64
    text_limit: int = 32
    vocabulary: int = 4096
    prediction: Literal["sample", "v_prediction", "epsilon"] = "sample"


@dataclass(frozen=True, kw_only=True)
class LoraRecipe(Denoising):
    """How adapters are trained on a given pipeline.

    Attributes
    ----------
    rank, alpha : int
        Of the adapters: B·A of this rank, times alpha / rank (Hu et al. 2021).
    targets : tuple of str
        Layers that get one, by the end of their names.
    """

    height: int = 512
    width: int = 512
    epochs: int = 20
    batch: int = 4
    lr: float = 1e-4
    averaging: float = 0.0
    guidance: float = 7.5
    steps: int = 30
    terms: int = 32
    rank: int = 8
    alpha: int = 8
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")

    @classmethod
    def of(cls, **settings: Any) -> LoraRecipe:
        """Return the recipe with some settings changed.

        Raises
        ------
        InputError
            An unknown setting, or a value of the wrong type or out of range.
        """
        recipe = changed(cls(), settings)
        _check(recipe, least=8)
        return recipe


DIFFUSION_PRESETS = {
    "diffusion-tiny": DiffusionPreset(),
    "diffusion-micro": DiffusionPreset(
        height=16, width=16, patch=2, widths=(32,), text_width=32, epochs=2, guidance=2.0, steps=4,
        terms=4,
    ),
    "diffusion-small": DiffusionPreset(
        height=64, width=48, patch=2, widths=(64, 128, 192), layers=2, text_width=128, epochs=60,
        lr=5e-4, guidance=2.0, steps=50, terms=32,
    ),
    "diffusion-latent": DiffusionPreset(
        height=256, width=256, patch=1, vae="stabilityai/sd-vae-ft-mse", widths=(128, 256, 384),
        layers=2, text_width=256, epochs=100, lr=2e-4, guidance=3.0, steps=50, terms=32,
        prediction="v_prediction",
    ),
}  # fmt: skip

_SHARE = (0, 1)
_LIMITS = {
    "warmup": _SHARE,
    "averaging": _SHARE,
    "caption_dropout": _SHARE,
    "weight_decay": (0, math.inf),
    "guidance": (0, math.inf),
}


def diffusion_preset_of(name: str, **changes: Any) -> DiffusionPreset:
    """Return a preset by name with some of its settings changed.

    Raises
    ------
    InputError
        Unknown preset or setting ("did you mean"), a value of the wrong type or out of range, or
        a picture size that the network cannot halve as often as it has to.
    """
    preset = changed(preset_in(DIFFUSION_PRESETS, name), changes)
    if any(width % 32 for width in preset.widths):
        raise InputError(f"widths must be multiples of 32, found {list(preset.widths)}")
    least = preset.patch * 2 ** (len(preset.widths) - 1) * (2 if preset.vae else 1)
    _check(preset, least)
    return preset


def _check(recipe: Denoising, least: int) -> None:
    """Check a recipe whose pictures must be multiples of ``least`` pixels high and wide."""
    check_limits(recipe, _LIMITS)
    if recipe.terms % 2:
        raise InputError(f"terms must be even, as noise comes in pairs ±, found {recipe.terms}")
    if recipe.height % least or recipe.width % least:
        raise InputError(
            f"picture size {recipe.height}x{recipe.width}: with this network height and width must "
            f"be multiples of {least}"
        )


DIFFUSION = Presets("diffusion-tiny", diffusion_preset_of)

"""Where a diffusion model works: in pixels, or in the latent space of a frozen autoencoder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.hardware import device
from untrain.core.outside import read_bytes


def import_diffusers() -> Any:
    """Return the module ``diffusers``, which is optional."""
    # It looks for classes that want torchvision, and says so once for each.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        import diffusers
    except ImportError:
        raise InputError(
            "diffusion models need the library diffusers: pip install 'untrain[diffusion]'"
        ) from None
    diffusers.utils.logging.set_verbosity_error()
    return diffusers


class Space(Protocol):
    """Pictures, and what stands for them: ``pack`` is what is kept, ``unpack`` what is learnt."""

    frozen: str

    @property
    def fingerprint(self) -> str:
        """What it is known by."""
        ...

    def shape(self, image_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return (channels, height, width) of a picture of that size here."""
        ...

    def pack(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 pictures (n, height, width, 3) as they are kept."""
        ...

    def unpack(self, kept: np.ndarray) -> np.ndarray:
        """Return what was kept as the network sees it, float32 (n, channels, height, width)."""
        ...

    def draw(self, samples: np.ndarray) -> np.ndarray:
        """Return the pictures of what the network gives, uint8 (n, height, width, 3)."""
        ...

    def blank(self, image_size: tuple[int, int]) -> np.ndarray:
        """Return one kept picture of nothing, for trying out."""
        ...


class Pixels:
    """Pixels from −1 to 1, kept as bytes."""

    frozen = ""
    fingerprint = "pixels"

    def shape(self, image_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return (3, height, width)."""
        return (3, *image_size)

    def pack(self, images: np.ndarray) -> np.ndarray:
        """Return the pictures themselves."""
        return images

    def unpack(self, kept: np.ndarray) -> np.ndarray:
        """Return bytes as numbers from −1 to 1."""
        scaled = kept.astype(np.float32) / 127.5 - 1
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def draw(self, samples: np.ndarray) -> np.ndarray:
        """Return numbers from −1 to 1 as bytes."""
        levels = np.rint((samples + 1) * 127.5).clip(0, 255).astype(np.uint8)
        return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))

    def blank(self, image_size: tuple[int, int]) -> np.ndarray:
        """Return a black picture."""
        return np.zeros((1, *image_size, 3), np.uint8)


class Latents:
    """Latents of an ``AutoencoderKL`` of `diffusers`, given as a folder or hub id; kept as halves.

    Parameters
    ----------
    source : str
        Weights must be in safetensors.
    part : str
        Sub-folder of a pipeline.
    loaded : callable, optional
        Returns the autoencoder, where somebody else has loaded it.

    Raises
    ------
    InputError
        It cannot be had.
    """

    frozen = (
        "The autoencoder (VAE) was given and is frozen: what it may have learnt from removed "
        "images before is not part of the effects."
    )

    def __init__(
        self, source: str, part: str = "", loaded: Callable[[], Any] | None = None
    ) -> None:
        self.source, self.part, self._loaded = source, part, loaded

    @cached_property
    def vae(self) -> Any:
        """The autoencoder, loaded when first asked for."""
        if self._loaded:
            return self._loaded()
        kind = import_diffusers().AutoencoderKL
        try:
            vae = kind.from_pretrained(self.source, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot load the VAE '{self.source}': {error}\nGive a folder with config.json and "
                "diffusion_pytorch_model.safetensors, or a hub id that can be downloaded"
            ) from None
        return vae.to(device()).eval().requires_grad_(False)

    @property
    def fingerprint(self) -> str:
        """That of a folder's files; a hub id is known by its name."""
        return _content(Path(self.source, self.part)) or self.source

    @property
    def _scale(self) -> int:
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def shape(self, image_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return (channels, height, width) of the latents."""
        height, width = (n // self._scale for n in image_size)
        return self.vae.config.latent_channels, height, width

    @torch.no_grad()
    def pack(self, images: np.ndarray) -> np.ndarray:
        """Return the means of the latents, scaled as the VAE's makers say, float16."""
        pixels = torch.from_numpy(Pixels().unpack(images)).to(device())
        latents = self.vae.encode(pixels).latent_dist.mean
        return (latents * self.vae.config.scaling_factor).cpu().numpy().astype(np.float16)

    def unpack(self, kept: np.ndarray) -> np.ndarray:
        """Return halves as float32."""
        return kept.astype(np.float32)

    @torch.no_grad()
    def draw(self, samples: np.ndarray) -> np.ndarray:
        """Return decoded latents as bytes."""
        latents = torch.from_numpy(samples).to(device()) / self.vae.config.scaling_factor
        return Pixels().draw(self.vae.decode(latents).sample.cpu().numpy())

    def blank(self, image_size: tuple[int, int]) -> np.ndarray:
        """Return latents of zero."""
        return np.zeros((1, *self.shape(image_size)), np.float16)


@lru_cache(maxsize=8)
def _content(folder: Path) -> str:
    """Return the fingerprint of the weights in a folder, "" where there are none."""
    files = sorted(folder.glob("*.safetensors"))
    return fingerprint(*(read_bytes(f, None) for f in files)) if files else ""

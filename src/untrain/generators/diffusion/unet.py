"""A diffusion model from scratch through `diffusers`: a U-Net over words, in pixels or latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json
from untrain.core.hardware import device
from untrain.core.tensors import read_torch, write_torch
from untrain.generators.diffusion.denoising import DenoisingGenerator
from untrain.generators.diffusion.latents import Latents, Pixels, import_diffusers
from untrain.generators.diffusion.presets import DiffusionPreset, diffusion_preset_of
from untrain.generators.diffusion.words import hashed_words


class DiffusionGenerator(DenoisingGenerator):
    """A text-conditional diffusion model, trained from scratch; see `DenoisingGenerator`.

    Parameters
    ----------
    preset : DiffusionPreset
        Sizes and training recipe.
    precision : {'float32', 'bfloat16'}, optional
        See `DenoisingGenerator`.
    """

    preset: DiffusionPreset

    def __init__(self, preset: DiffusionPreset, precision: str | None = None) -> None:
        super().__init__(preset, Latents(preset.vae) if preset.vae else Pixels(), precision)

    @classmethod
    def from_preset(
        cls,
        preset: str = "diffusion-tiny",
        settings: Mapping[str, Any] | None = None,
        precision: str | None = None,
    ) -> Self:
        """Make one of a preset by name, with some of its settings changed."""
        return cls(diffusion_preset_of(preset, **(settings or {})), precision)

    @cached_property
    def scheduler(self) -> Any:
        """Noise on a cosine schedule (Nichol & Dhariwal 2021)."""
        return import_diffusers().DDIMScheduler(
            beta_schedule="squaredcos_cap_v2",
            prediction_type=self.preset.prediction,
            clip_sample=not self.preset.vae,
            timestep_spacing="trailing",
        )

    def network(self, seed: int) -> nn.Module:
        """Return a U-Net with random weights."""
        torch.manual_seed(seed)
        return Network(self.preset, self.shape).to(device()).train()

    def condition(self, prompts: Sequence[str]) -> torch.Tensor:
        """Return prompts as hashed words, int64 (n, limit)."""
        words = hashed_words(prompts, self.preset.vocabulary, self.preset.text_limit)
        return torch.from_numpy(words).to(device())

    def save(self, folder: Path) -> None:
        """Write model.safetensors and model.json."""
        write_torch(folder / "model.safetensors", self.learnt(self._fitted()))
        said = {"losses": self.losses, "preset": self.preset.to_dict()}
        write_json(folder / "model.json", {**said, "precision": self.precision})

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        description = read_json(folder / "model.json")
        if description["preset"] != self.preset.to_dict():
            raise InputError(f"the model in {folder} is of another recipe")
        model = Network(self.preset, self.shape)
        model.load_state_dict(read_torch(folder / "model.safetensors"))
        self._model = model.to(device()).eval().requires_grad_(False)
        self.losses = description["losses"]
        return self


class Network(nn.Module):
    """A U-Net that sees a picture in patches and a caption as vectors of its words.

    The words go into the cross-attention, and pooled into the time embedding.
    """

    def __init__(self, preset: DiffusionPreset, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, height, width = shape
        self.patch = preset.patch
        channels *= self.patch**2
        self.words = nn.Embedding(preset.vocabulary, preset.text_width)
        self.places = nn.Parameter(0.02 * torch.randn(preset.text_limit, preset.text_width))
        # Attention where it is cheap: not at the finest of several resolutions.
        fine = 1 if len(preset.widths) > 1 else 0
        coarse = len(preset.widths) - fine
        down = ("DownBlock2D",) * fine + ("CrossAttnDownBlock2D",) * coarse
        up = ("CrossAttnUpBlock2D",) * coarse + ("UpBlock2D",) * fine
        self.unet = import_diffusers().UNet2DConditionModel(
            sample_size=(height // self.patch, width // self.patch),
            in_channels=channels,
            out_channels=channels,
            block_out_channels=preset.widths,
            layers_per_block=preset.layers,
            down_block_types=down,
            up_block_types=up,
            cross_attention_dim=preset.text_width,
            attention_head_dim=tuple(width // 32 for width in preset.widths),  # their number
            norm_num_groups=16,
            addition_embed_type="text",
            addition_embed_type_num_heads=preset.text_width // 16,
        )

    def forward(self, x: torch.Tensor, times: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Return what is predicted of noisy pictures (n, …) at times (n,), of words (n, limit)."""
        said = self.words(words) + self.places
        found = self.unet(F.pixel_unshuffle(x, self.patch), times, encoder_hidden_states=said)
        return F.pixel_shuffle(found.sample, self.patch)

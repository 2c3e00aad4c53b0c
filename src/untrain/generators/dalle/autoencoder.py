"""The frozen discrete autoencoder: pictures ↔ a grid of codes, by finite scalar quantisation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from vector_quantize_pytorch import FSQ

from untrain.core.files import rng
from untrain.core.hardware import Precision, autocast, device
from untrain.generators.base import Progress
from untrain.generators.dalle.presets import Preset


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Autoencoder(nn.Module):
    """Convolutional autoencoder with an FSQ bottleneck (Mentzer et al., ICLR 2024).

    One place, of one code or several, covers 8×8 pixels. The first layer folds 4×4 pixels into
    channels, so that no convolution ever runs at full resolution: on a CPU that is where the time
    would go.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        fine, coarse = preset.width_ae, 2 * preset.width_ae
        bottleneck = preset.parts * len(preset.levels)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, fine, 3, padding=1),
            _Residual(fine),
            nn.Conv2d(fine, coarse, 4, stride=2, padding=1),
            _Residual(coarse),
            nn.GroupNorm(8, coarse),
            nn.SiLU(),
            nn.Conv2d(coarse, bottleneck, 1),
        )
        self.quantise = FSQ(levels=list(preset.levels), num_codebooks=preset.parts)
        self.parts = preset.parts
        self.decoder = nn.Sequential(
            nn.Conv2d(bottleneck, coarse, 3, padding=1),
            _Residual(coarse),
            _Residual(coarse),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            _Residual(fine),
            nn.GroupNorm(8, fine),
            nn.SiLU(),
            nn.Conv2d(fine, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction of pictures in [−1, 1], (n, 3, height, width)."""
        codes, _ = self.quantise(self.encoder(x))
        return self.decoder(codes)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Return the codes of pictures in [−1, 1], int64 (n, rows·columns·parts)."""
        _, indices = self.quantise(self.encoder(x))
        return indices.flatten(1).long()

    def pictures(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Return the pictures of `tokens`, in [−1, 1], (n, 3, height, width)."""
        parts = (self.parts,) if self.parts > 1 else ()
        codes = self.quantise.indices_to_codes(tokens.view(-1, *grid, *parts))
        return self.decoder(codes).clamp(-1, 1)


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Turn uint8 pictures (n, h, w, 3) into float32 in [−1, 1], (n, 3, h, w)."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_pixels(x: torch.Tensor) -> np.ndarray:
    """Turn pictures in [−1, 1], (n, 3, h, w), into uint8 (n, h, w, 3)."""
    scaled = x.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def reconstruction_loss(rebuilt: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the mean squared plus the mean absolute error of pictures in [−1, 1]."""
    difference = rebuilt - x
    return difference.square().mean() + difference.abs().mean()


def colour_loss(rebuilt: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error in colour, brightness apart, of means over 4×4 pixels.

    Photos of goods are mostly grey, and an autoencoder learns their colours last.
    """
    difference = F.avg_pool2d(rebuilt - x, 4)
    return (difference - difference.mean(1, keepdim=True)).abs().mean()


def train_autoencoder(
    pixels: np.ndarray,
    preset: Preset,
    seed: int,
    progress: Progress,
    precision: Precision = "float32",
) -> Autoencoder:
    """Train the autoencoder on uint8 pictures (n, h, w, 3) and return it, frozen.

    ``progress`` is told of every picture seen; ``precision`` is that of the convolutions.
    """
    torch.manual_seed(seed)
    where = device()
    model = Autoencoder(preset).to(where)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = max(2, preset.epochs_ae * -(-len(pixels) // preset.batch_ae))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=preset.lr_ae, weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, preset.lr_ae, total_steps=steps, pct_start=max(0.1, 1.5 / steps)
    )
    for epoch in range(preset.epochs_ae):
        order = rng("autoencoder", seed, epoch).permutation(len(pixels))
        for start in range(0, len(order), preset.batch_ae):
            rows = order[start : start + preset.batch_ae]
            x = to_tensor(pixels[rows]).to(where, memory_format=torch.channels_last)
            with autocast(precision):
                rebuilt = model(x).float()
            loss = reconstruction_loss(rebuilt, x)
            if preset.colour_weight:
                loss = loss + preset.colour_weight * colour_loss(rebuilt, x)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress(len(rows))
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def encode(model: Autoencoder, pixels: np.ndarray, batch: int = 128) -> np.ndarray:
    """Return the codes of uint8 pictures (n, h, w, 3), int64 (n, positions)."""
    where = next(model.parameters()).device
    parts = [
        model.tokens(to_tensor(pixels[i : i + batch]).to(where)).cpu().numpy()
        for i in range(0, len(pixels), batch)
    ]
    return np.concatenate(parts)


@torch.inference_mode()
def decode(
    model: Autoencoder, tokens: np.ndarray, grid: tuple[int, int], batch: int = 128
) -> np.ndarray:
    """Return the uint8 pictures (n, h, w, 3) of codes (n, positions)."""
    where = next(model.parameters()).device
    parts = [
        to_pixels(model.pictures(torch.from_numpy(tokens[i : i + batch]).to(where), grid))
        for i in range(0, len(tokens), batch)
    ]
    return np.concatenate(parts)


def reconstruction_error(model: Autoencoder, pixels: np.ndarray, grid: tuple[int, int]) -> float:
    """Return the mean squared error of the reconstruction, on [−1, 1]."""
    rebuilt = decode(model, encode(model, pixels), grid)
    return float(F.mse_loss(to_tensor(rebuilt), to_tensor(pixels)))

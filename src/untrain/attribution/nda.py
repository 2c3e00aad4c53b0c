"""Nonparametric attribution: how much of each training image an ideal denoiser would take.

The denoiser that fits its training images perfectly, and looks at patches only, answers a noisy
patch with a mean of all training patches, weighted by how likely each of them is to be what was
noised: a softmax of minus the squared distance over twice the variance of the noise. What an
image's patches weigh, over all patches of a picture and several noise levels, is its score. No
model is asked, and no gradient: pictures suffice. Source: Zhao et al. (2025), Nonparametric Data
Attribution for Diffusion Models, arXiv 2510.14269 (written afresh). Here the noisy patch is taken
at its mean, without a draw of noise, so that one matrix product serves all levels and nothing is
random; patches lie inside the picture; and a coarse scale sees the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from untrain.attribution.base import Attributor, Evidence, Scores
from untrain.attribution.whole_comparison import clocked
from untrain.catalogs.base import Catalog, fit_into
from untrain.core.hardware import device
from untrain.core.progress import bar
from untrain.generators.queries import Queries

BLOCK = 1 << 24
"""Most distances held at a time: 64 MiB, of one chunk of images and one group of patches."""
MATRIX = 1 << 26
"""Most weights held at a time: 256 MiB, patches of a group × levels × images."""


@dataclass(frozen=True)
class Scale:
    """A size at which pictures are compared, and how.

    Attributes
    ----------
    side : int
        The longer side that pictures are brought to, in pixels, by means over areas; smaller ones
        stay as they are.
    patch, step, step_within : int
        Side of a patch; distance of the patches of a query; distance of those of an image. Where a
        picture is smaller than a patch, the patch is as small.
    noise : tuple of float
        Levels: standard deviation of the noise over the factor by which the picture shrinks beside
        it, √(1 − ᾱ) / √ᾱ, for pixels from −1 to 1. The larger, the more images share the weight.
    """

    side: int
    patch: int
    step: int
    step_within: int
    noise: tuple[float, ...]


SCALES = (Scale(16, 8, 4, 2, (1.0, 1.5)), Scale(8, 8, 1, 1, (1.0, 1.5)))
"""Parts of the picture, and the whole of it. Chosen on the demo's bank of seed 0, where sides of 8
to 32, patches of 4 to 16 and levels from 0.34 to 4 were tried, and the best of each lie within 0.02
of each other in LDS; these are among the cheapest."""


class NDA(Attributor):
    """What a patch-wise ideal denoiser of the training images would take of each.

    Scores are shares: those of a prompt sum to 1. Byte-identical images have equal ones.

    Parameters
    ----------
    name : str
    scales : sequence of Scale
        What they and their levels say is averaged.
    """

    kind = "patches"

    def __init__(self, name: str = "nda", scales: Sequence[Scale] = SCALES) -> None:
        self.name, self.scales = name, tuple(scales)

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image by its share, see `Attributor.scores`."""
        values, seconds = clocked(lambda: shares(evidence.catalog, evidence.queries, self.scales))
        return Scores(values, seconds / len(values))


@torch.inference_mode()
def shares(catalog: Catalog, queries: Queries, scales: Sequence[Scale] = SCALES) -> np.ndarray:
    """Return the share of each image in an ideal denoiser's answers, float32 (prompts, images).

    Parameters
    ----------
    catalog : Catalog
    queries : Queries
        Pictures of the generator's size; images are brought to that of the first.
    scales : sequence of Scale
    """
    height, width = queries.pictures[0].shape[:2]
    size = height, width
    sized = [fit_into(Image.fromarray(each), size, catalog.resize) for each in queries.pictures]
    pictures = _tensor(np.stack(sized))
    asked = [_patches(pictures, scale, scale.step) for scale in scales]
    weights = sum(len(s.noise) * each.shape[1] for s, each in zip(scales, asked, strict=True))
    group = max(1, MATRIX // (weights * len(catalog)))  # pictures at a time
    starts = range(0, len(pictures), group)
    found = []
    with bar("patches", len(catalog) * len(starts)) as advance:
        for start in starts:
            own = [each[start : start + group] for each in asked]
            found.append(_shares_of(own, catalog, size, scales, advance))
    by_picture = np.concatenate(found)
    return np.stack([by_picture[queries.rows(p)].mean(axis=0) for p in queries.prompt_ids])


def _shares_of(
    asked: Sequence[torch.Tensor],
    catalog: Catalog,
    size: tuple[int, int],
    scales: Sequence[Scale],
    advance: Callable[[int], None],
) -> np.ndarray:
    """Return the shares for some pictures, float32 (pictures, images).

    ``asked`` holds their patches at each scale, (pictures, patches, values).
    """
    parts: list[list[torch.Tensor]] = [[] for scale in scales for _ in scale.noise]
    probe = _tensor(np.zeros((1, *size, 3), np.uint8))
    blocks = [
        each.shape[0] * each.shape[1] * _patches(probe, scale, scale.step_within).shape[1]
        for each, scale in zip(asked, scales, strict=True)
    ]
    chunk = max(1, BLOCK // max(blocks))
    for start in range(0, len(catalog), chunk):
        ids = catalog.ids[start : start + chunk]
        images = _tensor(catalog.pixels(size, ids))
        answers = [
            level
            for each, scale in zip(asked, scales, strict=True)
            for level in _evidence(
                each.flatten(0, 1), _patches(images, scale, scale.step_within), scale.noise
            )
        ]
        for part, answer in zip(parts, answers, strict=True):
            part.append(answer)
        advance(len(ids))
    total = torch.zeros(len(asked[0]), len(catalog), device=device())
    levels = [each for each, scale in zip(asked, scales, strict=True) for _ in scale.noise]
    for part, each in zip(parts, levels, strict=True):
        weight = torch.cat(part, 1).softmax(1)
        part.clear()
        total += weight.view(*each.shape[:2], -1).mean(1)
    return (total / len(levels)).cpu().numpy()


def _evidence(
    asked: torch.Tensor, images: torch.Tensor, noise: Sequence[float]
) -> list[torch.Tensor]:
    """Return log Σ exp(−‖x − y‖² / 2σ²) over the patches y of each image, (patches, images) each.

    Up to what depends on the patch x only, and so cancels in the softmax over images.

    Parameters
    ----------
    asked : Tensor, (patches, values)
    images : Tensor, (images, patches, values)
    noise : sequence of float
        The levels σ.
    """
    count, own, _ = images.shape
    flat = images.flatten(0, 1)
    near = torch.addmm(flat.square().sum(1), asked, flat.T, beta=-0.5)  # x·y − ‖y‖² / 2
    near = near.view(len(asked), count, own)
    nearest = near.amax(2, keepdim=True)
    near -= nearest  # so that no exponential overflows
    return [(near / sigma**2).exp_().sum(2).log_() + nearest[..., 0] / sigma**2 for sigma in noise]


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    """Return uint8 pictures as float32 from −1 to 1, (n, 3, height, width)."""
    return torch.from_numpy(pixels).to(device()).permute(0, 3, 1, 2).float() / 127.5 - 1


def _patches(pictures: torch.Tensor, scale: Scale, step: int) -> torch.Tensor:
    """Return the patches of pictures brought to a scale, (n, patches, values)."""
    sides = pictures.shape[2:]
    shrink = min(1.0, scale.side / max(sides))
    size = max(1, round(sides[0] * shrink)), max(1, round(sides[1] * shrink))
    small = F.adaptive_avg_pool2d(pictures, size) if shrink < 1 else pictures
    patch = min(scale.patch, size[0]), min(scale.patch, size[1])
    return F.unfold(small, patch, stride=step).transpose(1, 2).contiguous()

"""Edits of pictures, of known kind and strength: what the copy detector is measured with."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from untrain.core.images import decode

Apply = Callable[[Image.Image, float, np.random.Generator], Image.Image]

LETTERS = list("ABCDEFGHKLMNPRST")
CROP, HUE, QUALITY = 0.75, 90.0, 50.0  # of the edits that are combined


@dataclass(frozen=True)
class Edit:
    """An edit that a copy may have gone through.

    Attributes
    ----------
    kind : str
        What is done: a name in `untrain.search.copy_detector.kinds.KINDS`, or ``combined``.
    strength : float
        How much of it; what the number means depends on the kind.
    label : str
        The strength in words, for a table.
    apply : callable
        (picture, strength, source of chance) → picture.
    """

    kind: str
    strength: float
    label: str
    apply: Apply

    def __call__(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return an edited picture, both uint8 H×W×3; chance says where, and in what colour."""
        return np.asarray(self.apply(Image.fromarray(picture), self.strength, rng).convert("RGB"))


def _unchanged(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    return image


def _reencoded(image: Image.Image, quality: float, rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(quality))
    return decode(buffer.getvalue(), "that was written again")


def _resized(image: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    size = max(8, round(image.width * factor)), max(8, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def _blurred(image: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """Blur by a Gaussian with a standard deviation of ``percent`` of the longer side."""
    return image.filter(ImageFilter.GaussianBlur(percent / 100 * max(image.size)))


def _cropped(image: Image.Image, kept: float, rng: np.random.Generator) -> Image.Image:
    """Keep a part of the area, anywhere, of nearly the same aspect."""
    across = min(1.0, max(kept, math.sqrt(kept) * math.exp(rng.uniform(-0.1, 0.1))))
    width = max(8, round(image.width * across))
    height = max(8, round(image.height * kept / across))
    x = int(rng.integers(0, image.width - width + 1))
    y = int(rng.integers(0, image.height - height + 1))
    return image.crop((x, y, x + width, y + height))


def _mirrored(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image)


def _hue(image: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    hsv = np.array(image.convert("HSV")).astype(int)
    hsv[..., 0] = (hsv[..., 0] + round(degrees / 360 * 256)) % 256
    return Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")


def _grey(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _tones(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """Make it lighter or darker by a gamma of 1 + strength, and take half of that off contrast."""
    gamma = 1 + strength if rng.random() < 0.5 else 1 / (1 + strength)
    values = 0.5 + ((np.asarray(image) / 255.0) ** gamma - 0.5) * (1 - strength / 2)
    return Image.fromarray((255 * values).clip(0, 255).astype(np.uint8))


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(0, 256, 3).tolist())


def _padded(image: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    """Put it anywhere on a sheet of any colour, ``factor`` times as large a side."""
    size = round(image.width * factor), round(image.height * factor)
    sheet = Image.new("RGB", size, _colour(rng))
    room = [sheet.width - image.width + 1, sheet.height - image.height + 1]
    x, y = (int(rng.integers(0, r)) for r in room)
    sheet.paste(image, (x, y))
    return sheet


def _rotated(image: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """Turn it either way, on a white sheet that all of it is on."""
    angle = degrees if rng.random() < 0.5 else -degrees
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


def _overlaid(image: Image.Image, covered: float, rng: np.random.Generator) -> Image.Image:
    """Draw a logo or a word over about this share of it, anywhere, in any colours."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        width, height = (side * math.sqrt(covered) for side in image.size)
        x, y = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
        draw.ellipse((x, y, x + width, y + height), fill=_colour(rng))
        inner = x + 0.3 * width, y + 0.3 * height, x + 0.7 * width, y + 0.7 * height
        draw.rectangle(inner, fill=_colour(rng))
        return image
    word = "".join(rng.choice(LETTERS, 7))
    size = max(6.0, 1.6 * covered * image.height)
    right = draw.textbbox((0, 0), word, font=ImageFont.load_default(size))[2]
    size = max(5.0, size * min(1.0, 0.9 * image.width / right))
    at = rng.uniform(0, 0.1 * image.width), rng.uniform(0, 0.8 * image.height)
    draw.text(at, word, font=ImageFont.load_default(size), fill=_colour(rng))
    return image


def _combined(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    cropped = _mirrored(_cropped(image, CROP, rng), 1.0, rng)
    return _reencoded(_hue(cropped, HUE, rng), QUALITY, rng)


EDITS = (
    Edit("same_pixels", 1, "unchanged", _unchanged),
    *(Edit("reencoded", q, f"JPEG quality {q}", _reencoded) for q in (80, 50, 30, 15)),
    *(Edit("resized", f, f"{f:g} times a side", _resized) for f in (2, 0.7, 0.5)),
    *(Edit("blurred", s, f"by {s:g} % of the longer side", _blurred) for s in (0.7, 1.5, 3)),
    *(Edit("cropped", k, f"{k:.0%} of the area kept", _cropped) for k in (0.9, 0.75, 0.5, 0.33)),
    Edit("mirrored", 1, "left to right", _mirrored),
    *(Edit("recoloured", d, f"hues turned by {d}°", _hue) for d in (30, 90, 180)),
    Edit("recoloured", 1, "colours taken away", _grey),
    *(Edit("recoloured", s, f"tones, gamma {1 + s:g} or its inverse", _tones) for s in (0.3, 0.8)),
    *(Edit("padded", f, f"on a sheet {f:g} times a side", _padded) for f in (1.2, 1.5, 2)),
    *(Edit("rotated", d, f"by {d}°", _rotated) for d in (3, 7, 12)),
    *(Edit("overlaid", c, f"{c:.0%} covered", _overlaid) for c in (0.05, 0.12, 0.25)),
    Edit("combined", 1, "cropped to 75 %, mirrored, hues turned, JPEG quality 50", _combined),
)
"""One kind after another, the weakest of each first."""

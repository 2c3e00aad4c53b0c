"""How the rendered catalogue draws a family: once, large, then in many poses and shades."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from untrain.catalogs.rendered.shapes import (
    BRANDS,
    COLOURS,
    MOTIF_COLOURS,
    MOTIFS,
    Article,
    Colour,
    Point,
    outline,
)
from untrain.core.files import rng

_MARK = 2.0, 16.0  # corner and side of the brand mark, in percent
_SAMPLES = 4  # drawn this many times larger than shown, so that edges are smooth
_RIM = 96  # side in pixels at which rims are blurred, for speed


@dataclass(frozen=True)
class Family:
    """What the pictures of one family share."""

    name: str
    brand: str
    gender: str
    article: Article
    colour: str
    pattern: str
    motif_colour: str
    motif_shape: str
    motif_place: str

    @property
    def motif(self) -> str:
        """The words of the motif, unique to the family."""
        return f"{self.motif_colour} {self.motif_shape} {self.motif_place} Motif"

    @property
    def attributes(self) -> dict[str, str]:
        """The family's columns of ``Catalog.attributes``."""
        return {
            "family": self.name,
            "brand": self.brand,
            "article": self.article.name,
            "colour": self.colour,
            "pattern": self.pattern,
            "motif": self.motif,
            "gender": self.gender,
        }


def pictures(family: Family, count: int, seed: int, resolution: int) -> Iterator[bytes]:
    """Yield a family's PNG files: one drawing, in ``count`` slightly different poses and shades."""
    drawing = draw(family, resolution * _SAMPLES)
    mark = _mark(family.brand, resolution)
    for number in range(count):
        random = rng("rendered", seed, "pose", family.name, number)
        image = ImageChops.darker(_posed(drawing, resolution, random), mark)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=4)
        yield buffer.getvalue()


def _posed(drawing: Image.Image, resolution: int, random: np.random.Generator) -> Image.Image:
    """Shift, scale and turn a drawing a little, and make it a little lighter or darker."""
    shift = random.uniform(-2.2, 2.2, 2) * drawing.width / 100
    zoom = random.uniform(0.97, 1.03)
    angle = np.deg2rad(random.uniform(-2.5, 2.5))
    # PIL wants the way back, from a point of the result, here at twice the resolution, to its
    # point of the drawing: drawing = turn @ (result - centre) + middle - turn @ shift.
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / zoom
    start = drawing.width / 2 - turn @ (shift + drawing.width / 2)
    (a, b), (c, d) = turn * _SAMPLES / 2
    posed = drawing.transform(
        (2 * resolution, 2 * resolution),
        Image.Transform.AFFINE,
        (a, b, start[0], c, d, start[1]),
        Image.Resampling.BILINEAR,
        fillcolor="white",
    )
    shade = random.uniform(0.93, 1.05)  # white stays white
    table = np.rint(255 - np.arange(255, -1, -1) * shade).clip(0, 255).astype(int).tolist()
    return posed.reduce(2).point(table * 3)


@cache
def _mark(brand: str, resolution: int) -> Image.Image:
    """Return a white picture with a brand's mark in its corner."""
    side = resolution * _SAMPLES
    large = Image.new("RGB", (side, side), "white")
    colour, paths = BRANDS[brand]
    first, size = (round(value * resolution / 100) * _SAMPLES for value in _MARK)
    for path in paths:
        points = _scaled(path, size / 100, first, first)
        ImageDraw.Draw(large).polygon(points, fill=colour)
    return large.reduce(_SAMPLES)


def _scaled(path: str, factor: float, dx: float = 0.0, dy: float = 0.0) -> list[Point]:
    return [(dx + x * factor, dy + y * factor) for x, y in outline(path)]


def draw(family: Family, side: int) -> Image.Image:
    """Draw a family's item in its resting pose, ``side`` pixels square, without the brand mark."""
    unit = side / 100
    inks = _inks(family.colour)
    cloth = _cloth(family.colour, family.pattern, side)
    canvas = _shadow(family.article.shadow, side).copy()
    pen = ImageDraw.Draw(canvas)
    edge = max(1, round(1.3 * unit))
    for layer in family.article.layers:
        points = _scaled(layer.path, unit)
        if layer.width:
            _stroke(pen, points, inks[layer.tone], layer.width * unit)
            continue
        if layer.tone in ("cloth", "glass"):
            mask = Image.new("L", canvas.size)
            ImageDraw.Draw(mask).polygon(points, fill=255 if layer.tone == "cloth" else 120)
            canvas.paste(cloth if layer.tone == "cloth" else inks["glass"], (0, 0), mask)
            _round_off(canvas, mask)
        else:
            pen.polygon(points, fill=inks[layer.tone])
        pen.line([*points, points[0], points[1]], fill=inks["edge"], width=edge, joint="curve")
    _emblem(pen, family, unit)
    return canvas


def _round_off(canvas: Image.Image, mask: Image.Image) -> None:
    """Darken the lower right rim of a part and lighten the upper left, so that it looks round."""
    small = mask.resize((_RIM, _RIM), Image.Resampling.BOX)
    blurred = small.filter(ImageFilter.GaussianBlur(_RIM / 32))
    step = _RIM // 24
    for ink, move, strength in (("black", -step, 0.42), ("white", step, 0.38)):
        rim = ImageChops.subtract(small, ImageChops.offset(blurred, move, move))
        soft = rim.resize(canvas.size, Image.Resampling.BILINEAR).point(lambda v, s=strength: v * s)
        canvas.paste(ink, (0, 0), ImageChops.multiply(soft, mask))


def _stroke(pen: ImageDraw.ImageDraw, points: list[Point], ink: Colour, width: float) -> None:
    """Draw a line with round ends."""
    pen.line(points, fill=ink, width=max(1, round(width)), joint="curve")
    for x, y in (points[0], points[-1]):
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=ink)


def _emblem(pen: ImageDraw.ImageDraw, family: Family, unit: float) -> None:
    """Sew the motif on: its shape in its colour with a white rim."""
    x, y = getattr(family.article, family.motif_place.lower())
    size = family.article.motif_size
    factor = size * unit / 100
    points = _scaled(
        MOTIFS[family.motif_shape], factor, (x - size / 2) * unit, (y - size / 2) * unit
    )
    colour = MOTIF_COLOURS[family.motif_colour]
    closed = [*points, points[0], points[1]]
    dark = _deeper(colour, 0.42)
    for ink, width in ((dark, 5.0), ((255, 255, 255), 3.4)):
        pen.line(closed, fill=ink, width=max(1, round(width * unit)), joint="curve")
    pen.polygon(points, fill=colour)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return ``one`` with a ``share`` of ``other`` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _deeper(colour: Colour, light: float) -> Colour:
    """Return a darker colour of the same hue: more saturated, and ``light`` times as light."""
    red, green, blue = (round(255 * light * (value / 255) ** 1.5) for value in colour)
    return red, green, blue


@cache
def _inks(colour: str) -> dict[str, Colour]:
    """Return the colour of every tone but cloth for an item of ``colour``."""
    base = COLOURS[colour][0]
    white = (255, 255, 255)
    return {
        "dark": _deeper(base, 0.88),
        "light": _mix(base, white, 0.3),
        "edge": _deeper(base, 0.5),
        "seam": _mix(base, white, 0.28) if sum(base) < 150 else _deeper(base, 0.72),
        "white": (246, 246, 244),
        "metal": (196, 200, 206),
        "wood": (150, 104, 62),
        "glass": (24, 26, 34),
    }


@cache
def _cloth(colour: str, pattern: str, side: int) -> Image.Image:
    """Return a square of patterned cloth, lit from the top left."""
    base, ink = COLOURS[colour]
    y, x = np.mgrid[0:side, 0:side] * (100 / side)
    period = 14.0
    across, down = x % period, y % period
    if pattern == "Striped":
        share = (down < 5.5).astype(float)
    elif pattern == "Dotted":
        odd = (y // period).astype(int) % 2
        shifted = (x + odd * period / 2) % period
        share = (np.hypot(shifted - period / 2, down - period / 2) < 3.6).astype(float)
    elif pattern == "Checked":
        share = 0.5 * (down < 6.5) + 0.5 * (across < 6.5)
    else:
        share = np.zeros_like(x)
    cloth = np.array(base) + (np.array(ink) - base) * share[..., None]
    light = 1.10 - 0.24 * (0.55 * x + 0.45 * y) / 100
    return Image.fromarray((cloth * light[..., None]).clip(0, 255).astype(np.uint8))


@cache
def _shadow(shadow: tuple[float, float, float], side: int) -> Image.Image:
    """Return a white ground with the soft shadow of a thing that stands on it."""
    small = 64
    x, y, half = (value * small / 100 for value in shadow)
    mask = Image.new("L", (small, small), 255)
    ImageDraw.Draw(mask).ellipse((x - half, y - 1.6, x + half, y + 1.6), fill=140)
    soft = mask.filter(ImageFilter.GaussianBlur(1.4))
    return soft.resize((side, side), Image.Resampling.BICUBIC).convert("RGB")

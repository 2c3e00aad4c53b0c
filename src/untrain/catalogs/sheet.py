"""Many pictures on one sheet, for looking."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from untrain.core.errors import InputError
from untrain.core.images import opened, write_png
from untrain.core.outside import read_bytes
from untrain.core.targets import check_file_target
from untrain.core.text import visible

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
SOFTWARE = "untrain sheet"
"""What a PNG says of itself that `save_sheet` wrote."""
_GAP = 4
_INK = (60, 62, 68)


def contact_sheet(
    images: Sequence[Image.Image | np.ndarray],
    columns: int,
    cell: int,
    labels: Sequence[str] | None = None,
    wrap: int = 1,
) -> Image.Image:
    """Return an RGB sheet with the pictures in rows of ``columns``, on white.

    Parameters
    ----------
    images : sequence of PIL images or uint8 arrays, shape (height, width, 3)
        In reading order; may be empty.
    columns : int
        Pictures a row, at least 1.
    cell : int
        Side in pixels of the square that each picture is fitted into. A smaller picture is
        enlarged by a whole factor without smoothing, so that its pixels can be seen.
    labels : sequence of str, optional
        One a picture, written under it, line by line. It may run on under the pictures of its row
        that follow with "" for a label, and each line is cut where it does not fit.
    wrap : int
        Lines that each line of a label may become before it is cut.
    """
    if columns < 1 or cell < 1:
        raise ValueError(f"columns and cell must be at least 1, not {columns} and {cell}")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{len(images)} images but {len(labels)} labels")
    size = max(9, cell // 9)
    font = ImageFont.load_default(size)
    line = math.ceil(1.4 * size)
    texts = [
        _fitting(label, font, cell + (cell + _GAP) * _silent(_after(labels, number, columns)), wrap)
        for number, label in enumerate(labels or ())
    ]
    under = line * max(map(len, texts), default=0)
    rows = math.ceil(len(images) / columns)
    width = _GAP + columns * (cell + _GAP)
    height = _GAP + rows * (cell + under + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        x, y = _GAP + column * (cell + _GAP), _GAP + row * (cell + under + _GAP)
        picture = _fitted(image, cell)
        corner = x + (cell - picture.width) // 2, y + (cell - picture.height) // 2
        sheet.paste(picture, corner)
        if labels is not None:
            for below, text in enumerate(texts[number]):
                draw.text((x, y + cell + below * line), text, fill=_INK, font=font)
    return sheet


def one_line(text: str) -> str:
    """Return a text without breaks, as a line of a label."""
    return " ".join(text.split())


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, by whose text `check_sheet_target` knows it again."""
    told = PngInfo()
    told.add_text("Software", SOFTWARE)
    write_png(path, sheet, told)


def check_sheet_target(path: Path, sources: Iterable[Path] = ()) -> None:
    """Raise `InputError` if a sheet cannot be written, or would replace what is to be read.

    A sheet that was written before may be replaced, also where it lies among what is read.
    """
    check_file_target(path, () if _is_sheet(path) else sources)


def _is_sheet(path: Path) -> bool:
    try:
        with opened(read_bytes(path), path.name, ["PNG"]) as image:
            return image.info.get("Software") == SOFTWARE
    except (OSError, InputError):
        return False


def _after(labels: Sequence[str] | None, number: int, columns: int) -> Sequence[str]:
    """Return the labels that follow one in its row."""
    return (labels or ())[number + 1 : number + columns - number % columns]


def _silent(labels: Sequence[str]) -> int:
    """Return how many labels are empty before the first that is not."""
    return next((n for n, label in enumerate(labels) if label), len(labels))


def _fitted(image: Image.Image | np.ndarray, cell: int) -> Image.Image:
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture = picture.convert("RGB")
    scale = cell / max(picture.size)
    if scale >= 1:
        factor = int(scale)
        size = picture.width * factor, picture.height * factor
        return picture.resize(size, Image.Resampling.NEAREST)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _fitting(label: str, font: Font, width: int, wrap: int) -> list[str]:
    """Return the lines of a label, each broken between words into at most ``wrap``."""
    lines: list[str] = []
    for text in visible(label).split("\n"):
        # Letters are a pixel wide at least: of a caption as long as a page no more can be seen.
        words = text[: wrap * (width + 1)].split(" ")
        for _ in range(wrap - 1):
            lengths = range(len(words), 0, -1)
            fits = next((n for n in lengths if font.getlength(" ".join(words[:n])) <= width), 1)
            if fits == len(words):
                break
            lines.append(_cut(" ".join(words[:fits]), font, width))
            words = words[fits:]
        lines.append(_cut(" ".join(words), font, width))
    return lines


def _cut(text: str, font: Font, width: int) -> str:
    """Shorten a text with an ellipsis until it fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"

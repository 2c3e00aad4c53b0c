"""Pictures as coloured half blocks, two pixels a character, for terminals that have the colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from rich.style import Style
from rich.table import Table
from rich.text import Text


def half_blocks(image: Image.Image, width: int) -> Text:
    """Return a picture ``width`` characters wide; its sides keep their ratio."""
    lines = max(1, round(width * image.height / image.width / 2))
    small = image.convert("RGB").resize((width, 2 * lines), Image.Resampling.BOX)
    pixels = np.asarray(small)
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=_colour(above), bgcolor=_colour(below)))
        text.append("\n")
    text.rstrip()
    return text


def picture_row(pictures: Sequence[tuple[str, Image.Image]], width: int) -> Table:
    """Return pictures side by side under their labels, each ``width`` characters wide."""
    row = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for label, _ in pictures:
        row.add_column(Text(label), width=width, overflow="fold", vertical="top")
    row.add_row(*(half_blocks(image, width) for _, image in pictures))
    return row


def _colour(pixel: np.ndarray) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)

"""Figures whose PNG and PDF are blank: a page shows their SVG, which is drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image

from untrain.report.figures import style

REAL = (style.FigureCanvasAgg, style.FigureCanvasPdf)
FONTS = style.STYLE["pdf.fonttype"]


class Blank:
    """Paints nothing: PNG and PDF take two thirds of the time of a figure."""

    def __init__(self, figure: Any) -> None: ...

    def print_png(self, file: io.BytesIO, **_: Any) -> None:
        Image.new("RGB", (1, 1)).save(file, "PNG")

    def print_pdf(self, file: io.BytesIO, **_: Any) -> None:
        file.write(b"%PDF-1.4\n%%EOF\n")


@contextmanager
def blank_figures() -> Iterator[None]:
    """Draw only the SVG of figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "FigureCanvasAgg", Blank)
        patch.setattr(style, "FigureCanvasPdf", Blank)
        yield


@contextmanager
def real_figures() -> Iterator[None]:
    """Draw figures in all formats, within `blank_figures`; thinning fonts takes longest of all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "FigureCanvasAgg", REAL[0])
        patch.setattr(style, "FigureCanvasPdf", REAL[1])
        patch.setitem(style.STYLE, "pdf.fonttype", 3)
        yield

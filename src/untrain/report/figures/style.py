"""What all figures share: colours, type and marks, and a drawing turned into files."""

from __future__ import annotations

import io
import math
import re
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from untrain.core.files import write_bytes
from untrain.core.text import html_text, visible
from untrain.report.words import open_ends

INK, FAINT, PAPER = "#1f1d1a", "#8b857c", "#fefefe"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # Okabe & Ito
INLINE = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    PAPER: "var(--card)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
}
"""In the page the figures take the page's colours, so that they are dark in the dark."""

WIDTH = 5.2  # inches; one width, so that letters have one size, legible on a telephone too
FONT = "DejaVu Sans"
DOTS = 200  # an inch, of the PNG
MOST_LABELS = 40

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # letters stay letters, as journals ask
    "lines.solid_capstyle": "butt",  # an interval ends where it ends
    "path.simplify": False,  # would swallow `dots`
    "text.parse_math": False,  # a dollar in a prompt is a dollar
    "font.family": FONT,
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.titlesize": 9.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "figure.facecolor": PAPER,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.major.size": 0,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
}


@dataclass(frozen=True)
class Plot:
    """A figure of the report.

    Attributes
    ----------
    name : str
        Of its files, and of what belongs to it in the page.
    title, caption : str
        What it is about, and how to read it.
    alt : str
        What it shows, in words, for who does not see it.
    svg : str
    png, pdf : bytes
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes
    pdf: bytes

    def save(self, folder: Path) -> None:
        """Write ``<name>.svg``, ``.png`` and ``.pdf`` into ``folder``, each whole or not at all."""
        for form, data in (("svg", self.svg.encode()), ("png", self.png), ("pdf", self.pdf)):
            write_bytes(folder / f"{self.name}.{form}", data)

    @property
    def inline(self) -> str:
        """The SVG to be put into the page: no prologue, the page's colours, ids of its own.

        Hidden from screen readers: what stands around it is to give `alt`.
        """
        svg = self.svg[self.svg.index("<svg") :]
        # A style element would act on the whole page.
        apart = "|".join(f"<{name}.*?</{name}>" for name in ("title", "desc", "style"))
        svg = re.sub(apart, "", svg, flags=re.DOTALL)
        for colour, variable in INLINE.items():
            svg = svg.replace(colour, variable)
        svg = re.sub(r'( id="|url\(#|href="#)', rf"\1{self.name}-", svg)
        root = re.sub(r' (width|height|role|aria-\w+)="[^"]*"', "", svg[: svg.index(">")])
        root = root.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
        return root + svg[svg.index(">") :]


def styled(changes: dict[str, Any] | None = None) -> AbstractContextManager[None]:
    """Draw in the style of the report, with ``changes`` to it."""
    style: dict[Any, Any] = {**STYLE, **(changes or {})}
    return matplotlib.rc_context(style)


def plot(figure: Figure, name: str, title: str, caption: str, alt: str) -> Plot:
    """Return a figure in all formats, the same to the byte for the same figure."""
    with warnings.catch_warnings():
        # The font of PNG and PDF lacks some scripts; a browser finds another for the SVG.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not for every format again
        figure.dpi = DOTS
        # Not figure.savefig, which would draw everything twice.
        png, svg, pdf = io.BytesIO(), io.BytesIO(), io.BytesIO()
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        with matplotlib.rc_context({"svg.hashsalt": name}):
            FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
        nothing = dict.fromkeys(("CreationDate", "Creator", "Producer"))
        FigureCanvasPdf(figure).print_pdf(pdf, metadata={**nothing, "Title": visible(title)})
    words = _tidy(visible(svg.getvalue().decode()), title, alt)
    return Plot(name, title, caption, alt, words, png.getvalue(), pdf.getvalue())


def _tidy(svg: str, title: str, alt: str) -> str:
    """Make an SVG that asks for no other file and says what it shows."""
    svg = re.sub(r"<!DOCTYPE.*?>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace(f"'{FONT}'", f"'{FONT}', system-ui, sans-serif")
    words = (
        f'<title id="title">{html_text(title)}</title>\n <desc id="desc">{html_text(alt)}</desc>'
    )
    svg = svg.replace("<svg ", '<svg role="img" aria-labelledby="title desc" ', 1)
    end = svg.index(">", svg.index("<svg ")) + 1
    return f"{svg[:end]}\n {words}{svg[end:]}"


def canvas(height: float) -> tuple[Figure, Axes]:
    """Return a figure of the common width with one pair of axes."""
    figure = Figure((WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def row_height(rows: int) -> float:
    """Return the height in inches of a line a prompt; many are drawn close and unlabelled."""
    return 0.27 if rows <= MOST_LABELS else 0.05


def estimate(
    axes: Axes,
    row: float,
    value: float,
    low: float,
    high: float,
    colour: str,
    mark: str,
    face: str | None = None,
    size: float = 7,
    width: float = 2.2,
) -> None:
    """Draw a mark with its interval; an end that is infinite becomes an arrow, NaN nothing."""
    if not math.isfinite(value):
        return
    low, high = open_ends(low, high)
    known = [abs(end - value) for end in (low, high) if math.isfinite(end)]
    reach = max(known, default=0.0)
    for end, arrow, sign in ((low, "<", -1), (high, ">", 1)):
        if math.isnan(end):
            continue
        stop = end if math.isfinite(end) else value + sign * reach
        axes.plot([value, stop], [row, row], color=colour, lw=width, zorder=3)
        if math.isinf(end):
            axes.plot(stop, row, arrow, color=colour, ms=size, mew=0, zorder=3)
    axes.plot(value, row, mark, mec=colour, mfc=face or colour, ms=size, mew=1.5, zorder=4)


def dots(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, size: float, alpha: float) -> None:
    """Draw many dots as one path of round ends, a third of what so many marks take in an SVG."""
    near = np.ptp(x) * 1e-4 if len(x) > 1 else 1e-4  # no length at all is not drawn in a PNG
    ends = np.stack([x, x + near, np.full(len(x), np.nan)], axis=1)
    axes.plot(
        ends.ravel(),
        np.repeat(y, 3),
        color=colour,
        lw=size,
        alpha=alpha,
        solid_capstyle="round",
    )


def finish_rows(
    axes: Axes, labels: list[str], xlabel: str, zero: bool = True, row_grid: bool = True
) -> None:
    """Label the lines of a figure that has one for each prompt or arm, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    axes.grid(axis="x")
    if row_grid:
        axes.grid(axis="y", lw=0.4)
    axes.set_axisbelow(True)
    if zero:
        axes.axvline(0, color=INK, lw=1, zorder=1)


def legend(axes: Axes, keys: dict[str, tuple[str, str, str]], columns: int | None = None) -> None:
    """Put the key, words to (mark, edge, face), above the axes, where it covers nothing."""
    for label, (mark, edge, face) in keys.items():
        axes.plot([], [], mark, mec=edge, mfc=face, color=edge, ms=6, mew=1.5, label=label)
    figure = axes.get_figure()
    assert figure is not None
    if keys and figure.get_layout_engine() is None:  # somebody's own figure: nothing makes room
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns or len(keys))
    elif keys:
        figure.legend(
            loc="outside upper left",
            ncols=columns or len(keys),
            columnspacing=1.2,
            handletextpad=0.3,
        )


def prompt_label(prompt: str, prompt_id: str) -> str:
    """Return a prompt, cut, with its id: many a catalogue's captions begin alike."""
    return f"{short(prompt, 20)}  {short(prompt_id, 8)}"


def short(text: str, length: int = 26) -> str:
    """Return text on one line, cut to ``length``, without characters that no SVG may hold."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"

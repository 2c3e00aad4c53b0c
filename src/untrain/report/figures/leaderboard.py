"""The figure of the leaderboard: how well each attributor predicts what models do."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from untrain.core.files import write_text
from untrain.evaluation.measurement import in_full
from untrain.report.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    PAPER,
    WIDTH,
    Plot,
    legend,
    plot,
    short,
    styled,
)
from untrain.report.tables.leaderboard import how_to_read, leaderboard_markdown
from untrain.report.words import number
from untrain.runs.leaderboard import Leaderboard, has_leaderboard, read_leaderboard
from untrain.runs.results import RunResults, rows

LOOKS = {  # kind: mark, colour, face, words
    "oracle": ("D", GREEN, PAPER, "knows the true family"),
    "chance": ("s", FAINT, PAPER, "at random"),
}
OTHERS = ("o", BLUE, BLUE, "attributor")


def leaderboard(run: RunResults) -> Plot | str:
    """The leaderboard, where one was made."""
    if not has_leaderboard(run.folder):
        return "there is no leaderboard"
    return leaderboard_figure(read_leaderboard(run.folder))


def leaderboard_figure(board: Leaderboard) -> Plot:
    """Return the dot plot: LDS and the effect of the top k, a line an attributor, best on top."""
    table, k, unit = board.table, board.k, board.unit
    with styled():
        figure = Figure((WIDTH, 1.3 + 0.24 * len(table)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _dots(left, table, "lds")
        _dots(right, table, "effect")
        left.set_yticks(range(len(table)), [short(name, 27) for name in table["name"]], fontsize=8)
        left.set_ylim(len(table) - 0.4, -0.6)
        left.set_xlabel("LDS, a rank\ncorrelation")
        right.set_xlabel(f"effect of the top {k},\n{in_full(unit)}")
        shown = dict.fromkeys(LOOKS.get(kind, OTHERS) for kind in table["kind"])
        legend(left, {words: (mark, colour, face) for mark, colour, face, words in shown})
        found = [f"{line.name} {number(line.lds, 2)}" for line in rows(table)]
        return plot(
            figure,
            "leaderboard",
            "Which attributor predicts what models do",
            how_to_read(board),
            f"LDS of {len(table)} attributors, best first: {', '.join(found)}.",
        )


def _dots(axes: Axes, table: pd.DataFrame, what: str) -> None:
    for row, line in enumerate(rows(table)):
        value, low, high = (getattr(line, f"{what}{end}") for end in ("", "_low", "_high"))
        if not math.isfinite(value):
            continue
        mark, colour, face, _ = LOOKS.get(line.kind, OTHERS)
        axes.plot([low, high], [row, row], color=colour, lw=1.8, zorder=3)
        axes.plot(value, row, mark, mec=colour, mfc=face, ms=6, mew=1.5, zorder=4)
    axes.axvline(0, color=INK, lw=1, zorder=1)
    axes.grid(axis="x")
    axes.grid(axis="y", lw=0.4)
    axes.set_axisbelow(True)


def save_leaderboard(folder: Path) -> None:
    """Write ``results/leaderboard.md`` of a run, and its figure in ``results/figures``."""
    board = read_leaderboard(folder)
    write_text(folder / "results" / "leaderboard.md", leaderboard_markdown(board))
    leaderboard_figure(board).save(folder / "results" / "figures")

"""The figure of unlearning: the curve of cost against fidelity, a line a method."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from untrain.core.files import write_text
from untrain.core.vocabulary import Fidelity, Group, Reference
from untrain.evaluation.fidelity import GOAL
from untrain.report.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    WIDTH,
    Plot,
    plot,
    short,
    styled,
)
from untrain.report.tables.unlearning import (
    CHEAP,
    CONTROL,
    GROUPS,
    REFERENCES,
    answer,
    fidelity_markdown,
    is_told,
    share,
)
from untrain.runs.fidelity import LadderResult, has_fidelity, read_fidelity
from untrain.runs.results import RunResults

LOWEST = -1.0  # rho below it is drawn on the edge
FARTHEST, NEAREST = 32.0, 1 / 32  # moves beyond are drawn on the edge
BEST = 3  # methods that are drawn in colour
MARKS = "os^"
HEIGHTS = {Group.FORGET: 2.7, Group.QUERY: 2.7, Group.RETAINED: 1.9, Group.HELD_OUT: 1.9}
NARROW = 0.062  # least distance of two labels, a share of a panel of 2.7 inches
WORDS = {
    Reference.OTHER_SEED.value: "twin of another seed",
    Reference.OTHER_SET.value: "wrong set left out",
}
CAPTION = (
    "rho is 1 for the exact twin and 0 for doing nothing; the shaded corner is the goal, "
    f"{GOAL:g} at up to {CHEAP:.0%} of a retraining. Blue: the methods that come nearest up to "
    "there; orange: those that harm at most budgets; green: retrained models, and methods that are "
    "told the answer. Vertical lines are 95 % intervals, crosses harm, triangles lie beyond the "
    "edge. Below: how far pairs that should stay were moved, relative to the twin; 1 is as far."
)


class Look(NamedTuple):
    """How a method is drawn: its mark, colour, order in depth."""

    mark: str
    colour: str
    depth: int


def unlearning(run: RunResults) -> Plot | str:
    """The curve of cost against fidelity, where a ladder was climbed."""
    if not has_fidelity(run.folder):
        return "there is no ladder of unlearning"
    return unlearning_figure(read_fidelity(run.folder))


def unlearning_figure(result: LadderResult) -> Plot:
    """Return the curves: rho on forgotten images and pictures, moves of what should stay.

    The best `BEST` methods, by rho on forgotten images up to `CHEAP`, are blue, those that harm at
    most budgets orange, those that are told the answer green as exact retraining, the others grey.
    """
    table = result.table[result.table["kind"].isna()]
    known = [group for group in HEIGHTS if (table["group"] == group).any()]
    looks = _looks(table)
    with styled():
        height = sum(HEIGHTS[group] for group in known) + 0.5
        figure = Figure((WIDTH, height))  # laid out by hand: names stand beside the panels
        ratios = [HEIGHTS[group] for group in known]
        panels = figure.subplots(len(known), 1, sharex=True, squeeze=False, height_ratios=ratios)
        below, above = 0.5 / height, 1 - 0.25 / height
        figure.subplots_adjust(left=0.1, right=0.69, bottom=below, top=above, hspace=0.22)
        for axes, group in zip(panels[:, 0], known, strict=True):
            own = table[table["group"] == group]
            what = "rho" if group in (Group.FORGET, Group.QUERY) else "moved"
            _panel(axes, own, what, looks)
            axes.set_title(_title(group, what), loc="left")
        _cost_axis(panels[-1, 0], table)
        return plot(
            figure,
            "unlearning",
            "What forgetting costs, and how near it comes to exact retraining",
            CAPTION,
            " ".join(answer(result)) or "Curves of cost against fidelity.",
        )


def save_unlearning(folder: Path) -> None:
    """Write ``results/fidelity.md`` of a run, and its figure in ``results/figures``."""
    result = read_fidelity(folder)
    write_text(folder / "results" / "fidelity.md", fidelity_markdown(result))
    unlearning_figure(result).save(folder / "results" / "figures")


def _title(group: Group, what: str) -> str:
    words = GROUPS[group]
    start = words[0].upper() + words[1:]
    return f"{start}: rho" if what == "rho" else f"{start}: moved, relative to the twin"


def _looks(table: pd.DataFrame) -> dict[str, Look]:
    """Return how each method is drawn."""
    forget = table[(table["group"] == Group.FORGET) & ~table["method"].isin([CONTROL, *REFERENCES])]
    cheap = forget[forget["budget"] <= CHEAP]
    best = (cheap if len(cheap) else forget).groupby("method")["rho"].max().dropna()
    told = [str(method) for method in best.index if is_told(str(method))]
    first = (
        best[best > 0]
        .drop(index=told, errors="ignore")
        .sort_values(ascending=False, kind="stable")
        .index[:BEST]
    )
    harm = forget["verdict"].eq(Fidelity.HARMS).groupby(forget["method"]).mean() > 0.5
    looks = {
        str(method): Look("o", ORANGE if harm.get(method, False) else FAINT, 2)
        for method in dict.fromkeys(table["method"])
    }
    looks |= dict.fromkeys(told, Look("o", GREEN, 3))
    return looks | {
        str(m): Look(mark, BLUE, 4) for m, mark in zip(first, MARKS, strict=False) if not harm[m]
    }


def _panel(axes: Axes, own: pd.DataFrame, what: str, looks: dict[str, Look]) -> None:
    """Draw one group: lines, intervals, the references, and the names at the right."""
    if what == "rho":
        axes.set_ylim(LOWEST - 0.08, 1.12)
        axes.axhline(0, color=INK, lw=1, zorder=1)
        axes.text(0.8, -0.03, "doing nothing", ha="right", va="top", fontsize=7.5)
        axes.fill_between([1e-9, CHEAP], GOAL, 1, color=GREEN, alpha=0.12, lw=0, zorder=0)
    else:
        axes.set_yscale("log", base=2)
        axes.set_ylim(NEAREST * 0.8, FARTHEST * 1.25)
        axes.yaxis.set_major_locator(FixedLocator([1 / 16, 1 / 4, 1, 4, 16]))
        axes.yaxis.set_major_formatter(FuncFormatter(_fraction))
        axes.axhline(1, color=GREEN, lw=1.2, zorder=1)
    axes.grid(axis="both")
    axes.set_axisbelow(True)
    ends: list[tuple[float, float, str, str]] = []
    methods = [name for name in looks if name not in (CONTROL, *REFERENCES)]
    for place, method in enumerate(methods):
        line = own[own["method"] == method].assign(x=lambda t: t["spent"].fillna(t["budget"]))
        line = line.sort_values("budget", kind="stable")
        if len(line):
            shift = 1.012 ** (place - len(methods) / 2)  # so that intervals stand side by side
            end = _line(axes, line, what, looks[method], shift)
            ends += [end] if what == "rho" or looks[method].colour != FAINT else []
    for method in (*(REFERENCES if what == "rho" else ()), Reference.TWIN.value):
        if point := _reference(axes, own, what, method):
            ends.append(point)
    _names(axes, ends, what)


def _line(
    axes: Axes, line: pd.DataFrame, what: str, look: Look, shift: float
) -> tuple[float, float, str, str]:
    """Draw a method; return where its line ends, its label and colour."""
    x = line["x"].to_numpy(np.float64) * shift
    y, off = _within(line[what].to_numpy(np.float64), what)
    harms = line["verdict"].eq(Fidelity.HARMS).to_numpy() & (what == "rho")
    axes.plot(x, y, color=look.colour, lw=1.1 if look.depth < 3 else 1.8, zorder=look.depth)
    if what == "rho":
        low, high = (_within(line[end].to_numpy(np.float64), what)[0] for end in ("low", "high"))
        known = line["low"].notna().to_numpy() & (high > LOWEST)
        faint = 0.3 if look.depth < 3 else 0.8
        axes.vlines(x[known], low[known], high[known], color=look.colour, lw=0.9, alpha=faint)
    inside = ~off & ~harms
    size = 4.5 if look.depth > 3 else 3
    axes.plot(x[inside], y[inside], look.mark, color=look.colour, ms=size, zorder=look.depth)
    axes.plot(x[harms & ~off], y[harms & ~off], "x", color=ORANGE, ms=5, mew=1.4, zorder=5)
    edge = ORANGE if what == "rho" else look.colour
    down = "v" if what == "rho" else "^"
    axes.plot(x[off], y[off], down, color=edge, ms=5, mew=0, zorder=5)
    name, colour = short(str(line["method"].iloc[0]), 24), look.colour
    if harms.all():
        name, colour = f"{name}: harms", ORANGE
    elif harms.any():
        budgets = line["budget"].to_numpy()
        first = int(np.argmax(harms))
        name = f"{name}: harms {'from' if harms[first:].all() else 'at'} {share(budgets[first])}"
    return float(x[-1]), float(y[-1]), name, colour


def _reference(
    axes: Axes, own: pd.DataFrame, what: str, method: str
) -> tuple[float, float, str, str] | None:
    """Draw a retrained model at its cost of a whole training."""
    if method == Reference.TWIN:
        value, label = 1.0, "exact retraining"
    else:
        found = own.loc[own["method"] == method, what]
        if found.empty or not math.isfinite(found.iloc[0]):
            return None
        value, label = float(found.iloc[0]), WORDS[method]
    at, off = _within(np.array([value]), what)
    mark = ("v" if what == "rho" else "^") if off[0] else "D"
    axes.plot([1], at, mark, mec=GREEN, mfc=PAPER, ms=5.5, mew=1.4, zorder=6, clip_on=False)
    return 1.0, float(at[0]), label, GREEN


def _within(values: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return values cut to the panel, and which lay below or above; unknown ones lie below."""
    if what == "rho":
        off = ~(values >= LOWEST)
        return np.where(off, LOWEST, values), off
    cut = np.where(np.isnan(values), FARTHEST, np.clip(values, NEAREST, FARTHEST))
    return cut, ~(values <= FARTHEST)


def _fraction(value: float, _: int) -> str:
    """Return a power of two as people write it: 4, 1/4."""
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"


def _names(axes: Axes, ends: list[tuple[float, float, str, str]], what: str) -> None:
    """Write the names beside the panel, in the order of the lines' ends, none over another."""
    low, high = axes.get_ylim()
    if what == "rho":
        places = [(y - low) / (high - low) for _, y, _, _ in ends]
    else:
        places = [math.log(y / low) / math.log(high / low) for _, y, _, _ in ends]
    least = NARROW * (1 if what == "rho" else HEIGHTS[Group.FORGET] / HEIGHTS[Group.RETAINED])
    order = sorted(range(len(ends)), key=lambda row: places[row])
    spread = _apart([places[row] for row in order], least)
    for row, place in zip(order, spread, strict=True):
        x, y, name, colour = ends[row]
        axes.annotate(
            name,
            xy=(x, y),
            xycoords="data",
            xytext=(1.04, place),
            textcoords="axes fraction",
            va="center",
            fontsize=7.5,
            color=INK if colour == FAINT else colour,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.5,
                "alpha": 0.6,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 3,
            },
            annotation_clip=False,
        )


def _apart(places: list[float], least: float) -> list[float]:
    """Return ascending places moved as little as needed to be so far apart, within 0 and 1.

    Least squares under the constraint is isotonic regression of places less their order's share.
    """
    from sklearn.isotonic import isotonic_regression

    if not places:
        return []
    steps = min(least, 1 / max(1, len(places) - 1)) * np.arange(len(places))
    free = np.array(places) - steps
    found = isotonic_regression(free, y_min=0.0, y_max=1.0 - steps[-1]) + steps
    return [float(each) for each in found]


def _cost_axis(axes: Axes, table: pd.DataFrame) -> None:
    """Label the axis of cost, which all panels share."""
    spent = table["spent"].fillna(table["budget"])
    paid = spent[spent > 0]  # doing nothing costs nothing
    least = float(paid.min() if len(paid) else table["budget"].min())
    axes.set_xscale("log")
    axes.set_xlim(least / 1.25, 1.12)
    marks = [
        m for m in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if m >= least / 1.3
    ]
    axes.xaxis.set_major_locator(FixedLocator(marks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("cost, as a share of one retraining")

"""The figures of a report, as SVG that is the same to the byte for the same run."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from untrain.files import rng
from untrain.report.folder import Run, rows
from untrain.report.tables import (
    PRIMARY,
    VERDICTS,
    arm_label,
    designs,
    overall_table,
    prompt_table,
)
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

VERDICT_COLOURS = {"attributable": BLUE, "not attributable": ORANGE}
VERDICT_MARKS = {"attributable": "o", "not attributable": "D"}
MOST_LABELS = 40

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
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
    """A figure of the report: its name, its SVG, a title, how to read it, what it shows."""

    name: str
    svg: str
    title: str
    caption: str

    @property
    def inline(self) -> str:
        """The SVG to be put into the page: no prologue, the page's colours, ids of its own."""
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        for colour, variable in INLINE.items():
            svg = svg.replace(colour, variable)
        svg = re.sub(r'( id="|url\(#|href="#)', rf"\1{self.name}-", svg)
        svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
        return svg.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)


def figures(run: Run) -> list[Plot]:
    """Return the figures that the run has numbers for."""
    makers = (effects_by_arm, effects_by_prompt, reference_similarity)
    with plt.rc_context(STYLE):
        return [plot for make in makers if (plot := make(run)) is not None]


def effects_by_arm(run: Run) -> Plot | None:
    """Overall effect of each arm with its interval, its prompts as points, the naive beside it."""
    table = overall_table(run.effects)
    if table.empty:
        return None
    several = table["k"].nunique() > 1
    figure, axes = _canvas(0.9 + 0.62 * len(table))
    labels = []
    for row, line in enumerate(rows(table)):
        points = _prompt_points(run, line.arm, line.k)
        jitter = rng("report", line.arm).uniform(-0.3, -0.16, len(points))
        axes.plot(points, row + jitter, "o", color=FAINT, ms=4, alpha=0.6, mew=0, zorder=2)
        _estimate(axes, row, line.effect, line.low, line.high, BLUE, "o")
        _estimate(axes, row + 0.24, line.naive, line.naive_low, line.naive_high, ORANGE, "D", PAPER)
        labels.append(arm_label(line.arm) + (f", {line.k:g}" if several and line.k > 0 else ""))
    _finish(axes, labels, "bits per image token worse without them")
    keys = {
        "effect, 95 % interval": ("o", BLUE, BLUE),
        "a prompt": ("o", PAPER, FAINT),
    }
    _legend(axes, {**keys, "naive": ("D", ORANGE, PAPER)})
    return Plot(
        "effects-by-arm",
        to_svg(figure, "effects-by-arm"),
        "What each removal did",
        "Right of the line, models are worse at a prompt’s pictures without those images. The blue "
        "dot is the mean effect with its 95\N{NO-BREAK SPACE}% interval, each grey dot one prompt. "
        "The open orange diamond is the naive figure, measured against the model that drew the "
        "pictures: where it is as large for random images as for chosen ones, it only says that "
        "a model was trained again.",
    )


def _prompt_points(run: Run, arm: str, k: float) -> np.ndarray:
    rows = run.effects[
        (run.effects["design"] == designs(run.effects)[0])
        & (run.effects["arm"] == arm)
        & (run.effects["prompt_id"] != "")
        & (run.effects["measure"] == PRIMARY)
        & (math.isnan(k) | (run.effects["k"] == k))
    ]
    points = rows["estimate"].to_numpy(float)
    return points[np.isfinite(points)]


def effects_by_prompt(run: Run) -> Plot | None:
    """Effect of the targeted removal on each prompt, sorted, with intervals and verdicts."""
    table = prompt_table(run)
    table = table[np.isfinite(table["effect"]) & (table["role"] != "control")]
    if table.empty:
        return None
    labelled = len(table) <= MOST_LABELS
    figure, axes = _canvas(0.9 + (0.27 if labelled else 0.08) * len(table))
    for row, line in enumerate(rows(table)):
        colour = VERDICT_COLOURS.get(line.verdict, FAINT)
        mark = VERDICT_MARKS.get(line.verdict, "s")
        _estimate(axes, row, line.effect, line.low, line.high, colour, mark, size=5.5, width=1.6)
    labels = [_short(text) if labelled else "" for text in table["prompt"]]
    _finish(axes, labels, "bits per image token worse without its images", row_grid=labelled)
    present = [verdict for verdict in VERDICTS if verdict in set(table["verdict"])]
    keys = {}
    for verdict in present:
        colour = VERDICT_COLOURS.get(verdict, FAINT)
        keys[verdict] = (VERDICT_MARKS.get(verdict, "s"), colour, colour)
    _legend(axes, keys)
    return Plot(
        "effects-by-prompt",
        to_svg(figure, "effects-by-prompt"),
        "Each prompt",
        "One line a prompt, the strongest effect at the top. The bar is the 95\N{NO-BREAK SPACE}% "
        "interval, where there is one; an arrow means that it has no end. A bar that crosses "
        "the line at zero leaves open whether the images mattered. Shape and "
        "colour give the verdict.",
    )


def reference_similarity(run: Run) -> Plot | None:
    """The study's own measure: cosine with the reference before and after the removal."""
    table = run.similarity[(run.similarity["Folder"] != "")].dropna(subset=["Mean_1", "Mean_2"])
    if table.empty:
        return None
    change = (table["Mean_2"] - table["Mean_1"]).sort_values()
    table = table.loc[change.index]
    labelled = len(table) <= MOST_LABELS
    figure, axes = _canvas(0.9 + (0.27 if labelled else 0.08) * len(table))
    for row, line in enumerate(rows(table)):
        axes.plot([line.Mean_1, line.Mean_2], [row, row], color=FAINT, lw=1.4, zorder=2)
        axes.plot(line.Mean_1, row, "o", mfc=PAPER, mec=INK, ms=5.5, zorder=3)
        axes.plot(line.Mean_2, row, "o", color=GREEN, ms=6, zorder=4)
    labels = [_short(text.replace("_", " ")) if labelled else "" for text in table["Folder"]]
    _finish(axes, labels, "cosine similarity with the reference picture", False, labelled)
    _legend(axes, {"before": ("o", INK, PAPER), "after": ("o", GREEN, GREEN)})
    return Plot(
        "reference-similarity",
        to_svg(figure, "reference-similarity"),
        "The study’s measure, for comparison",
        "Mean similarity of a prompt’s pictures with one reference picture, before (open) and "
        "after (filled) the removal; the largest fall at the top. It has no control: the "
        "reference comes from the model of the “before” pictures, so any retrained model tends "
        "to score lower. "
        "Read it beside the figures above, not instead of them.",
    )


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(6.6, height), layout="constrained")
    return figure, axes


def _estimate(
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


def _finish(
    axes: Axes, labels: list[str], xlabel: str, zero: bool = True, row_grid: bool = True
) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    axes.grid(axis="x")
    if row_grid:
        axes.grid(axis="y", lw=0.4)
    axes.set_axisbelow(True)
    if zero:
        axes.axvline(0, color=INK, lw=1, zorder=1)


def _legend(axes: Axes, keys: dict[str, tuple[str, str, str]]) -> None:
    """Put the key above the axes, where it covers nothing."""
    for label, (mark, edge, face) in keys.items():
        axes.plot([], [], mark, mec=edge, mfc=face, ms=6, mew=1.5, label=label)
    if keys:
        axes.figure.legend(loc="outside upper left", ncols=len(keys), frameon=False, fontsize=9.5)


def _short(text: str, length: int = 34) -> str:
    # A dollar sign would start mathematics.
    cut = text if len(text) <= length else text[: length - 1].rstrip() + "…"
    return cut.replace("$", r"\$")


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG that is the same to the byte for the same figure; close it."""
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return buffer.getvalue().replace("'DejaVu Sans'", "'DejaVu Sans', system-ui, sans-serif")

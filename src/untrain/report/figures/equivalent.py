"""The figure of equivalent random removal: random subsets, and the chosen images."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from untrain.evaluation.measurement import BITS, in_full
from untrain.report.arms import arm_label
from untrain.report.figures.style import BLUE, FAINT, GREEN, INK, ORANGE, Plot, canvas, plot, styled
from untrain.runs.results import RunResults

COLOURS = {"targeted": BLUE, "family": GREEN}


def equivalent(run: RunResults) -> Plot | str:
    """How many random images have the effect of the chosen ones, if a bank was trained."""
    if not run.equivalent:
        return "no bank holds models without random subsets of several sizes"
    return equivalent_figure(run.equivalent, run.unit)


def equivalent_figure(rows: list[dict[str, Any]], unit: str = BITS) -> Plot:
    """Return the curve of random removals with the chosen ones on it.

    Parameters
    ----------
    rows : list of dict
        As ``results/equivalent.json``: what `untrain.evaluation.equivalent` returned.
    unit : str
        Of the effects.
    """
    curves: list[tuple[list[dict[str, Any]], str]] = []
    for row in rows:
        if row["curve"] not in [curve for curve, _ in curves]:
            curves.append((row["curve"], row["arm"]))
    first = min(row["removed"] for row in rows)
    with styled({"axes.spines.left": True}):
        figure, axes = canvas(4.2)
        for curve, arm in curves:
            many = len(curves) > 1
            label = "random images" + (f", prompts of {arm_label(arm)}" if many else "")
            _random(axes, curve, label, COLOURS.get(arm, ORANGE) if many else FAINT, first)
        for row in rows:
            _chosen(axes, row)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.axhline(0, color=INK, lw=1, zorder=1)
        axes.set_xlabel("images removed")
        axes.set_ylabel(f"{in_full(unit)} worse")
        axes.grid()
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper left")
        found = [f"{_name(r)}: {r['words']} random images" for r in rows]
        return plot(
            figure,
            "equivalent",
            "How many random images have the same effect",
            "The line shows how much worse models are at the pictures when that many random images "
            "are removed, with a 95\N{NO-BREAK SPACE}% interval over models and prompts. A diamond "
            "is a removal of chosen images; its dotted line ends where random images have the same "
            "effect.",
            f"Chosen images against random ones. {'; '.join(found)}.",
        )


def _random(axes: Axes, curve: list[dict[str, Any]], label: str, colour: str, first: float) -> None:
    """Draw the effects of random subsets, and the monotone curve, linear between them."""
    removed, change, level = ([row[c] for row in curve] for c in ("removed", "change", "level"))
    axes.vlines(
        removed, [r["low"] for r in curve], [r["high"] for r in curve], color=colour, lw=1.4
    )
    axes.plot(removed, change, "o", color=colour, ms=5, zorder=3, label=label)
    images = np.geomspace(min(first, *removed), max(removed), 200)
    axes.plot(images, np.interp(images, [0, *removed], [0, *level]), color=colour, lw=1.4, zorder=2)


def _chosen(axes: Axes, row: dict[str, Any]) -> None:
    """Draw a removal and a line from it to as many random images, or to the end of the curve."""
    colour = COLOURS.get(row["arm"], ORANGE)
    label = f"{_name(row)}: {row['words']} at random"
    axes.plot(row["removed"], row["effect"], "D", color=colour, ms=7, zorder=4, label=label)
    end = row["most"] if row["equivalent"] is None else row["equivalent"]
    if end > 0:
        ends = [row["removed"], end]
        axes.plot(ends, [row["effect"]] * 2, ":", color=colour, lw=1.4, zorder=2)


def _name(row: dict[str, Any]) -> str:
    return arm_label(row["arm"]) + (f", {row['k']}" if row["k"] else "")

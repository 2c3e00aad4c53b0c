"""The figure of groups: whose images what the model learnt comes from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from untrain.core.files import write_text
from untrain.report.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    WIDTH,
    Plot,
    legend,
    plot,
    short,
    styled,
)
from untrain.report.tables.shares import figure_name, shares_markdown
from untrain.report.words import number
from untrain.runs.results import RunResults, rows
from untrain.runs.shares import HELD_OUT, SEPARABLE, Shares, known_shares, read_shares

MOST = 60  # groups that are drawn: those that are worth most, and least
ESTIMATE, OF_IMAGES = "as scores estimate it", "its share of the images"


def groups(run: RunResults) -> list[Plot] | str:
    """The shares of groups, a figure for each attribute that some were made by."""
    found = [read_shares(run.folder, key) for key in known_shares(run.folder)]
    return [groups_figure(shares) for shares in found] or "no shares of groups were made"


def groups_figure(shares: Shares) -> Plot:
    """Return the bars: a line a group, its share with its interval, the largest on top.

    Beside the pictures that were asked about, those of the held-out pairs, where there are any.
    """
    table = _shown(shares)
    such = shares.overall.set_index("group").reindex(table["group"]).reset_index()
    held = shares.of(HELD_OUT).set_index("group").reindex(table["group"]).reset_index()
    panels = [(table, "of the generated pictures, %")]
    if shares.models and held["share"].notna().any():
        panels.append((held, "of pairs it has not seen, %"))
    with styled():
        figure = Figure((WIDTH, 1.7 + 0.27 * len(table)), layout="constrained")
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        keys: dict[str, tuple[str, str, str]] = {}
        for axes, (rows_of_panel, words) in zip(all_axes, panels, strict=True):
            keys |= _panel(axes, rows_of_panel, shares)
            if rows_of_panel is table and shares.models:
                _whiskers(axes, such)
            axes.set_xlabel(f"share of what was learnt\n{words}")
        labels = [f"{short(line.group, 20)} ({line.images:,})" for line in rows(table)]
        all_axes[0].set_yticks(range(len(labels)), labels, fontsize=8)
        all_axes[0].set_ylim(len(labels) - 0.4, -0.6)
        legend(all_axes[0], keys, columns=2)
        return plot(
            figure,
            figure_name(shares),
            f"Whose images the model learnt from, by {shares.by}",
            _caption(shares, len(panels)),
            _alt(table, bool(shares.models)),
        )


def _shown(shares: Shares) -> pd.DataFrame:
    """Return the rows that are drawn, the largest share first."""
    table = shares.shown
    if len(table) <= MOST:
        return table
    ends = [table.head(MOST - MOST // 4), table.tail(MOST // 4)]
    return pd.concat(ends, ignore_index=True)


def _panel(axes: Axes, table: pd.DataFrame, shares: Shares) -> dict[str, tuple[str, str, str]]:
    """Draw a line a group; return what the marks mean."""
    measured = bool(shares.models)
    for row, line in enumerate(rows(table)):
        _bar(axes, row, line, measured)
    places = np.arange(len(table))
    axes.plot(
        100 * table["images"] / shares.images, places, "|", color=ORANGE, ms=9, mew=2, zorder=5
    )
    axes.axvline(0, color=INK, lw=1, zorder=1)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    told, keys = table["status"] == SEPARABLE, {}
    if not measured:
        keys[ESTIMATE] = ("s", BLUE, BLUE)
    if measured and told.any():
        keys["share"] = ("s", BLUE, BLUE)
    if measured and not told.all():
        keys["cannot be told from zero"] = ("s", FAINT, FAINT)
    if measured and table["share_from_scores"].notna().any():
        estimate = 100 * table["share_from_scores"]
        axes.plot(estimate, places, "D", mfc="none", mec=GREEN, ms=5, zorder=5)
        keys[ESTIMATE] = ("D", GREEN, "none")
    keys[OF_IMAGES] = ("|", ORANGE, ORANGE)
    return keys


def _whiskers(axes: Axes, such: pd.DataFrame) -> None:
    """Draw how far shares may go for other prompts, in a thin line."""
    for row, line in enumerate(rows(such)):
        axes.plot([100 * line.share_low, 100 * line.share_high], [row, row], color=INK, lw=0.6)


def _bar(axes: Axes, row: int, line: Any, measured: bool) -> None:
    names = ("share", "share_low", "share_high") if measured else ("share_from_scores",) * 3
    value, low, high = (100 * getattr(line, name) for name in names)
    if not math.isfinite(value):
        return
    told = not measured or line.status == SEPARABLE
    axes.barh(row, value, 0.62, color=BLUE if told else FAINT, alpha=0.85 if told else 0.45)
    if measured and math.isfinite(low):
        axes.plot([low, high], [row, row], color=INK, lw=2, zorder=4)


def _caption(shares: Shares, panels: int) -> str:
    first = (
        "A bar says which part of what the model learnt of the pictures is there because of a "
        "group's images. "
    )
    if not shares.models:
        return (
            f"{first}It is an estimate by the scores of {shares.scores.get('method')}; no model "
            "was trained for it, and nothing says how far it is off."
        )
    more = " Diamonds are the cheap estimate from scores." if shares.scores else ""
    if panels > 1:
        more += (
            " Left: the pictures that the model drew for the prompts. Right: pairs of picture and "
            "caption that no model was trained on."
        )
    return (
        f"{first}Bars sum to 100\N{NO-BREAK SPACE}%. The thick line is what the bar may be, with "
        "95\N{NO-BREAK SPACE}% confidence, for these very pictures; the thin one, for pictures of "
        "other prompts of the kind. Grey bars cannot be told from zero: of these "
        "groups it is not known whether the model learnt anything from them. A bar to the left of "
        "zero is a group without which the model would be better at these pictures. The orange "
        f"tick is the group's part of the training images, in brackets their number.{more}"
    )


def _alt(table: pd.DataFrame, measured: bool) -> str:
    name = "share" if measured else "share_from_scores"
    parts = [
        f"{line.group} {number(100 * getattr(line, name), 1)} %"
        + (" (not separable from zero)" if line.status == "not-separable" else "")
        for line in rows(table)
    ]
    return f"Shares of {len(table)} groups, largest first: {', '.join(parts)}."


def save_shares(folder: Path, shares: Shares) -> None:
    """Write ``results/shares-<attribute>.md`` of a run, and the figure in ``results/figures``."""
    write_text(folder / "results" / f"shares-{shares.key}.md", shares_markdown(shares))
    groups_figure(shares).save(folder / "results" / "figures")

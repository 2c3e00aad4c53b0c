"""Figures of the search: scores of the chosen images and of the rest; how metrics agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from untrain.report.figures.style import (
    BLUE,
    FAINT,
    MOST_LABELS,
    ORANGE,
    PAPER,
    Plot,
    canvas,
    finish_rows,
    legend,
    plot,
    prompt_label,
    row_height,
    short,
    styled,
)
from untrain.report.model_pairs import chosen_sets
from untrain.report.ranking import main_ranking, nearness_table
from untrain.report.tables.effects import prompt_table
from untrain.report.words import number
from untrain.runs.results import RunResults, rows

DEEPEST = 0.5  # of a cell's colour, so that letters stay legible on it in light and dark


def score_table(run: RunResults) -> pd.DataFrame:
    """Return the scores behind `score_distributions`, the prompt of the strongest effect first.

    Returns
    -------
    DataFrame
        ``prompt_id, prompt, chosen`` (an array of the chosen images' scores, highest first) and
        ``least, low, middle, high, most``: quartiles and ends of the candidates not chosen.
    """
    ranking = main_ranking(run)
    ranked = dict(list(ranking[np.isfinite(ranking["score"])].groupby("prompt_id")))
    found, sets = [], chosen_sets(run)
    for line in rows(prompt_table(run)):
        if line.prompt_id not in ranked or line.prompt_id not in sets:
            continue
        table = ranked[line.prompt_id]
        ours = table["image_id"].isin(sets[line.prompt_id])
        rest = table.loc[~ours, "score"].to_numpy(float)
        if ours.any() and len(rest):
            chosen = np.sort(table.loc[ours, "score"].to_numpy(float))[::-1]
            ends = np.quantile(rest, [0, 0.25, 0.5, 0.75, 1])
            found.append((line.prompt_id, line.prompt, chosen, *ends))
    columns = ["prompt_id", "prompt", "chosen", "least", "low", "middle", "high", "most"]
    return pd.DataFrame(found, columns=columns)


def score_distributions(run: RunResults) -> Plot | str:
    """Scores of each prompt's chosen images beside those of its other candidates."""
    table = score_table(run)
    if table.empty:
        return "no ranking has both chosen images and others"
    method = short(main_ranking(run)["method"].iloc[0])
    labelled = len(table) <= MOST_LABELS
    figure, axes = canvas(0.9 + row_height(len(table)) * len(table))
    lines = np.arange(len(table))
    axes.hlines(lines, table["least"], table["most"], color=FAINT, lw=0.9)
    axes.hlines(lines, table["low"], table["high"], color=FAINT, lw=5 if labelled else 2.4)
    if labelled:
        axes.plot(table["middle"], lines, "|", color=PAPER, ms=5, mew=1.4, zorder=3)
        each = np.repeat(lines, [len(scores) for scores in table["chosen"]])
        axes.plot(np.concatenate(list(table["chosen"])), each, "o", color=BLUE, ms=4.2, mew=0)
    else:
        low, high = ([scores[i] for scores in table["chosen"]] for i in (-1, 0))
        axes.hlines(lines, low, high, color=BLUE, lw=1.6, zorder=4)
    labels = [prompt_label(r.prompt, r.prompt_id) if labelled else "" for r in rows(table)]
    finish_rows(axes, labels, f"score of the ranking “{method}”", False, labelled)
    mark = "o" if labelled else "-"
    keys = {"chosen": (mark, BLUE, BLUE), "the other candidates": ("s", FAINT, FAINT)}
    legend(axes, keys)
    apart = int(sum(line.chosen[-1] >= line.most for line in rows(table)))
    return plot(
        figure,
        "scores",
        "How far the chosen images stand out",
        "One line a prompt, the strongest effect first. The thin grey line spans the scores of the "
        "candidates that were not chosen, the thick one their middle half; the chosen images are "
        "blue. A gap between grey and blue means that the search had a clear answer; blue at the "
        "end of a long grey line means that it cut a continuum.",
        f"Scores of {len(table)} prompts; for {apart} of them every chosen image scores at least "
        "as high as all other candidates.",
    )


def agreement(run: RunResults) -> pd.DataFrame:
    """Return how metrics and rankings agree: their Spearman correlation, the mean over prompts.

    A metric is turned so that higher is nearer, standardised over the candidates of each picture
    and averaged over the pictures of a prompt, as the rankings do.

    Returns
    -------
    DataFrame
        Square, indexed by name; NaN where two have no prompt in common on which both vary.
    """
    scores = run.ranking.assign(name="ranking " + run.ranking["method"]).pivot_table(
        index=["prompt_id", "image_id"], columns="name", values="score", sort=False
    )
    parts = [part for part in (scores, nearness_table(run)) if part.size]
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, axis=1).dropna(axis=1, how="all")
    by_prompt = [own.corr("spearman") for _, own in table.groupby(level="prompt_id")]
    stacked = np.stack([found.to_numpy() for found in by_prompt])
    known_in = np.isfinite(stacked).sum(axis=0)
    mean = np.nansum(stacked, axis=0) / np.where(known_in, known_in, np.nan)
    names = [str(name).replace("_", " ") for name in table.columns]
    return pd.DataFrame(mean, index=names, columns=names)


def metric_agreement(run: RunResults) -> Plot | str:
    """Rank correlation between metrics as a triangle of cells with their numbers."""
    table = agreement(run)
    if len(table) < 2:
        return "fewer than two metrics or rankings were recorded"
    values, names = table.to_numpy(), [short(name, 30) for name in table.index]
    n = len(names)
    with styled({"axes.spines.bottom": False, "xtick.major.size": 0}):
        figure, axes = canvas(min(6.6, 2.0 + 0.25 * n))
        for row in range(1, n):
            for column in range(row):
                _cell(axes, row, column, values[row, column], 7.5 if n <= 14 else 6.5)
        axes.set_xlim(-0.5, n - 1.5)
        axes.set_ylim(n - 0.5, 0.5)
        axes.set_yticks(range(1, n), names[1:], fontsize=8.5)
        axes.set_xticks(range(n - 1), names[:-1], rotation=90, fontsize=8.5)
        kinds = {"agree": BLUE, "disagree": ORANGE}
        keys = [Patch(color=c, alpha=DEEPEST, lw=0, label=words) for words, c in kinds.items()]
        figure.legend(handles=keys, loc="outside upper left", ncols=2)
        lowest, highest = (_pair(table, how) for how in ("idxmin", "idxmax"))
        return plot(
            figure,
            "agreement",
            "Do the metrics agree?",
            "Rank correlation of each pair of metrics over the candidates of a prompt, averaged "
            "over prompts: 1 is the same order, 0 no relation, below 0 the opposite. Every metric "
            "is oriented so that higher is nearer. Metrics in strongly blue cells measure much the "
            "same; agreement between those in faint cells is worth more.",
            f"Rank correlations between {n} metrics and rankings, from {lowest} to {highest}.",
        )


def _pair(table: pd.DataFrame, which: str) -> str:
    """Name the two that agree least or most, with the number."""
    below = table.where(np.tril(np.ones(table.shape, bool), -1)).stack().dropna()
    if below.empty:
        return "none"
    first, second = getattr(below, which)()
    return f"{number(float(below[first, second]), 2)} ({first} with {second})"


def _cell(axes: Axes, row: int, column: int, value: float, size: float) -> None:
    if not np.isfinite(value):
        return
    colour = BLUE if value >= 0 else ORANGE
    corner = (column - 0.47, row - 0.47)
    square = Rectangle(corner, 0.94, 0.94, color=colour, alpha=DEEPEST * abs(value), lw=0)
    axes.add_patch(square)
    text = number(value, 2).replace("0.", ".") if abs(value) < 0.995 else number(value, 0)
    axes.text(column, row, text, ha="center", va="center", fontsize=size)

"""Figures of effects: by arm, by prompt, by how many images were removed; the study's measure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from untrain.core.files import rng
from untrain.evaluation.measurement import in_full
from untrain.report.arms import VERDICTS, arm_label, arm_order
from untrain.report.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MOST_LABELS,
    ORANGE,
    PAPER,
    WIDTH,
    Plot,
    canvas,
    estimate,
    finish_rows,
    legend,
    plot,
    prompt_label,
    row_height,
    short,
    styled,
)
from untrain.report.tables.effects import overall_table, prompt_table, single_effects
from untrain.report.words import number, uncertainty
from untrain.runs.results import RunResults, rows

VERDICT_COLOURS = {"attributable": BLUE, "not attributable": ORANGE}
VERDICT_MARKS = {"attributable": "o", "not attributable": "D"}
NINETY_FIVE = "95\N{NO-BREAK SPACE}%"


def effects_by_arm(run: RunResults) -> Plot | str:
    """Overall effect of each arm with interval, single prompts and the naive figure."""
    table = overall_table(run.effects)
    if table.empty:
        return "no overall effect was measured"
    figure, axes = canvas(arms_height(run))
    labels = draw_arms(axes, run)
    found = [
        f"{label}: {number(r.effect)}{uncertainty(r.low, r.high, math.nan)}, "
        f"naive {number(r.naive)}"
        for label, r in zip(labels, rows(table), strict=True)
    ]
    return plot(
        figure,
        "effects-by-arm",
        "What each removal did",
        f"Right of the line, models are worse at a prompt’s pictures without those images. The "
        f"blue dot is the mean effect with its {NINETY_FIVE} interval, each grey dot one prompt. "
        "The open orange diamond is the naive figure, measured against the model that drew the "
        "pictures: where it is as large for random images as for chosen ones, it shows only that "
        "a model was retrained.",
        f"Effects in {in_full(run.unit)} by what was removed. {'; '.join(found)}.",
    )


def arms_height(run: RunResults) -> float:
    """Return the height in inches that `draw_arms` needs."""
    return 0.9 + 0.62 * len(overall_table(run.effects))


def draw_arms(axes: Axes, run: RunResults) -> list[str]:
    """Draw the overall effect of each arm, its prompts and the naive figure; return the labels."""
    table = overall_table(run.effects)
    several = table["k"].nunique() > 1
    labels, drawn = [], prompt_effects(run)
    for row, line in enumerate(rows(table)):
        own = drawn[(drawn["arm"] == line.arm) & (math.isnan(line.k) | (drawn["k"] == line.k))]
        jitter = rng("report", line.arm).uniform(-0.36, -0.16, len(own))
        size = 4 if len(own) <= MOST_LABELS else 2.6
        axes.plot(own["effect"], row + jitter, "o", color=FAINT, ms=size, alpha=0.7, mew=0)
        estimate(axes, row, line.effect, line.low, line.high, BLUE, "o")
        estimate(axes, row + 0.24, line.naive, line.naive_low, line.naive_high, ORANGE, "D", PAPER)
        labels.append(arm_label(line.arm) + (f", {line.k:g}" if several and line.k > 0 else ""))
    finish_rows(axes, labels, f"{in_full(run.unit)} worse without them")
    keys = {f"effect, {NINETY_FIVE} interval": ("o", BLUE, BLUE), "a prompt": ("o", PAPER, FAINT)}
    legend(axes, {**keys, "naive": ("D", ORANGE, PAPER)})
    return labels


def prompt_effects(run: RunResults) -> pd.DataFrame:
    """Return the effects on single prompts that figures show as points: prompt_id, arm, k, effect.

    The primary measure under the design that the answer rests on.
    """
    chosen = single_effects(run.effects)
    chosen = chosen[np.isfinite(chosen["effect"].astype(float))]
    return chosen[["prompt_id", "arm", "k", "effect"]].reset_index(drop=True)


def effects_by_prompt(run: RunResults) -> Plot | str:
    """Effect of the targeted removal on each prompt, sorted, with intervals and verdicts."""
    table = prompt_table(run)
    table = table[np.isfinite(table["effect"]) & (table["role"] != "control")]
    if table.empty:
        return "no prompt has an effect of its own"
    figure, axes = canvas(prompts_height(table))
    present = draw_prompts(axes, table, run.unit)
    counts = [f"{int((table['verdict'] == verdict).sum())} {verdict}" for verdict in present]
    return plot(
        figure,
        "effects-by-prompt",
        "Each prompt",
        f"One line a prompt, the strongest effect at the top. The bar is the {NINETY_FIVE} "
        "interval, where there is one; an arrow marks an open end. If a bar crosses zero, "
        "the run does not tell whether the images mattered. Shape and colour give the verdict.",
        f"Effects on {len(table)} prompts, from {number(table['effect'].max())} down to "
        f"{number(table['effect'].min())} {in_full(run.unit)}"
        + (f": {', '.join(counts)}." if counts else "."),
    )


def prompts_height(table: pd.DataFrame) -> float:
    """Return the height in inches that `draw_prompts` needs."""
    return 0.9 + row_height(len(table)) * len(table)


def draw_prompts(axes: Axes, table: pd.DataFrame, unit: str) -> list[str]:
    """Draw the effect on each prompt of rows of `prompt_table`; return the verdicts there are."""
    labelled = len(table) <= MOST_LABELS
    size, width = (5.5, 1.6) if labelled else (3.0, 0.9)
    for row, line in enumerate(rows(table)):
        colour = VERDICT_COLOURS.get(line.verdict, FAINT)
        mark = VERDICT_MARKS.get(line.verdict, "s")
        estimate(axes, row, line.effect, line.low, line.high, colour, mark, None, size, width)
    labels = [prompt_label(r.prompt, r.prompt_id) if labelled else "" for r in rows(table)]
    finish_rows(axes, labels, f"{in_full(unit)} worse without its images", row_grid=labelled)
    present = [verdict for verdict in VERDICTS if verdict in set(table["verdict"])]
    colours = {verdict: VERDICT_COLOURS.get(verdict, FAINT) for verdict in present}
    legend(axes, {v: (VERDICT_MARKS.get(v, "s"), c, c) for v, c in colours.items()})
    return present


def k_sweep(run: RunResults) -> Plot | str:
    """Effect against the number of images removed, a panel an arm, prompts as faint lines."""
    table = overall_table(run.effects)
    table = table[np.isfinite(table["effect"]) & (table["k"] > 0)]
    sizes = table.groupby("arm")["k"].nunique()
    arms = sorted(sizes.index[sizes > 1], key=arm_order)
    if not arms:
        return "every arm removed a single number of images"
    points = prompt_effects(run)
    faint = 0.45 if points["prompt_id"].nunique() <= MOST_LABELS else 0.2
    with styled({"axes.spines.left": True}):
        figure = Figure((WIDTH, 0.6 + 2.5 * math.ceil(len(arms) / 3)), layout="constrained")
        columns = min(3, len(arms))
        panels = figure.subplots(
            math.ceil(len(arms) / 3), columns, sharex=True, sharey=True, squeeze=False
        )
        for axes, arm in zip(panels.flat, arms, strict=False):
            for _, own in points[points["arm"] == arm].groupby("prompt_id"):
                own = own.sort_values("k")
                axes.plot(own["k"], own["effect"], color=FAINT, lw=0.9, alpha=faint, zorder=2)
            mean = table[table["arm"] == arm].sort_values("k")
            axes.plot(mean["k"], mean["effect"], "o-", color=BLUE, ms=6, lw=2, zorder=4)
            low, high = (mean[end].where(np.isfinite(mean[end])) for end in ("low", "high"))
            axes.vlines(mean["k"], low, high, color=BLUE, lw=2, zorder=3)
            axes.axhline(0, color=INK, lw=1, zorder=1)
            axes.set_title(arm_label(arm), loc="left")
            axes.set_xscale("log")
            ticks = sorted(table.loc[table["arm"].isin(arms), "k"].unique())
            axes.set_xticks(ticks, [f"{k:g}" for k in ticks])
            axes.minorticks_off()
            axes.grid()
        for axes in panels.flat[len(arms) :]:
            axes.set_axis_off()
        figure.supxlabel("images removed for a prompt", fontsize=9.5)
        figure.supylabel(f"{in_full(run.unit)} worse", fontsize=9.5)
        legend(
            panels.flat[0],
            {f"mean, {NINETY_FIVE} interval": ("o-", BLUE, BLUE), "a prompt": ("-", FAINT, FAINT)},
        )
        found = [
            f"{arm_label(arm)}: "
            + ", ".join(f"{number(r.effect)} for {r.k:g}" for r in rows(own.sort_values("k")))
            for arm in arms
            for own in [table[table["arm"] == arm]]
        ]
        return plot(
            figure,
            "k-sweep",
            "More images removed",
            "How much worse models are at a prompt’s pictures as more of its images are removed, "
            f"one panel for each way to choose them. Blue is the mean with its {NINETY_FIVE} "
            "interval, each grey line one prompt. A choice that finds what matters rises early and "
            "stays above random sets of the same size.",
            f"Effects in {in_full(run.unit)} by number of images removed. {'; '.join(found)}.",
        )


def reference_similarity(run: RunResults) -> Plot | str:
    """The study's own measure: cosine with the reference before and after the removal."""
    table = run.similarity[run.similarity["Folder"].notna()].dropna(subset=["Mean_1", "Mean_2"])
    if table.empty:
        return "no similarity with a reference picture was measured"
    change = (table["Mean_2"] - table["Mean_1"]).sort_values()
    table = table.loc[change.index]
    labelled = len(table) <= MOST_LABELS
    figure, axes = canvas(0.9 + row_height(len(table)) * len(table))
    size = 6 if labelled else 3.6
    for row, line in enumerate(rows(table)):
        axes.plot([line.Mean_1, line.Mean_2], [row, row], color=FAINT, lw=1.4, zorder=2)
        axes.plot(line.Mean_1, row, "o", mfc=PAPER, mec=INK, ms=size - 0.5, zorder=3)
        axes.plot(line.Mean_2, row, "o", color=GREEN, ms=size, zorder=4)
    labels = [short(text.replace("_", " ")) if labelled else "" for text in table["Folder"]]
    finish_rows(axes, labels, "cosine similarity with the reference picture", False, labelled)
    legend(axes, {"before": ("o", INK, PAPER), "after": ("o", GREEN, GREEN)})
    return plot(
        figure,
        "reference-similarity",
        "The study’s measure, for comparison",
        "Mean similarity of a prompt’s pictures with one reference picture, before (open) and "
        "after (filled) the removal, the largest fall at the top. It has no control: the "
        "reference comes from the model of the “before” pictures, so any retrained model tends "
        "to score lower. Read it together with the figures above, not instead of them.",
        f"Similarity falls for {int((change < 0).sum())} of {len(table)} prompts; the mean change "
        f"is {number(float(change.mean()))}.",
    )

"""The figures of `case_for_the_trial.py`, as SVG that is the same to the byte for the same runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from case_pairs import trial_error
from case_runs import RANDOM
from untrain.core.files import rng
from untrain.evaluation.variance import VarianceComponents
from untrain.report.figures import BLUE, GREEN, INK, ORANGE, PAPER, STYLE

COLOURS = {"naive": ORANGE, "cross-fitted": GREEN, "trial": BLUE}
NAMES = {
    "naive": "naive:\nagainst model A",
    "cross-fitted": "cross-fitted:\none pair of models",
    "trial": "randomised\ntrial",
}
MARKS = {"naive": "D", "cross-fitted": "s", "trial": "o"}
WAYS = tuple(COLOURS)


def draw(found: dict[str, Any], folder: Path) -> None:
    """Write ``case-*.svg`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[dict[str, Any]], Figure]] = {
        "case-random-arm": random_arm,
        "case-false-positives": false_positives,
        "case-power": power,
        "case-precision": precision,
    }
    for name, make in makers.items():
        with plt.rc_context({**STYLE, "axes.spines.left": True, "svg.hashsalt": name}):
            figure = make(found)
            path = folder / f"{name}.svg"
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
            plt.close(figure)
        text = path.read_text()
        path.write_text(text.replace("'DejaVu Sans'", "'DejaVu Sans', system-ui, sans-serif"))


def random_arm(found: dict[str, Any]) -> Figure:
    """What each way reports where nothing was done: every comparison, one column a run."""
    table: pd.DataFrame = found["decisions"]
    figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    overall = table[table["what"] == "overall"]
    for row, way in enumerate(WAYS):
        arms = RANDOM if way == "trial" else ("untouched",)
        of_way = overall[(overall["way"] == way) & overall["arm"].isin(arms)]
        for place, (run, of_run) in enumerate(of_way.groupby("run")):
            at = row + (place / max(1, len(found["runs"]) - 1) - 0.5) * 0.64
            jitter = rng("case figure", way, run).uniform(-0.015, 0.015, len(of_run))
            mark = MARKS[way]
            look: dict[str, Any] = (
                {"ms": 6, "alpha": 0.95} if way == "trial" else {"ms": 4, "alpha": 0.45}
            )
            axes.plot(of_run["effect"], at + jitter, mark, color=COLOURS[way], mew=0, **look)
    _rows(axes, [NAMES[way] for way in WAYS])
    axes.axvline(0, color=INK, lw=1, zorder=1)
    axes.set_xlabel("bits a token “worse”, although none of a prompt’s images was taken out")
    return figure


def false_positives(found: dict[str, Any]) -> Figure:
    """How often each way calls an effect where there is none."""
    figure, panels = plt.subplots(1, 2, figsize=(7.2, 2.7), layout="constrained", sharey=True)
    titles = {"overall": "all prompts together", "query": "one prompt"}
    for axes, (what, title) in zip(panels, titles.items(), strict=True):
        for rate in found["rates"]:
            if rate["what"] != what or rate["arm"] in ("targeted", "family"):
                continue
            way = rate["way"]
            row = WAYS.index(way) + {"random_candidate": 0.42}.get(rate["arm"], 0.0)
            colour = COLOURS[way]
            axes.plot([rate["low"], rate["high"]], [row, row], color=colour, lw=2.2)
            axes.plot(rate["share"], row, MARKS[way], color=colour, ms=7)
            axes.annotate(
                f"{rate['share']:.0%}",
                (rate["share"], row),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        _rows(axes, [NAMES[way] for way in WAYS])
        axes.axvline(0.05, color=INK, lw=1, ls=(0, (4, 2)))
        axes.set_xlim(-0.04, 1.04)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_title(title, fontsize=10, loc="left")
    panels[0].set_xlabel("called an effect (dashed: the promised 5 %)")
    return figure


def power(found: dict[str, Any]) -> Figure:
    """Power of valid tests to see a weak set, against the number of trained models."""
    figure, panels = plt.subplots(1, 2, figsize=(7.2, 3.4), layout="constrained", sharey=True)
    titles = {"overall": f"mean of {found['n_prompts']} prompts", "query": "one prompt"}
    looks: dict[str, dict[str, Any]] = {
        "trial": {"color": BLUE, "marker": "o", "label": "trial, beside strong sets"},
        "alone": {"color": BLUE, "marker": "o", "mfc": PAPER, "label": "trial, weak sets alone"},
        "pairs": {"color": GREEN, "marker": "s", "label": "M/2 pairs for this arm alone, t test"},
    }
    for axes, (what, title) in zip(panels, titles.items(), strict=True):
        result = found["power"][what]
        for way, look in looks.items():
            rates = np.array(result[way])
            axes.plot(result["models"], rates[:, 1], lw=1.7, ms=5, **look)
            axes.plot(result["models"], rates[:, 0], lw=1, ls=":", color=look["color"])
        _logarithmic(axes, "models trained")
        axes.set_title(f"{title}: {result['effects'][1]:g} bits", fontsize=10, loc="left")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1))
    panels[0].set_ylabel("called at 5 % (dotted: without effect)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=3,
        frameon=False,
        fontsize=9,
        columnspacing=1,
    )
    return figure


def precision(found: dict[str, Any]) -> Figure:
    """Standard errors: of a random arm against models, of targeted sets against seeds."""
    noise: dict[str, VarianceComponents] = found["noise_of"]
    q = found["n_prompts"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    models = np.array(found["power"]["overall"]["models"])
    left.plot(
        models,
        [trial_error(noise["all"], m, q) for m in models],
        color=BLUE,
        label="trial, formula",
    )
    seen = found["subsets"]
    looks = {"plain": (BLUE, BLUE, "trial, measured"), "weighted": (PAPER, BLUE, "… weighted")}
    for name, (face, edge, label) in looks.items():
        values = [of[name] for of in seen.values()]
        left.plot(list(seen), values, "o", mfc=face, mec=edge, ms=6, label=label)
    repeated = [np.sqrt(6 * noise["in"].total / (m * q)) for m in models]
    left.plot(models, repeated, color=GREEN, ls="--", label="full, targeted, random\n× M/3 seeds")
    _logarithmic(left, "models trained")
    left.set_title("random arm", fontsize=10, loc="left")
    of_seeds = found["seeds"]["targeted"]
    seeds_sd, prompts_sd = of_seeds["between_beyond_prompts"], of_seeds["prompts_sd"]
    spread = {
        "these prompts": (0.0, 0.0, BLUE, ":"),
        "these prompts, any seed": (seeds_sd, 0.0, GREEN, "--"),
        "any prompts and seed": (seeds_sd, prompts_sd, ORANGE, "-"),
    }
    for label, (seeds, prompts, colour, style) in spread.items():
        starts = np.array([1, 2, 4, 8])
        own = trial_error(noise["all"], 32, q)
        values = [np.sqrt(own**2 + seeds**2 / s + prompts**2 / (q * s)) for s in starts]
        right.plot(starts, values, color=colour, ls=style, marker="o", ms=4, label=label)
    _logarithmic(right, "runs that 32 models are spread over", (1, 2, 4, 8))
    right.set_title("targeted arm", fontsize=10, loc="left")
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=9)
    left.set_ylabel("standard error, bits a token")
    return figure


def _rows(axes: Axes, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _logarithmic(axes: Axes, label: str, ticks: tuple[int, ...] = (4, 8, 16, 32, 64)) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
    axes.grid()
    axes.set_axisbelow(True)

"""How often verdicts err, over finished runs of the rendered catalogue, where the truth is known.

    python benchmarks/calibrate_verdicts.py runs/seed-* [--json out.json]

A random set in place of the targeted one must not be called attributable: its false-positive rate
is to be below 10 %, its upper end too. A whole family taken out must be: at least 80 %. Decisions
of one run share models, so that intervals count runs where decisions of a run agree (Korn and
Graubard 1998). Use runs whose draws set nothing: not the design, not the margin, not a weight.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import untrain
from between_runs import clustered_share
from untrain.core.errors import InputError
from untrain.core.files import write_json
from untrain.core.vocabulary import Arm, Design, Measure, Verdict
from untrain.evaluation import power
from untrain.evaluation.effects import trial_effects
from untrain.evaluation.variance import VarianceComponents
from untrain.evaluation.verdicts import holm, verdicts
from untrain.runs.trial import FinishedTrial, read_trial

ARMS = ("targeted", "family", "random_uniform", "random_candidate")
MOST_FALSE, LEAST_FOUND = 0.10, 0.80
FEW_RUNS = 5


def decisions(folder: Path, alpha: float | None = None, margin: float | None = None) -> Any:
    """Return the verdict on every set of a run whose effect can be told from others.

    Effects are computed anew from the run's measures.

    Returns
    -------
    DataFrame
        run, arm, prompt_id, verdict, p_value, p_holm, touches (does the set hold an image of its
        prompt's own family?).
    """
    config = untrain.load_config(folder / "config.yaml")
    if config.data.format != "rendered":
        raise InputError(f"{folder}: true families are known of the rendered catalogue alone")
    effects = effects_of(folder)
    settings, primary = config.evaluation, config.removal.k[0]
    level, within = alpha or settings.alpha, margin or settings.margin
    found = []
    for arm in ARMS:
        k = None if arm == "family" else primary
        found.append(verdicts(effects, level, within, arm, k=k).assign(arm=arm))
    table = pd.concat([part for part in found if len(part)], ignore_index=True)
    table = table[table["p_value"].notna()]
    keys = zip(table["arm"], table["prompt_id"], strict=True)
    touching = _touching(folder, config.data, primary)
    return table.assign(run=folder.name, touches=[key in touching for key in keys])


@cache
def effects_of(folder: Path) -> pd.DataFrame:
    """Return the effects of a run on the likelihood of its queries."""
    config, trial = untrain.load_config(folder / "config.yaml"), read_trial(folder)
    nll = trial.measures[trial.measures["measure"] == "nll"]
    draws = config.evaluation.draws
    return trial_effects(nll, trial.sets, trial.assignment, draws, config.seed).table


@lru_cache
def _families(families: int, size: int, seed: int) -> dict[str, str]:
    catalog = untrain.load_catalog("rendered", families=families, size_of_family=size, seed=seed)
    return dict(zip(catalog.ids, catalog.attributes["family"], strict=True))


def _touching(folder: Path, data: Any, primary: int) -> set[tuple[str, str]]:
    """Return (arm, prompt_id) of the sets that hold an image of their prompt's own family."""
    family = _families(data.families, data.family_size, data.seed)
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    sets = sets[(sets["k"] == primary) | (sets["arm"] == "family")]
    prompts = pd.read_csv(folder / "prompts.csv", dtype=str, keep_default_na=False)
    own = sets["prompt_id"].map(dict(zip(prompts["prompt_id"], prompts["family"], strict=True)))
    held = sets[sets["image_id"].map(family) == own]
    return set(zip(held["arm"], held["prompt_id"], strict=True))


def share(of: pd.DataFrame, verdict: str) -> dict[str, Any]:
    """Return how often a verdict was given, with an interval over runs."""
    named = (of["verdict"] == verdict).groupby(of["run"], sort=False)
    hits, trials = named.sum().to_numpy(), named.count().to_numpy()
    value, low, high = clustered_share(hits, trials)
    return {
        "hits": int(hits.sum()),
        "sets": int(trials.sum()),
        "runs": len(trials),
        "share": value,
        "low": low,
        "high": high,
    }


def shares(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the error rates that the protocol asks for, and what they are to be."""
    uniform = table[table["arm"] == "random_uniform"]
    candidate = table[table["arm"] == "random_candidate"]
    family, targeted = (table[table["arm"] == arm] for arm in ("family", "targeted"))
    nothing = pd.concat([uniform, candidate])
    asked = [
        (
            "random sets of both kinds without the prompt's family, called attributable",
            nothing[~nothing["touches"]],
            Verdict.ATTRIBUTABLE,
            "most",
        ),
        ("random sets, called attributable", uniform, Verdict.ATTRIBUTABLE, "most"),
        ("random sets, called not attributable", uniform, Verdict.NOT_ATTRIBUTABLE, ""),
        (
            "random of the candidates, without the prompt's family, called attributable",
            candidate[~candidate["touches"]],
            Verdict.ATTRIBUTABLE,
            "most",
        ),
        (
            "random of the candidates, with images of the family, called attributable",
            candidate[candidate["touches"]],
            Verdict.ATTRIBUTABLE,
            "",
        ),
        ("whole family, called attributable", family, Verdict.ATTRIBUTABLE, "least"),
        ("whole family, called not attributable (false)", family, Verdict.NOT_ATTRIBUTABLE, ""),
        ("found set, called attributable", targeted, Verdict.ATTRIBUTABLE, ""),
    ]
    rows = []
    for what, of, verdict, bound in asked:
        if len(of):
            rows.append({"what": what, **share(of, verdict), "bound": bound})
    return rows


def judged(row: dict[str, Any]) -> str:
    """Return in words whether a rate is as it must be, and whether its interval is."""
    if row["bound"] == "most":
        kept, sure, words = row["share"] < MOST_FALSE, row["high"] < MOST_FALSE, "upper end < 10 %"
    elif row["bound"] == "least":
        kept, sure, words = row["share"] >= LEAST_FOUND, row["low"] >= LEAST_FOUND, "≥ 80 %"
    else:
        return ""
    if sure:
        return f"{words}: yes, the whole interval"
    return f"{words}: {'the share, not the whole interval' if kept else 'NO'}"


def measured_noise(trials: Sequence[FinishedTrial], having: bool = True) -> VarianceComponents:
    """Return the mean variances of the runs' trials, as `untrain.evaluation.power.trial_noise`.

    With ``having=False``, among the models that lack a prompt's smallest own set.
    """
    found = []
    for trial in trials:
        drawn = trial.assignment if having else replace(trial.assignment, out=~trial.assignment.out)
        found.append(power.trial_noise(trial.measures, trial.sets, drawn))
    return VarianceComponents(
        float(np.mean([noise.shared for noise in found])),
        float(np.mean([noise.own for noise in found])),
    )


def report(
    rows: list[dict[str, Any]],
    trials: Sequence[FinishedTrial],
    table: pd.DataFrame,
    overall: pd.DataFrame,
) -> str:
    """Return everything as Markdown."""
    lines = ["| decisions | share | 95 % interval | must be |", "|---|---|---|---|"]
    for row in rows:
        ends = f"{row['low']:.1%} to {row['high']:.1%}"
        count = f"{row['share']:.1%} ({row['hits']} of {row['sets']}, {row['runs']} runs)"
        lines.append(f"| {row['what']} | {count} | {ends} | {judged(row)} |")
    lines.append("")
    family = next(row for row in rows if row["bound"] == "least")
    if any(row["share"] in (0.0, 1.0) for row in rows):
        lines.append(
            "Where all decisions agree their dependence within a run cannot be estimated: there "
            "each run counts once, which makes the interval as wide as it can be. Were decisions "
            f"independent, the least share of {family['sets']} of {family['sets']} would be "
            f"{0.025 ** (1 / family['sets']):.1%}."
        )
    if min(row["runs"] for row in rows) < FEW_RUNS:
        lines.append(f"Fewer than {FEW_RUNS} runs: the intervals rest on very few.")
    models = len(trials[0].assignment.model_ids)
    noise, lacking = measured_noise(trials), measured_noise(trials, having=False)
    found = table[table["arm"] == "targeted"]
    kept = int((found["p_holm"] <= 0.05).sum())
    lines.append(
        f"After Holm over the prompts of a run {kept} of {len(found)} found sets stay attributable "
        f"at 5 % (the smallest p with {models} models is {1 / math.comb(models, models // 2):.4f})."
    )
    sd, queries = math.sqrt(noise.total), int(found.groupby("run").size().max())
    one, every = power.simulate(models), power.simulate(models, queries)
    lines += [
        f"Noise of a query between paired models that have its own images: sd {sd:.3f} bits/token, "
        f"correlation of two queries {noise.correlation:.3f} (between those that lack them: sd "
        f"{math.sqrt(lacking.total):.3f}, {lacking.correlation:.3f}).",
        f"With {models} models and this noise an effect of {one.detectable(sd):.2f} bits/token in "
        f"one query, or of {every.detectable(sd):.3f} on average over {queries}, is found with "
        f"80 %; a query that nothing moves is called not attributable (±0.1) with "
        f"{one.not_attributable(0.1, sd):.0%}.",
        "",
        "| run | overall effect of the found sets | p | Holm over the runs |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r.name} | {r.effect:.2f} ({r.low:.2f} to {r.high:.2f}) | {r.p_value:.4f} | "
        f"{r.p_holm:.4f} |"
        for r in overall.itertuples(index=False)
    ]
    return "\n".join(lines) + "\n"


def holm_over(
    tables: Mapping[str, pd.DataFrame],
    arm: str = Arm.TARGETED,
    measure: str = Measure.NLL,
    k: int | None = None,
) -> pd.DataFrame:
    """Return the overall effect of several trials, p adjusted for their being tested together.

    Parameters
    ----------
    tables : mapping
        Name of a run, prompt set or method → its table of effects. Those named here are the family
        of tests: name all that were tried.
    arm, measure, k
        As for `untrain.evaluation.verdicts.verdicts`.

    Returns
    -------
    DataFrame
        name, effect, low, high, p_value, p_holm.
    """
    rows = []
    for name, effects in tables.items():
        overall = effects[
            (effects["design"] == Design.RANDOMISED)
            & (effects["arm"] == arm)
            & (effects["measure"] == measure)
            & effects["prompt_id"].isna()
        ]
        overall = overall[overall["k"] == (overall["k"].min() if k is None else k)]
        if overall.empty:
            raise InputError(f"{name}: found no overall effect of the arm {arm} on {measure}")
        rows.append((name, *overall.iloc[0][["effect", "low", "high", "p_value"]]))
    found = pd.DataFrame(rows, columns=["name", "effect", "low", "high", "p_value"])
    return found.assign(p_holm=holm(found["p_value"].to_numpy(float)))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--alpha", type=float, help="level of the verdicts; default: the runs' own")
    parser.add_argument("--margin", type=float, help="margin of equivalence; default: their own")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    return parser.parse_args()


def main() -> None:
    """Print the tables, and write the figures if asked."""
    args = parse()
    table = pd.concat([decisions(run, args.alpha, args.margin) for run in args.runs])
    trials = [read_trial(run) for run in args.runs]
    models = {len(trial.assignment.model_ids) for trial in trials}
    if len(models) > 1:
        raise InputError(f"the runs have {sorted(models)} paired models: calibrate each size apart")
    effects = {run.name: effects_of(run) for run in args.runs}
    rows = shares(table)
    print(report(rows, trials, table, holm_over(effects)))
    if args.json:
        noise = measured_noise(trials)
        figures = {"noise_sd": math.sqrt(noise.total), "noise_correlation": noise.correlation}
        write_json(args.json, {"shares": rows, **figures})


if __name__ == "__main__":
    main()

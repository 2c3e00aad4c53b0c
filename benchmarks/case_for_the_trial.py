"""Did the removal matter? Three ways of answering, on the same trained models.

    python benchmarks/case_for_the_trial.py runs/seed-* --figures docs/results/figures

From finished runs of the demo (they are only read) it compares

  naive         models without the images against model A, which drew the pictures; a signed-rank
                test over prompts, or over the five pictures of one prompt
  cross-fitted  one pair of other models, without against with; the same tests
  trial         all models of the bank; the exact randomisation test

by what they say where nothing was done to a prompt (estimate, false positives), by what they see
(targeted sets, true families), and by how models, prompts and seeds pay; it then looks for where
the trial fails. A prompt is *untouched* by a comparison if both models had the same images of its
family and of its targeted set. Simulations use the noise that was measured.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import simulated_trials as simulated
from between_runs import clustered_share
from case_noise import MODELS, cross_effects, noises, seeds, subsets, weighted
from case_pairs import comparable, model_pairs
from case_runs import RANDOM, Trial, read_trial
from case_tables import WAYS, tables
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.counterfactual.design import redraw
from untrain.evaluation.least_squares import Adjustment
from untrain.evaluation.randomisation import (
    Inference,
    can_enumerate,
    every_half,
    randomisation_test,
    with_observed,
)
from untrain.evaluation.variance import VarianceComponents

UNTOUCHED = "untouched"
ALPHA = 0.05
PROMPTS = (4, 8, 16, 32, 64)
WEAK = {"overall": 0.1, "query": 0.5}
"""True effects of which the power is simulated, bits a token."""


def comparisons(trial: Trial) -> list[dict[str, Any]]:
    """Return the changes that the two naive ways look at, one model or pair after the other."""
    found: list[dict[str, Any]] = []
    with_a = np.concatenate([trial.y, trial.a[:, None]], axis=1)
    nothing = np.zeros((len(trial.sets), 1), bool)
    out = np.concatenate([trial.out, nothing], axis=1)  # A lacks nothing
    last = trial.out.shape[1]
    pairs = [(m, last, "naive") for m in range(last)]
    pairs += [(m, n, "cross-fitted") for m, n in model_pairs(trial.out)]
    for without, having, way in pairs:
        changes = with_a[:, without] - with_a[:, having]
        removed = out[:, without] & ~out[:, having]
        same = comparable(trial.touching, out, without, having)
        key = {"run": trial.name, "way": way, "pair": f"{without}-{having}"}
        cases = {UNTOUCHED: np.flatnonzero(same)}
        for arm in ("targeted", "family"):
            rows = trial.rows(arm)
            cases[arm] = trial.sets["prompt"].to_numpy()[rows[removed[rows]]]
        for arm, prompts in cases.items():
            if len(prompts) >= 5:  # fewer can never be significant by signed ranks
                change = changes[prompts].mean(axis=1)
                found.append({**key, "what": "overall", "arm": arm, "change": change})
        for arm in RANDOM:
            rows = trial.rows(arm)
            prompts = trial.sets["prompt"].to_numpy()[rows[removed[rows]]]
            cases[arm] = prompts[same[prompts]]
        for arm, prompts in cases.items():
            if arm != UNTOUCHED:
                name = "random" if arm in RANDOM else arm
                found += [
                    {**key, "what": "query", "arm": name, "change": changes[q]} for q in prompts
                ]
    return found


def decide(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Test each of the changes by one-sided signed ranks and by t."""
    table = pd.DataFrame(found)
    table["n"] = table["change"].map(len)
    table["effect"] = table["change"].map(np.mean)
    table["p"], table["t_p"] = np.nan, np.nan
    for _, index in table.groupby("n").groups.items():
        changes = np.stack(list(table.loc[index, "change"]))
        ranks = stats.wilcoxon(changes, alternative="greater", axis=1, method="exact")
        table.loc[index, "p"] = ranks.pvalue
        table.loc[index, "t_p"] = stats.ttest_1samp(
            changes, 0, axis=1, alternative="greater"
        ).pvalue
    return table.drop(columns="change")


def exact(
    trial: Trial, rows: Sequence[int] | np.ndarray, adjusted: bool, draws: int = 2000
) -> Inference:
    """Test the mean effect of some sets on their prompts, as the package does."""
    rows = list(rows)
    prompts = trial.sets["prompt"].to_numpy()[rows]
    given = tuple(trial.out[[trial.own[q]] if adjusted else []] for q in prompts)
    out = trial.out[rows]
    if len(rows) == 1 and can_enumerate(out.shape[1]):
        null = every_half(out.shape[1])
    else:
        redrawn = redraw(trial.assignment, rng("case", trial.name), draws)
        null = with_observed(out, redrawn[:, rows])
    return randomisation_test(trial.mean[prompts], out, null, adjustment=Adjustment(given))


def trial_decisions(trial: Trial) -> list[dict[str, Any]]:
    """Return one row for each arm and for each of its prompts."""
    found = []
    for arm in ("targeted", "family", *RANDOM):
        rows = trial.rows(arm)
        key = {"run": trial.name, "way": "trial", "pair": ""}
        if len(rows):
            result = exact(trial, rows, arm in RANDOM)
            more = {"null_sd": result.null_sd, "two_sided_p": result.two_sided_p, "n": len(rows)}
            limits = {"low": result.low, "high": result.high}
            found.append(
                {**key, **more, **limits, "what": "overall", "arm": arm}
                | {"effect": result.effect, "p": result.p_value}
            )
        name = "random" if arm in RANDOM else arm
        for row in rows:
            result = exact(trial, [row], arm in RANDOM)
            found.append(
                {**key, "what": "query", "arm": name, "n": 1, "prompt": trial.sets["prompt"][row]}
                | {"effect": result.effect, "p": result.p_value}
                | {"two_sided_p": result.two_sided_p}
            )
    return found


def rates(decisions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how often each way calls an effect at 5 %, with intervals that respect runs."""
    found = []
    for (what, arm, way), of in decisions.groupby(["what", "arm", "way"], sort=False):
        per_run = (of["p"] <= ALPHA + 1e-9).groupby(of["run"]).agg(["sum", "count"])
        share, low, high = clustered_share(per_run["sum"].to_numpy(), per_run["count"].to_numpy())
        other = of["two_sided_p"] if way == "trial" else of["t_p"]
        found.append(
            {"what": what, "arm": arm, "way": way, "share": share, "low": low, "high": high}
            | {"two_sided": float((other <= ALPHA + 1e-9).mean())}
            | {"decisions": len(of), "prompts": float(of["n"].median())}
        )
    return found


def random_arm(decisions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return what each way reports where nothing was done: mean over runs, and spreads."""
    found = {}
    for way in WAYS:
        of_way = decisions[decisions["way"] == way]
        queries = of_way[(of_way["what"] == "query") & (of_way["arm"] == "random")]
        runs = queries.groupby("run")["effect"].mean()
        single = of_way[(of_way["what"] == "overall") & of_way["arm"].isin([UNTOUCHED, *RANDOM])]
        found[way] = {
            "mean": float(runs.mean()),
            "error": float(runs.std(ddof=1) / math.sqrt(len(runs))),
            "spread_of_runs": float(runs.std(ddof=1)),
            "spread_of_one": float(single["effect"].std(ddof=1)),
            "prompts_of_one": float(single["n"].median()),
        }
    return found


def powers(noise: dict[str, VarianceComponents], n_prompts: int) -> dict[str, Any]:
    """Simulate power to see a weak set against the number of trained models.

    ``trial``: beside strong sets of the same prompts, as on the demo. ``alone``: in a bank without
    those. ``pairs``: M/2 pairs that differ in this arm alone, t over pairs.
    """
    found: dict[str, Any] = {}
    for what, prompts in (("overall", n_prompts), ("query", 1)):
        true = (0.0, WEAK[what])
        rates: dict[str, Any] = {"effects": true, "models": MODELS}
        for name, of in (("trial", noise["all"]), ("alone", noise["in"])):
            rates[name] = [
                simulated.trial_power(of, m, prompts, true, rng("case", what, m)).tolist()
                for m in MODELS
            ]
        rates["pairs"] = [
            simulated.pairs_power(noise["in"], m // 2, prompts, true).tolist() for m in MODELS
        ]
        found[what] = rates
    found["luck"] = {
        shared: {
            n: float(
                simulated.prompts_rejections(
                    VarianceComponents(shared, 1 - shared), n, (0.0,), rng("luck", n)
                )[0]
            )
            for n in PROMPTS
        }
        for shared in (0.0, 0.01, 0.05, 0.1, 0.3)
    }
    return found


def coverages(
    measured: dict[str, VarianceComponents], spread: float, n_prompts: int
) -> list[dict[str, Any]]:
    """Simulate where the trial's interval rests on what may be false."""
    noise = measured["all"]
    sd = math.sqrt(noise.total)
    extra = math.sqrt(max(0.0, measured["out"].total - measured["in"].total))
    world = simulated.World
    worlds = [
        world("effect constant"),
        world("prompts differ, truth: these prompts", prompts_sd=spread),
        world("prompts differ, truth: all such prompts", prompts_sd=spread, of_population=True),
        world("one prompt in 16 has it all, truth: these", prompts_sd=sd, rare=True),
        world("effect varies by model, each prompt apart", models_sd=extra),
        world("effect varies by model, in step", models_sd=sd, in_step=True),
        world("heavy tails (t, 3 df)", heavy=True),
        world("each set moves all pictures (sd)", cross_sd=0.25 * sd),
        world("each set helps all others (mean)", cross_mean=-0.1 * sd),
    ]
    found = []
    for n_models in (8, 16):
        for each in worlds:
            result = simulated.coverage(
                each, noise, n_models, n_prompts, rng("case coverage", each.name, n_models)
            )
            found.append({"world": each.name, "models": n_models, **vars(result)})
    return found


def analyse(folders: Sequence[Path]) -> dict[str, Any]:
    """Do everything; return what is printed, drawn and written as JSON."""
    trials = [read_trial(folder) for folder in folders]
    if len(trials) < 2:
        raise InputError("one run has no spread over seeds; give at least two")
    changes = [row for trial in trials for row in comparisons(trial)]
    exacts = [row for trial in trials for row in trial_decisions(trial)]
    decisions = pd.concat([decide(changes), pd.DataFrame(exacts)], ignore_index=True)
    measured = noises(trials)
    noise = {kind: of for kind, (of, _) in measured.items()}
    of_seeds = seeds(trials, decisions)
    n_prompts = int((trials[0].sets["arm"] == "targeted").sum())
    spreads = {
        name: float(
            np.mean([exact(t, t.rows(arm), adjusted).null_sd for t in trials for arm in RANDOM])
        )
        for name, adjusted in (("plain", False), ("adjusted", True))
    }
    return {
        "runs": [trial.name for trial in trials],
        "models": sorted({trial.out.shape[1] for trial in trials}),
        "n_prompts": n_prompts,
        "decisions": decisions,
        "noise_of": noise,
        "random_arm": random_arm(decisions),
        "rates": rates(decisions),
        "noise": {
            kind: {"shared": of.shared, "own": of.own, "sd": math.sqrt(of.total)}
            | {"correlation": of.correlation, "correlation_error": error}
            for kind, (of, error) in measured.items()
        },
        "seeds": of_seeds,
        "cross": cross_effects(trials),
        "subsets": subsets(trials, noise),
        "weighted": weighted(trials, noise),
        "adjusting": spreads,
        "power": powers(noise, n_prompts),
        "coverage": coverages(noise, of_seeds["targeted"]["prompts_sd"], n_prompts),
    }


def main() -> None:
    """Print the tables; write figures and JSON if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--figures", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    found = analyse(args.runs)
    print(tables(found))
    if args.figures:
        import case_figures

        case_figures.draw(found, args.figures)
    if args.json:
        kept = {k: v for k, v in found.items() if k not in ("decisions", "noise_of")}
        args.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()

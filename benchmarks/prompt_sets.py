"""The study's Table 1 beside ours, one row per prompt set, from one finished run over all sets.

    python benchmarks/prompt_sets.py runs/ten-sets --published tables/ --out ten-sets

The run's prompts are the sets' prompts one after another, ``--size`` of each. ``--published`` is a
folder of the study's tables (similarity_results__<n>.csv). It prints for each set:

- the study: mean cosine with the reference picture before and after, as published;
- ours, the study's way: before = other pictures of the model that drew the reference, after =
  models trained without the prompt's images; its control: models that lost *none* of them;
- cross-fitted: after minus before between models of another seed, by the randomised trial.

Below the tables: the images found beside random ones, whether the sets differ, and how much of the
change measured in the study's way occurs with the prompt's own images kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from untrain.core.files import write_text
from untrain.core.vocabulary import SAMPLER, Design
from untrain.evaluation.effects import trial_effects
from untrain.evaluation.study_table import column_means
from untrain.evaluation.verdicts import holm
from untrain.runs.trial import FinishedTrial, read_trial

COSINE, NLL = "reference_cosine", "nll"
EVERY = "all"
BEYOND = "targeted - random_uniform"


def sets_of(prompts: pd.DataFrame, size: int) -> dict[str, str]:
    """Return by prompt_id the number of its set, from 1."""
    asked = prompts[prompts["role"] == "query"]["prompt_id"]
    return {str(p): str(place // size + 1) for place, p in enumerate(asked)}


def published(folder: Path) -> pd.DataFrame:
    """Return before, after and the standard error of the change of each published table."""
    rows = {}
    every = []
    for file in folder.glob("similarity_results__*.csv"):
        table = pd.read_csv(file)
        means = column_means(table)
        own = table[table["Folder"].notna()]
        change = (own["Mean_2"] - own["Mean_1"]).dropna()
        every.append(change)
        rows[file.stem.rpartition("__")[2]] = _change(means["Mean_1"], means["Mean_2"], change)
    changes = pd.concat(every)
    before = float(np.mean([row["before"] for row in rows.values()]))
    rows[EVERY] = _change(before, before + changes.mean(), changes)
    return pd.DataFrame.from_dict(rows, orient="index")


def _change(before: float, after: float, change: pd.Series) -> dict[str, float]:
    error = change.std() / np.sqrt(len(change))
    return {"before": before, "after": after, "change": float(change.mean()), "error": error}


def in_the_studys_way(trial: FinishedTrial, k: int) -> pd.DataFrame:
    """Return the mean reference cosine of each prompt: A's pictures, models without, models with.

    Returns
    -------
    DataFrame
        Indexed by prompt_id: before (A), after (models without the targeted set), control (models
        of the same other seed that have it), noise (standard deviation of one such model).
    """
    found = trial.measures[trial.measures["measure"] == COSINE]
    table = found.pivot_table("value", "prompt_id", "model_id")
    sets = trial.sets[(trial.sets["arm"] == "targeted") & (trial.sets["k"] == k)]
    rows = {}
    for one in sets.itertuples():
        out = trial.assignment.out[one.Index]
        values = table.loc[one.prompt_id, list(trial.assignment.model_ids)].to_numpy()
        rows[one.prompt_id] = {
            "before": table.loc[one.prompt_id, SAMPLER],
            "after": values[out].mean(),
            "control": values[~out].mean(),
            "noise": values[~out].std(ddof=1),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def cross_fitted(trial: FinishedTrial, prompts: list[str], draws: int) -> pd.DataFrame:
    """Return the overall effects on some prompts, indexed by (measure, arm, k).

    The arm ``targeted - random_uniform`` is the difference of the two.
    """
    of_set = trial.measures[trial.measures["prompt_id"].isin(prompts)]
    of_set = of_set[of_set["measure"].isin((COSINE, NLL))]
    effects = trial_effects(of_set, trial.sets, trial.assignment, draws).table
    beside = effects["design"].isin((Design.NAIVE, Design.INCREMENT))
    overall = effects[effects["prompt_id"].isna() & ~beside].copy()
    compared = overall["control"].notna()
    overall.loc[compared, "arm"] += " - " + overall.loc[compared, "control"]
    return overall.set_index(["measure", "arm", "k"])


def rows_of(
    folder: Path, size: int, tables: Path | None, draws: int
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return everything of each set and of all together, and `in_the_studys_way`."""
    trial = read_trial(folder)
    of = sets_of(pd.read_csv(folder / "prompts.csv", keep_default_na=False), size)
    k = int(trial.sets[trial.sets["arm"] == "targeted"]["k"].min())
    naive = in_the_studys_way(trial, k)
    known = published(tables) if tables else None
    rows = []
    for name in [*dict.fromkeys(of.values()), EVERY]:
        prompts = [p for p, number in of.items() if name in (number, EVERY)]
        own = naive.loc[[p for p in prompts if p in naive.index]]
        row: dict[str, Any] = {"set": name, "prompts": len(own)}
        if known is not None and name in known.index:
            row |= {f"study_{column}": known.loc[name, column] for column in known.columns}
        row |= {column: own[column].mean() for column in naive.columns}
        effects = cross_fitted(trial, prompts, draws)
        effects = effects.reindex(effects.index.union(_wanted(k)))  # few models give no difference
        for measure in (COSINE, NLL):
            for arm in ("targeted", "random_uniform", BEYOND):
                found = effects.loc[(measure, arm, k)]
                two_sided = measure == COSINE or arm == BEYOND
                p = found["two_sided_p"] if two_sided else found["p_value"]
                values = {**found[["effect", "low", "high", "null_sd"]].to_dict(), "p": p}
                row |= {f"{measure}_{arm}_{key}": value for key, value in values.items()}
        rows.append(row)
    for measure in (COSINE, NLL):
        adjusted = holm([row[f"{measure}_targeted_p"] for row in rows[:-1]])
        for row, p in zip(rows, adjusted, strict=False):
            row[f"{measure}_targeted_p_holm"] = p
    return rows, naive


def _wanted(k: int) -> pd.MultiIndex:
    arms = ("targeted", "random_uniform", BEYOND)
    names = ["measure", "arm", "k"]
    return pd.MultiIndex.from_product([(COSINE, NLL), arms, [k]], names=names)


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the two tables: the study's measure, and bits a token."""
    lines = [
        "| set | the study: before → after | its change ± s.e. | ours, its way: before → after "
        "| change | change, own images kept | cross-fitted change (95 %) | p, two-sided "
        "| p, Holm |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        study, change = "—", "—"
        if "study_before" in row:
            study = f"{row['study_before']:.3f} → {row['study_after']:.3f}"
            change = f"{row['study_change']:.3f} ± {row['study_error']:.3f}"
        lines.append(
            f"| {row['set']} | {study} | {change} | {row['before']:.3f} → {row['after']:.3f} "
            f"| {row['after'] - row['before']:.3f} | {row['control'] - row['before']:.3f} "
            f"| {_effect(row, COSINE, 'targeted')} | {row[f'{COSINE}_targeted_p']:.3f} "
            f"| {_holm(row, COSINE)} |"
        )
    lines += [
        "",
        "| set | without the images found, bits/token (95 %) | p, one-sided | p, Holm "
        "| without as many random images | p, one-sided | difference | p, two-sided |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['set']} | {_effect(row, NLL, 'targeted')} | {row[f'{NLL}_targeted_p']:.4f} "
            f"| {_holm(row, NLL)} | {_effect(row, NLL, 'random_uniform')} "
            f"| {row[f'{NLL}_random_uniform_p']:.3f} | {_effect(row, NLL, BEYOND)} "
            f"| {row[f'{NLL}_{BEYOND}_p']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def remarks(rows: list[dict[str, Any]], naive: pd.DataFrame, draws: int) -> str:
    """Return what the rows are to be read with."""
    of_sets, noise = rows[:-1], rows[-1]["noise"]
    effects = np.array([row[f"{NLL}_targeted_effect"] for row in of_sets])
    errors = np.array([row[f"{NLL}_targeted_null_sd"] for row in of_sets])
    centre = np.average(effects, weights=errors**-2)
    spread = float((((effects - centre) / errors) ** 2).sum())  # Cochran's Q
    p = chi2.sf(spread, len(effects) - 1)
    change = (naive["after"] - naive["before"]).to_numpy()
    idle = (naive["control"] - naive["before"]).to_numpy()
    chosen = np.random.default_rng(0).integers(len(change), size=(10_000, len(change)))
    shares = idle[chosen].mean(axis=1) / change[chosen].mean(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return (
        f"\nThe smallest p that {draws:,} draws allow is {1 / (draws + 1):.5f}.\n"
        f"The ten sets' effects: Cochran's Q = {spread:.1f} on {len(effects) - 1} degrees of "
        f"freedom, p = {p:.2f}.\n"
        f"Of the change measured in the study's way, {idle.mean() / change.mean():.0%} occurs with "
        f"the prompt's own images kept (95 % over prompts: {low:.0%} to {high:.0%}).\n"
        "Standard deviation of a prompt's cosine when one model is replaced by another seed: "
        f"{noise:.3f}.\n"
    )


def _effect(row: dict[str, Any], measure: str, arm: str) -> str:
    low, high = row[f"{measure}_{arm}_low"], row[f"{measure}_{arm}_high"]
    return f"{row[f'{measure}_{arm}_effect']:.3f} ({low:.3f} to {high:.3f})"


def _holm(row: dict[str, Any], measure: str) -> str:
    value = row.get(f"{measure}_targeted_p_holm")
    return "—" if value is None else f"{value:.3f}"


def main() -> None:
    """Print the tables and write them beside a CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of the finished run")
    parser.add_argument("--size", type=int, default=15, help="prompts a set")
    parser.add_argument("--published", type=Path, help="folder of similarity_results__<n>.csv")
    parser.add_argument("--draws", type=int, default=2000, help="re-drawn assignments")
    parser.add_argument("--out", type=Path, help="write <out>.md and <out>.csv")
    arguments = parser.parse_args()
    rows, naive = rows_of(arguments.run, arguments.size, arguments.published, arguments.draws)
    text = markdown(rows) + remarks(rows, naive, arguments.draws)
    print(text)
    if arguments.out:
        write_text(arguments.out.with_suffix(".md"), text)
        write_text(arguments.out.with_suffix(".csv"), pd.DataFrame(rows).to_csv(index=False))


if __name__ == "__main__":
    main()

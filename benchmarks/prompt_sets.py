"""The study's Table 1 beside ours, one row a prompt set, from one finished run over all sets.

    python benchmarks/prompt_sets.py runs/ten-sets --published tables/ --out ten-sets

The run's prompts are the sets' prompts one after another, ``--size`` of each. ``--published`` is a
folder of the study's tables (similarity_results__<n>.csv). What is printed of a set:

- the study: mean cosine with the reference picture before and after, as published;
- ours, the study's way: before = other pictures of the model that drew the reference, after =
  models trained without the prompt's images; its control: models that lack *none* of them;
- cross-fitted: after minus before between models of another seed, by the randomised trial.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.evaluation.effects import trial_effects
from untrain.evaluation.outcomes import SAMPLER
from untrain.evaluation.randomisation import holm
from untrain.evaluation.study_table import column_means
from untrain.experiment.finished import FinishedTrial, read_trial
from untrain.files import write_text

COSINE, NLL = "reference_cosine", "nll"
EVERY = "all"


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
        own = table[table["Folder"].fillna("") != ""]
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
    units = trial.units[(trial.units["arm"] == "targeted") & (trial.units["k"] == k)]
    rows = {}
    for unit in units.itertuples():
        out = trial.assignment.out[unit.Index]
        values = table.loc[unit.prompt_id, list(trial.assignment.model_ids)].to_numpy()
        rows[unit.prompt_id] = {
            "before": table.loc[unit.prompt_id, SAMPLER],
            "after": values[out].mean(),
            "control": values[~out].mean(),
            "noise": values[~out].std(ddof=1),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def cross_fitted(trial: FinishedTrial, prompts: list[str], draws: int) -> pd.DataFrame:
    """Return the overall effects on some prompts, indexed by (measure, arm, k)."""
    of_set = trial.measures[trial.measures["prompt_id"].isin(prompts)]
    of_set = of_set[of_set["measure"].isin((COSINE, NLL))]
    effects = trial_effects(of_set, trial.units, trial.assignment, draws)
    overall = effects[(effects["prompt_id"] == "") & (effects["design"] == "randomised")]
    return overall.set_index(["measure", "arm", "k"])


def rows_of(folder: Path, size: int, tables: Path | None, draws: int) -> list[dict[str, Any]]:
    """Return everything of each set and of all together, one mapping each."""
    trial = read_trial(folder)
    of = sets_of(pd.read_csv(folder / "prompts.csv", keep_default_na=False), size)
    k = int(trial.units[trial.units["arm"] == "targeted"]["k"].min())
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
        for measure in (COSINE, NLL):
            for arm in ("targeted", "random_uniform"):
                found = effects.loc[(measure, arm, k)]
                p = found["p_value"] if measure == NLL else found["two_sided_p"]
                values = {**found[["estimate", "low", "high"]].to_dict(), "p": p}
                row |= {f"{measure}_{arm}_{key}": value for key, value in values.items()}
        rows.append(row)
    for measure in (COSINE, NLL):
        adjusted = holm([row[f"{measure}_targeted_p"] for row in rows[:-1]])
        for row, p in zip(rows, adjusted, strict=False):
            row[f"{measure}_targeted_p_holm"] = p
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the two tables: the study's measure, and bits a token."""
    lines = [
        "| set | the study: before → after | its change ± s.e. | ours, its way: before → after "
        "| change | change without any removal | cross-fitted change (95 %) | p | p, Holm |",
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
        "| set | without the found images, bits/token (95 %) | p | p, Holm "
        "| without as many random ones | p |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['set']} | {_effect(row, NLL, 'targeted')} | {row[f'{NLL}_targeted_p']:.4f} "
            f"| {_holm(row, NLL)} | {_effect(row, NLL, 'random_uniform')} "
            f"| {row[f'{NLL}_random_uniform_p']:.3f} |"
        )
    noise = rows[-1]["noise"]
    lines += [
        "",
        f"One model of another seed: standard deviation {noise:.3f} of a prompt's cosine.",
    ]
    return "\n".join(lines) + "\n"


def _effect(row: dict[str, Any], measure: str, arm: str) -> str:
    low, high = row[f"{measure}_{arm}_low"], row[f"{measure}_{arm}_high"]
    return f"{row[f'{measure}_{arm}_estimate']:.3f} ({low:.3f} to {high:.3f})"


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
    rows = rows_of(arguments.run, arguments.size, arguments.published, arguments.draws)
    text = markdown(rows)
    print(text)
    if arguments.out:
        write_text(arguments.out.with_suffix(".md"), text)
        write_text(arguments.out.with_suffix(".csv"), pd.DataFrame(rows).to_csv(index=False))


if __name__ == "__main__":
    main()

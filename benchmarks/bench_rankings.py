"""Compare all rankings on finished runs of rendered pictures: do they find the prompt's family?

    python benchmarks/bench_rankings.py runs/seed-11 runs/seed-12 …

For every run, ranking and prompt: the share of the prompt's family among the first ten candidates,
in three settings. *whole prompt*: the run's own candidates. *article alone*: candidates and text
score come from the article's name, as if the prompt had said no more; the generated pictures stay.
*picture alone*: the same candidates in random order, and no text score. Then the rank correlation
of a set's mean score with its measured effect. Fitted weights never see the run they are tried on:
they are fitted on the other half of the runs. It takes some ten seconds a run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.attribution.fitting import fit_weights, spearman
from untrain.core.errors import InputError
from untrain.core.images import read_picture
from untrain.core.progress import track
from untrain.runs.examples import read_examples
from untrain.runs.run import Run, open_run
from untrain.search.compare.comparison import compare
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.ranking import RANKINGS, rank
from untrain.search.rank.weights import Weights
from untrain.search.retrieve.candidates import retrieve

FIRST = 10
BEST = "(the best possible)"  # of the family, not all are among the candidates
SETTINGS = ("whole prompt", "article alone", "picture alone")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs, at least two")
    parser.add_argument("--prompts", type=int, help="look at the first so many of each run")
    parser.add_argument("--top", type=int, default=150, help="candidates by the article alone")
    parser.add_argument("--out", type=Path, help="write the precision of every prompt here (CSV)")
    arguments = parser.parse_args()
    half = (len(arguments.runs) + 1) // 2
    halves = arguments.runs[:half], arguments.runs[half:]
    first, second = (fit_weights([read_examples(run) for run in half]) for half in halves)
    weights = dict.fromkeys(halves[0], second) | dict.fromkeys(halves[1], first)
    rows: list[tuple] = []
    for folder in track(arguments.runs, "runs", len(arguments.runs)):
        rows += precisions(folder, weights[folder], arguments.prompts, arguments.top)
    table = pd.DataFrame(rows, columns=["run", "setting", "ranking", "prompt_id", "precision"])
    print(precision_table(table))
    print(correlation_table(weights))
    if arguments.out:
        table.to_csv(arguments.out, index=False)


def precisions(folder: Path, weights: Weights, limit: int | None, top: int) -> Iterator[tuple]:
    """Yield (run, setting, ranking, prompt, share of the family among the first ten)."""
    run = open_run(folder)
    prompts = run.prompts[run.prompts["family"].notna()].head(limit or len(run.prompts))
    family = dict(zip(run.catalog.ids, run.catalog.attributes["family"].astype(str), strict=True))
    asked = dict(zip(prompts["prompt_id"], prompts["family"], strict=True))
    for setting, comparison, retrieval in settings(run, prompts, top):
        members = comparison.drop_duplicates(["prompt_id", "image_id"])
        right = members["image_id"].map(family) == members["prompt_id"].map(asked)
        for prompt_id, found in right.groupby(members["prompt_id"]):
            yield folder.name, setting, BEST, prompt_id, min(1.0, found.sum() / FIRST)
        for name in [*RANKINGS, *(f"metric:{metric}" for metric in METRICS), "fitted"]:
            try:
                if name == "fitted":
                    ranked = weights.rank(comparison, retrieval).table
                else:
                    ranked = rank(name, comparison, retrieval).table
            except InputError:  # a metric that these runs do not have
                continue
            first = ranked[ranked["rank"] <= FIRST]
            right = first["image_id"].map(family) == first["prompt_id"].map(asked)
            for prompt_id, found in right.groupby(first["prompt_id"]):
                yield folder.name, setting, name, prompt_id, float(found.mean())


def settings(
    run: Run, prompts: pd.DataFrame, top: int
) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame | None]]:
    """Yield the name, comparison and retrieval of each setting."""
    known = set(prompts["prompt_id"])
    comparison, retrieval = run.table("comparison"), run.table("retrieval")
    yield (
        SETTINGS[0],
        comparison[comparison["prompt_id"].isin(known)],
        retrieval[retrieval["prompt_id"].isin(known)],
    )
    retrieval = retrieve(run.catalog, vague(run, prompts), top=top).table
    comparison = pd.concat([compared(run, str(p), of) for p, of in retrieval.groupby("prompt_id")])
    yield SETTINGS[1], comparison, retrieval
    yield SETTINGS[2], comparison.drop(columns="text_tfidf", errors="ignore"), None


def vague(run: Run, prompts: pd.DataFrame) -> pd.DataFrame:
    """Return the prompts with the name of the family's article in place of their text."""
    attributes = run.catalog.attributes
    article = attributes.groupby(attributes["family"].astype(str))["article"].first()
    return prompts.assign(prompt=prompts["family"].map(article).astype(str))


def compared(run: Run, prompt_id: str, candidates: pd.DataFrame) -> pd.DataFrame:
    """Compare the run's pictures of one prompt with other candidates."""
    ids = list(candidates["image_id"])
    generated = [
        read_picture(run.path("queries", prompt_id, f"{g}.png"))
        for g in range(run.config.generations)
    ]
    pictures = [np.asarray(run.catalog.image(image_id)) for image_id in ids]
    encode = run.encoder.encode
    return compare(prompt_id, generated, ids, pictures, encode(generated), encode(pictures))


def precision_table(table: pd.DataFrame) -> str:
    """Return, as Markdown, mean precision and the share of prompts with 9 of 10 or more."""
    groups = table.groupby(["ranking", "setting"])["precision"]
    mean = groups.mean().unstack().reindex(columns=SETTINGS)
    nine = groups.agg(lambda p: (p >= 0.9 - 1e-9).mean()).unstack().reindex(columns=SETTINGS)
    order = mean.sort_values(list(SETTINGS[1:]), ascending=False).index
    lines = [
        f"{table['run'].nunique()} runs, {table.groupby('run')['prompt_id'].nunique().sum()} "
        "prompts; of the first ten, how many are of the family "
        "(share of prompts with nine or more)",
        "",
        f"| ranking | {' | '.join(SETTINGS)} |",
        "|---|" + "--:|" * len(SETTINGS),
    ]
    for name in order:
        cells = [
            "–"
            if np.isnan(mean.loc[name, s])
            else f"{10 * mean.loc[name, s]:.2f} ({nine.loc[name, s]:.0%})"
            for s in SETTINGS
        ]
        label = name if name == BEST else f"`{name}`"
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def correlation_table(weights: dict[Path, Weights]) -> str:
    """Return, as Markdown, Spearman's correlation of fitted and default scores with effects."""
    parts = []
    for folder, fitted in weights.items():
        found = read_examples(folder).sets
        linear = found[list(fitted.weights)] @ pd.Series(fitted.weights)
        parts.append(found.assign(fitted=fitted.intercept + linear))
    table = pd.concat(parts, ignore_index=True)
    error = ((table["effect"] - table["fitted"]) ** 2).sum()
    total = ((table["effect"] - table["effect"].mean()) ** 2).sum()
    lines = [
        f"{len(table)} sets; fitted: R² {1 - error / total:.2f} on the runs it has not seen",
        "",
        "| sets | effect an image | Spearman, fitted | Spearman, fusion |",
        "|---|--:|--:|--:|",
    ]
    for arm, rows in [("all", table), *table.groupby("arm")]:
        effect = rows["effect"].to_numpy()
        cells = [spearman(rows[name].to_numpy(), effect) for name in ("fitted", "fusion")]
        values = " | ".join("–" if c is None else f"{c:.2f}" for c in cells)
        lines.append(f"| {arm} ({len(rows)}) | {effect.mean():.3f} | {values} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

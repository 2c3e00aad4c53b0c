"""Run the demo on fresh seeds and tabulate what it found: is the design's answer repeatable?

    python benchmarks/repeat_demo.py --seeds 1 10 --runs runs --out docs/results/demo-seeds

A seed decides the prompts, model A, the frozen parts, the noise, the forget sets, the assignment
and (plus one) the paired models. Runs that are done are read, not run again.
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd

import untrain
from untrain.core.tables import EFFECTS, VERDICTS

ARMS = ("targeted", "family", "random_uniform", "random_candidate")


def run_seed(seed: int, runs: Path) -> Path:
    """Run the demo of one seed, or continue it; return its folder."""
    with as_file(files("untrain.settings") / "demo.yaml") as path:
        config = untrain.load_config(path, seed=seed, name=f"seed-{seed}", runs=runs)
    return untrain.Experiment(config).run().folder


def row_of(seed: int, folder: Path) -> dict[str, object]:
    """Return one line of the table."""
    effects = EFFECTS.read(folder)
    overall = effects[effects["prompt_id"].isna() & (effects["measure"] == "nll")]
    record = json.loads((folder / "run.json").read_text())
    verdicts = VERDICTS.read(folder)
    row: dict[str, object] = {"seed": seed}
    for arm in ARMS:
        found = overall[(overall["arm"] == arm) & (overall["design"] == "randomised")].iloc[0]
        row[arm] = found["effect"]
        row[f"{arm}_low"], row[f"{arm}_high"] = found["low"], found["high"]
        row[f"{arm}_p"] = found["p_value"]
        row[f"{arm}_two_sided_p"] = found["two_sided_p"]
        naive = overall[(overall["arm"] == arm) & (overall["design"] == "naive")]
        row[f"{arm}_naive"] = naive["effect"].iloc[0]
    asked = verdicts["prompt_id"].str.startswith("p")
    row["attributable"] = int((verdicts[asked]["verdict"] == "attributable").sum())
    row["prompts"] = int(asked.sum())
    summary = json.loads((folder / "results" / "summary.json").read_text())
    for arm, (named, sets) in summary["random_sets_called_attributable"].items():
        row[f"{arm}_named"], row[f"{arm}_sets"] = named, sets
    idle = overall[(overall["arm"] == "none") & (overall["design"] == "naive")]
    row["naive_none"] = idle["effect"].iloc[0]
    row["article"], row["colour"] = (record["quality"][name] for name in ("article", "colour"))
    return row


def markdown(table: pd.DataFrame) -> str:
    """Return the table for people."""
    lines = [
        "| seed | targeted (95 %) | p | random uniform (95 %) | two-sided p "
        "| random candidate | two-sided p | family | p | naive targeted | naive none "
        "| attributable | random named | candidate named | right article | right colour |",
        "|" + "---|" * 16,
    ]
    for r in table.to_dict("records"):
        lines.append(
            f"| {r['seed']} | {r['targeted']:.2f} ({r['targeted_low']:.2f} to "
            f"{r['targeted_high']:.2f}) | {r['targeted_p']:.4f} | {r['random_uniform']:.3f} "
            f"({r['random_uniform_low']:.2f} to {r['random_uniform_high']:.2f}) | "
            f"{r['random_uniform_two_sided_p']:.2f} | {r['random_candidate']:.3f} | "
            f"{r['random_candidate_two_sided_p']:.2f} | {r['family']:.2f} | "
            f"{r['family_p']:.4f} | {r['targeted_naive']:.2f} | {r['naive_none']:.2f} | "
            f"{r['attributable']}/{r['prompts']} | "
            f"{r['random_uniform_named']}/{r['random_uniform_sets']} | "
            f"{r['random_candidate_named']}/{r['random_candidate_sets']} | "
            f"{r['article']:.0%} | {r['colour']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the seeds and write ``OUT.md`` and ``OUT.csv``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=(1, 10), metavar=("FIRST", "LAST"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("demo-seeds"))
    args = parser.parse_args()
    first, last = args.seeds
    rows = [row_of(seed, run_seed(seed, args.runs)) for seed in range(first, last + 1)]
    table = pd.DataFrame(rows)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.round(6).to_csv(args.out.with_suffix(".csv"), index=False)
    args.out.with_suffix(".md").write_text(markdown(table))
    print(markdown(table))


if __name__ == "__main__":
    main()

"""Hyper-parameters of methods of unlearning, tuned on a seed that no result uses.

Each variant is a rung of a ladder (`untrain ladder`) on the demo of ``--seed``: the exact twins are
trained once and kept in the run folder, so that further variants cost only themselves. ::

    python benchmarks/unlearning_recipes.py --runs runs --out unlearning-recipes.csv
    python benchmarks/unlearning_recipes.py --runs runs --methods caption_swap:weight=0.04 siss

Columns: ``forget`` and ``query``, ρ on the forgotten images and on all generated pictures, over all
sets; ``forget_KIND``, on the sets of a kind; ``retained`` and ``held_out``, the root mean square
move in units of the twin's; ``worst``, the largest of these over kinds of sets; ``share`` spent of
one training. What the effect that another seed's twins show would score is the row ``other seed``,
with ``--seeds 2``: the part of an effect that is no chance of one training.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import pandas as pd

import untrain

GRID: dict[str, dict[str, tuple[float, ...]]] = {
    "caption_swap": {"weight": (0.04, 0.08, 0.15), "rate": (0.07, 0.13), "batch": (8, 12)},
    "attribute_to_delete": {"gain": (5.0, 7.0, 9.0), "damping": (0.5, 1.0, 2.0)},
    "combined_matching": {"gain": (5.0, 6.2, 8.0), "weight": (0.04, 0.08, 0.15)},
    "oracle_matching": {"weight": (0.04, 0.08, 0.15)},
    "influence": {"damping": (1.0, 3.0, 10.0), "steps": (1, 5)},
    "relabelling": {"rate": (0.1, 0.2, 0.3), "forget": (0.3, 1.0)},
    "siss": {"rate": (0.05, 0.1), "share": (0.1, 0.3, 1.0)},
    "sisa": {},
    "fine_tuning": {"rate": (0.2, 0.5)},
    "ascent": {"rate": (0.01, 0.02)},
    "ascent_retain": {"rate": (0.06, 0.08), "forget": (0.2, 0.3)},
    "bounded_ascent": {"forget": (0.2, 0.3), "bound": (0.4, 0.45, 0.5)},
    "npo": {"rate": (0.06, 0.08), "forget": (0.5, 1.0), "beta": (0.05, 0.1, 0.2)},
    "salun": {"share": (0.2, 0.5), "forget": (0.2, 0.3)},
}
"""By method: the values of its options that are tried, each with each."""


def variants(method: str) -> list[str]:
    """Return a method's name with each combination of its options, its defaults first."""
    options = GRID[method]
    combined = product(*([(name, value) for value in values] for name, values in options.items()))
    named = [f"{method}:" + ",".join(f"{k}={v:g}" for k, v in each) for each in combined if each]
    return [method, *named]


def summary(fidelity: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each method and budget, see the module."""
    rows = []
    fidelity = fidelity.assign(kind=fidelity["kind"].astype(object).fillna("all"))
    for (method, budget), own in fidelity.groupby(["method", "budget"], sort=False):
        rho = {(r.kind, r.group): r.rho for r in own.itertuples()}
        moved = own[own["group"].isin(["retained", "held_out"])]
        mean = moved[moved["kind"] == "all"].set_index("group")["moved"]
        kinds = [kind for kind in own["kind"].unique() if kind != "all"]
        rows.append(
            {
                "method": method,
                "budget": budget,
                "share": own["spent"].max(),
                "forget": rho.get(("all", "forget")),
                "query": rho.get(("all", "query")),
                **{f"forget_{kind}": rho.get((kind, "forget")) for kind in kinds},
                "retained": mean.get("retained"),
                "held_out": mean.get("held_out"),
                "worst": moved[moved["kind"] != "all"]["moved"].max(),
            }
        )
    return pd.DataFrame(rows).sort_values(["method", "budget"], ignore_index=True)


def main() -> None:
    """Climb the ladder with all variants, and write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sets", type=int, nargs=3, default=(2, 1, 1), metavar=("T", "R", "F"))
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.05])
    parser.add_argument("--methods", nargs="+", default=list(GRID))
    parser.add_argument("--out", type=Path, default=Path("unlearning-recipes.csv"))
    args = parser.parse_args()
    methods = [v for name in args.methods for v in (variants(name) if name in GRID else [name])]
    targeted, random, family = args.sets
    name = f"unlearning-{args.seed}"
    experiment = untrain.Experiment.demo(args.preset, seed=args.seed, runs=args.runs, name=name)
    result = experiment.ladder(
        methods=methods, budgets=args.budgets, seeds=args.seeds,
        targeted=targeted, random=random, family=family,
    )  # fmt: skip
    table = summary(result.fidelity)
    table.to_csv(args.out, index=False, float_format="%.3f")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()

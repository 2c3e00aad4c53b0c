"""Leaderboards of several runs as one: attributors by fidelity and cost, a table and a figure.

    python benchmarks/leaderboards.py runs/demo-1 runs/demo-2 runs/demo-3 --training 25 --out FILE

Runs are of other seeds of one experiment, so that their banks are independent: the interval of a
mean follows from theirs. ``--training`` is what training model A takes, in seconds on as many
threads as the leaderboards had; cost is all queries' and what is needed once, as a share of it.
``--ceiling LOW HIGH`` marks what noise leaves (`benchmarks/ceiling.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.runs.leaderboard import Leaderboard, read_leaderboard

ESTIMATES = ("lds", "effect")
LATE = 0.02  # of a training: names of what costs more stand to the left of their points
LABELLED = {
    *(
        "text",
        "fusion",
        "rrf",
        "sharp:text",
        "sharp:fusion",
        "sharp:metric:feature_minkowski",
        "nda",
    ),
    *("leverage", "dtrak", "trak", "trak:nll", "grad_dot", "ekfac", "mucs"),
    *("ensemble:leverage", "ensemble:dtrak", "metric:feature_minkowski"),
}


def combined(
    boards: Sequence[Leaderboard], training: float, costs: dict[str, float], models: int
) -> pd.DataFrame:
    """Return one row an attributor that all leaderboards have, best first.

    Columns ``name``, ``kind``, mean ``lds`` and ``effect`` with limits, ``family_precision``,
    ``seconds_once``, ``seconds_per_query``, ``share`` of a training that all queries of a run take
    together with what is needed once, and ``lds_1`` … of each run. ``costs`` has shares that were
    measured with nothing in the cache; an ensemble trains further ``models``.
    """
    tables = [board.table.set_index("name") for board in boards]
    names = [name for name in tables[0].index if all(name in table.index for table in tables)]
    rows = []
    for name in names:
        own = [table.loc[name] for table in tables]
        row: dict[str, object] = {"name": name, "kind": own[0]["kind"]}
        for measure in ESTIMATES:
            mean = float(np.mean([line[measure] for line in own]))
            reach = [(line[f"{measure}_high"] - line[f"{measure}_low"]) / 2 for line in own]
            spread = float(np.sqrt(np.square(reach).sum())) / len(own)
            row |= {
                measure: mean,
                f"{measure}_low": mean - spread,
                f"{measure}_high": mean + spread,
            }
        for column in ("family_precision", "seconds_once", "seconds_per_query"):
            row[column] = float(np.mean([line[column] for line in own]))
        seconds = row["seconds_once"] + boards[0].queries * row["seconds_per_query"]  # type: ignore[operator]
        row["share"] = costs.get(str(name), seconds / training)
        if str(name).startswith("ensemble:"):
            row["share"] = models - 1 + models * costs.get(str(name).partition(":")[2], np.nan)
        row |= {f"lds_{i}": line["lds"] for i, line in enumerate(own, 1)}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("lds", ascending=False, ignore_index=True)


def markdown(table: pd.DataFrame, boards: Sequence[Leaderboard]) -> str:
    """Return the table as Markdown."""
    first = boards[0]
    lines = [
        f"| attributor | LDS | of each run | effect of top {first.k} | family | s once | s a query "
        "| of a training |",
        "|---|--:|---|--:|--:|--:|--:|--:|",
    ]
    for line in table.to_dict("records"):
        each = ", ".join(f"{line[f'lds_{i}']:.2f}" for i in range(1, len(boards) + 1))
        lines.append(
            f"| `{line['name']}` | {line['lds']:.3f} [{line['lds_low']:.3f}, "
            f"{line['lds_high']:.3f}] | {each} | {line['effect']:+.2f} [{line['effect_low']:+.2f}, "
            f"{line['effect_high']:+.2f}] | {_number(line['family_precision'], '.0%')} | "
            f"{_number(line['seconds_once'], '.2g')} | {_number(line['seconds_per_query'], '.2g')} "
            f"| {_number(line['share'], '.2%')} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "–"


def figure(table: pd.DataFrame, path: Path, ceiling: Sequence[float], queries: int) -> None:
    """Draw LDS against the share of a training that a query takes."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(7, 4.2), layout="constrained")
    axes = made.add_subplot()
    cost = table[np.isfinite(table["share"])].copy()
    cost["share"] = cost["share"].clip(lower=1e-6) / queries
    for kind, own in cost.groupby("kind"):
        axes.plot(own["share"], own["lds"], "o", label=kind, markersize=4)
    for line in cost.to_dict("records"):
        if line["name"] not in LABELLED:
            continue
        left = line["share"] > LATE  # the name goes where there is room
        axes.annotate(
            line["name"].replace("metric:", ""),
            (line["share"], line["lds"]),
            (-5 if left else 5, -2.5),
            textcoords="offset points",
            size=7,
            ha="right" if left else "left",
        )
    for line in table[table["kind"] == "oracle"].to_dict("records"):
        axes.axhline(line["lds"], color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(f"{line['name']} (oracle)", (1e-6, line["lds"]), (2, 3),
                      textcoords="offset points", size=7, color="grey")  # fmt: skip
    if len(ceiling) == 2:
        axes.axhspan(*ceiling, color="grey", alpha=0.15, linewidth=0)
        axes.annotate("what noise leaves", (1e-6, ceiling[0]), (2, 2),
                      textcoords="offset points", size=7, color="grey")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(f"cost of a query, as a share of a training ({queries} queries share the rest)")
    axes.set_ylabel("LDS: rank correlation with retraining")
    axes.legend(frameon=False, fontsize=7)
    made.savefig(path, metadata={"Date": None})


def main() -> None:
    """Write the table as CSV and Markdown, and the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="run folders with a leaderboard")
    parser.add_argument("--training", type=float, required=True, help="seconds of a training")
    parser.add_argument("--costs", type=Path, help="CSV of bench_attribution.py --run --costs")
    parser.add_argument("--models", type=int, default=3, help="that ensembles average over")
    parser.add_argument("--ceiling", type=float, nargs=2, default=(), metavar=("LOW", "HIGH"))
    parser.add_argument("--out", type=Path, required=True, help="path without a suffix")
    args = parser.parse_args()
    boards = [read_leaderboard(folder) for folder in args.runs]
    costs = pd.read_csv(args.costs).set_index("name")["share"].to_dict() if args.costs else {}
    table = combined(boards, args.training, costs, args.models)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.round(5).to_csv(args.out.with_suffix(".csv"), index=False)
    text = markdown(table, boards)
    args.out.with_suffix(".md").write_text(text, encoding="utf-8")
    figure(table, args.out.with_suffix(".svg"), args.ceiling, boards[0].queries)
    print(text)


if __name__ == "__main__":
    main()

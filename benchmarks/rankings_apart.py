"""What two rankings of a run have in common, and what kinds of images each names.

    python benchmarks/rankings_apart.py runs/photos --k 10

One row a ranking: how many of a prompt's first k images the first ranking names too, how many
values of each attribute the k images have, and for how many of them the prompt contains that value.
Means over the prompts that are no controls.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.runs.run import Run
from untrain.settings.load import load_config


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run folder, done up to the stage rank")
    parser.add_argument("--k", type=int, default=10, help="first images of each prompt")
    parser.add_argument("--attributes", nargs="+", default=["articleType", "baseColour"])
    args = parser.parse_args()
    run = Run(load_config(args.run / "config.yaml", runs=args.run.parent, name=args.run.name))
    ranking, prompts = run.table("ranking"), run.prompts.set_index("prompt_id")
    asked = prompts.index[prompts["role"] == "query"]
    first = ranking[(ranking["rank"] <= args.k) & ranking["prompt_id"].isin(asked)]
    tops = {
        method: own.groupby("prompt_id")["image_id"].apply(list)
        for method, own in first.groupby("method", sort=False)
    }
    reference = tops[run.config.ranking.method]
    table = run.catalog.attributes.set_axis(list(run.catalog.ids))
    rows = []
    for method, top in tops.items():
        row: dict[str, object] = {"ranking": method}
        row["in common"] = np.mean([len(set(top[p]) & set(reference[p])) for p in top.index])
        for attribute in args.attributes:
            values = {p: table.loc[top[p], attribute].astype(str) for p in top.index}
            row[f"values of {attribute}"] = np.mean([v.nunique() for v in values.values()])
            said = {p: str(prompts.loc[p, "prompt"]).lower() for p in top.index}
            row[f"{attribute} named"] = np.mean(
                [np.mean([each.lower() in said[p] for each in v]) for p, v in values.items()]
            )
        rows.append(row)
    found = pd.DataFrame(rows)
    columns = list(found.columns)
    print("| " + " | ".join(columns) + " |\n|---|" + "--:|" * (len(columns) - 1))
    for row in found.to_dict("records"):
        cells = [v if isinstance(v, str) else f"{v:.2f}" for v in row.values()]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

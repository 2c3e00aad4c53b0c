"""Whose images a model learnt from: brands of the demo, article types of real photos.

Not a timing. Models that whole groups have left give every group's Shapley and Banzhaf values;
models that one group has left check them; attributors' scores estimate them without training::

    python benchmarks/group_shares.py demo --runs runs --out docs/results
    python benchmarks/group_shares.py photos --zip fashion-product-images-small.zip \\
        --runs runs --out docs/results

``demo``: the 1,728 rendered pictures of the embedded demo, 8 brands, preset ``tiny``: 90 models,
seven or eight minutes on two quiet cores (removed pairs cost nothing). ``photos``: 2,000 photos of
Fashion Product Images (Small) with captions of four words, by article type (types of fewer than 20
photos pooled, which leaves 25 groups), preset ``tiny`` (32 × 32 pixels): 130 models, about ten
minutes on two quiet cores. Models stay in ``--runs``: an interrupted bank goes on, and a larger one
trains only what is missing.

Writes ``groups-<part>.csv`` (the table), ``.json`` (sums, checks, times), ``.md`` and ``.svg``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import yaml

import untrain
from untrain.banks.groups.results import find_shares
from untrain.core.files import write_json, write_text
from untrain.core.schema import records
from untrain.report.figures.groups import groups_figure
from untrain.report.tables.shares import shares_markdown
from untrain.runs.run import Run
from untrain.runs.shares import Shares

METHODS = ("leverage", "dtrak", "fusion")  # the last is likeness
PROMPTS = (
    "Black Men Watches Casual",
    "White Women Watches Casual",
    "Blue Men Tshirts Casual",
    "White Men Shirts Formal",
    "Black Women Handbags Casual",
    "Brown Women Handbags Casual",
    "Black Men Casual Shoes Casual",
    "White Men Sports Shoes Sports",
    "Black Women Heels Casual",
    "Red Women Tops Casual",
    "Blue Women Kurtas Ethnic",
    "Black Unisex Sunglasses Casual",
    "Brown Men Belts Casual",
    "Black Men Wallets Casual",
    "Blue Men Jeans Casual",
    "Black Unisex Backpacks Casual",
)
PARTS: dict[str, dict[str, Any]] = {
    "demo": {"by": "brand", "models": 16, "leave_one_out": 8, "least": 1},
    "photos": {"by": "articleType", "models": 24, "leave_one_out": 8, "least": 20},
}


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a part's experiment."""
    common: dict[str, Any] = {"name": f"groups-{args.part}", "seed": args.seed}
    common["generator"] = {"preset": args.preset}
    if args.part == "demo":
        return {
            **common,
            "data": {"format": "rendered", "families": args.families, "family_size": 12},
            "prompts": {"families": args.prompts, "controls": 0},
            "generations": 3,
        }
    data = {
        "format": "fashion",
        "path": str(args.zip),
        "caption": "{baseColour} {gender} {articleType} {usage}",
        "subset": {"size": args.images, "neighbours": 0},
        "holdout": 0.1,
    }
    return {
        **common,
        "data": data,
        "prompts": {"texts": list(PROMPTS[: args.prompts])},
        "generations": 3,
    }


def main() -> None:
    """Train the bank of a part, read its shares and write them."""
    args = arguments()
    part = PARTS[args.part]
    args.runs.mkdir(parents=True, exist_ok=True)
    file = args.runs / f"groups-{args.part}.yaml"
    write_text(file, yaml.safe_dump(settings(args), sort_keys=False))
    given = {"runs": args.runs, "workers": args.workers, "threads": args.threads}
    experiment = untrain.Experiment.from_yaml(file, **given)
    began, busy = time.time(), time.process_time()
    experiment.run(until="generate")
    ready = time.time()
    experiment.shares(
        part["by"],
        models=args.models or part["models"],
        leave_one_out=part["leave_one_out"],
        least=args.least or part["least"],
    )
    trained = time.time()
    found = {
        method: find_shares(Run(experiment.config), part["by"], method=method)
        for method in reversed(METHODS)
    }
    times = {
        "first_model_s": round(ready - began, 1),
        "bank_s": round(trained - ready, 1),
        "scores_s": round(time.time() - trained, 1),
        "own_process_cpu_s": round(time.process_time() - busy, 1),
    }
    keep(args, found, times)


def keep(args: argparse.Namespace, found: dict[str, Shares], times: dict[str, float]) -> None:
    """Write the table, the sums and checks, and the figure, and print what a page quotes."""
    shares = found[METHODS[0]]
    place = args.out / f"groups-{args.part}"
    args.out.mkdir(parents=True, exist_ok=True)
    wide = shares.table[
        shares.table["scope"].isin(["overall", "these_prompts", "held_out", "prompt"])
    ]
    write_text(place.with_suffix(".csv"), wide.to_csv(index=False, float_format="%.5g"))
    checks = dict(shares.checks)
    for method, each in found.items():
        checks |= {
            f"{method}: {name}": value
            for name, value in each.checks.items()
            if name.startswith("from_scores")
        }
    about = {
        "settings": settings(args) | {"data": {**settings(args)["data"], "path": "(the zip)"}},
        "models": dict(shares.models),
        "shares": shares.shares,
        "images": shares.images,
        "totals": records(shares.totals[shares.totals["scope"].isin(["overall", "held_out"])]),
        "checks": checks,
        "seconds": times,
    }
    if args.part == "demo":
        about["settings"]["data"].pop("path")
    write_json(place.with_suffix(".json"), about)
    write_text(
        place.with_suffix(".md"),
        shares_markdown(shares).replace(f"figures/shares-{shares.key}", place.name),
    )
    place.with_suffix(".svg").write_text(groups_figure(shares).svg)
    print(place.with_suffix(".md").read_text())
    print(json.dumps({"checks": checks, "seconds": times}, indent=1))


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--zip", type=Path, help="fashion-product-images-small.zip")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--families", type=int, default=144, help="of the demo")
    parser.add_argument("--images", type=int, default=2000, help="of the photos")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--models", type=int, help="of each of five shares")
    parser.add_argument("--least", type=int, help="photos of a group; smaller ones are pooled")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.part == "photos" and args.zip is None:
        parser.error("photos need --zip")
    return args


if __name__ == "__main__":
    main()

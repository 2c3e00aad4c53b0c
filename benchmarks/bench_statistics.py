"""Cost of the design and of inference: forget sets, assignments drawn again, effects, verdicts.

Nothing is trained: outcomes are random numbers.
``python benchmarks/bench_statistics.py --models 16``
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from timing import report, seconds
from untrain.catalogs.base import Catalog
from untrain.core.files import rng
from untrain.counterfactual.design import Assignment, forget_set_table, randomised, redraw
from untrain.counterfactual.forget_sets import build_forget_sets
from untrain.evaluation.effects import trial_effects
from untrain.evaluation.verdicts import verdicts

ARMS = ("targeted", "random_uniform", "random_candidate")


def empty_catalog(images: int) -> Catalog:
    """Return a catalogue of ids alone, of which every hundredth image is a copy."""
    ids = tuple(f"{number:06d}" for number in range(images))
    hashes = tuple(f"{number - (number % 100 == 1)}" for number in range(images))
    blank = pd.DataFrame(index=range(images))
    return Catalog("empty", ids, ("a caption",) * images, hashes, lambda _: b"", blank)


def candidates(catalog: Catalog, args: argparse.Namespace) -> pd.DataFrame:
    """Return random candidates of each prompt, as ranking and as retrieval."""
    draw = np.random.default_rng(0)
    rows = [draw.choice(len(catalog), args.candidates, replace=False) for _ in range(args.prompts)]
    return pd.DataFrame(
        {
            "prompt_id": np.repeat([f"p{p:03d}" for p in range(args.prompts)], args.candidates),
            "image_id": np.array(catalog.ids, object)[np.concatenate(rows)],
            "rank": np.tile(np.arange(1, args.candidates + 1), args.prompts),
        }
    )


def outcomes(assignment: Assignment, args: argparse.Namespace) -> pd.DataFrame:
    """Return a random measure of each query in each model."""
    keys = [
        (model, f"p{prompt:03d}", generation)
        for model in assignment.model_ids
        for prompt in range(args.prompts)
        for generation in range(args.generations)
    ]
    table = pd.DataFrame(keys, columns=["model_id", "prompt_id", "generation"])
    return table.assign(measure="nll", value=np.random.default_rng(1).normal(size=len(table)))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--k", nargs="+", type=int, default=[10])
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--generations", type=int, default=5)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Print one line a step."""
    args = parse()
    catalog = empty_catalog(args.images)
    found = candidates(catalog, args)

    def build() -> pd.DataFrame:
        return build_forget_sets(found, found, catalog, ARMS, args.k, 0).table

    sets = build()
    report("forget sets", seconds(build, args.repeats), len(sets), "images")
    groups = forget_set_table(sets)
    assignment = randomised(groups, args.models, 0)
    took = seconds(lambda: redraw(assignment, rng("bench"), args.draws), args.repeats)
    report("assignments drawn again", took, args.draws, "draws", f"{len(groups)} sets")
    measures = outcomes(assignment, args)
    effects = trial_effects(measures, groups, assignment, args.draws).table
    took = seconds(lambda: trial_effects(measures, groups, assignment, args.draws), args.repeats)
    report("effects, one measure", took, len(effects), "effects", f"{args.draws} draws")
    took = seconds(lambda: verdicts(effects), args.repeats)
    report("verdicts", took, args.prompts, "prompts")


if __name__ == "__main__":
    main()

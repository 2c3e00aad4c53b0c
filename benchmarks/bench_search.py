"""Cost of retrieval, pixel metrics and feature metrics, beside the plain pair-by-pair way.

Both ways are timed in the same run, the plain one on a sample, because seconds differ between
machines and only ratios can be compared: ``python benchmarks/bench_search.py --help``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from plain_way import compare_features_plainly, compare_pixels_plainly, retrieve_plainly
from timing import memory, report, seconds
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered.catalog import family_prompt, rendered
from untrain.encoders import load_encoder
from untrain.search.compare.comparison import compare
from untrain.search.compare.extra import (
    hamming,
    histogram_intersection,
    perceptual_hashes,
    standard_ssim,
)
from untrain.search.compare.features import feature_metrics
from untrain.search.compare.pixel import pixel_metrics
from untrain.search.retrieve.text import TfidfRetriever


def beside(what: str, unit: str, fast: float, items: int, slow: float, sample: int) -> None:
    """Print one line: seconds and rate of both ways and how many times faster ours is."""
    ratio = (slow / sample) / (fast / items)
    print(
        f"{what:<16} {fast:9.4f} s for {items:5d} {unit:<8} {items / fast:10.0f}/s | "
        f"plain {slow:8.3f} s for {sample:4d} {sample / slow:8.1f}/s | "
        f"{ratio:7.1f} x | {memory()}"
    )


def bench_retrieval(catalog: Catalog, prompts: pd.DataFrame, args: argparse.Namespace) -> None:
    """Time retrieval for all prompts, TF-IDF fitted once against once a prompt."""
    texts = prompts["prompt"].tolist()

    def ours() -> None:
        TfidfRetriever().fit(catalog.captions).query(texts, args.candidates)

    fast = seconds(ours, args.repeats)
    sample = texts[: args.sample]

    def plainly() -> None:
        for prompt in sample:
            retrieve_plainly(catalog.captions, prompt, args.candidates)

    beside("retrieval", "prompts", fast, len(prompts), seconds(plainly, 1), len(sample))


def bench_metrics(
    what: str,
    fast: Callable[[np.ndarray, np.ndarray], object],
    plain: Callable[[np.ndarray, np.ndarray], object],
    sides: tuple[np.ndarray, np.ndarray],
    args: argparse.Namespace,
) -> None:
    """Time all pairs of two sides at once against a sample of them one by one."""
    generated, candidates = sides
    pairs = len(generated) * len(candidates)
    sample = min(args.sample * 5, len(candidates))
    took = seconds(lambda: fast(generated, candidates), args.repeats)
    slow = seconds(lambda: [plain(generated[0], other) for other in candidates[:sample]], 1)
    beside(what, "pairs", took, pairs, slow, sample)


def bench_the_rest(
    pictures: tuple[np.ndarray, np.ndarray],
    features: tuple[np.ndarray, np.ndarray],
    args: argparse.Namespace,
) -> None:
    """Time what the study has no counterpart of, and the whole table of a prompt."""
    generated, candidates = pictures
    pairs = len(generated) * len(candidates)
    ids = [str(row) for row in range(len(candidates))]
    work: dict[str, Callable[[], object]] = {
        "standard SSIM": lambda: standard_ssim(generated, candidates),
        "perceptual hashes": lambda: hamming(
            perceptual_hashes(list(generated)), perceptual_hashes(list(candidates))
        ),
        "histogram intersection": lambda: histogram_intersection(generated, candidates),
        "whole table": lambda: compare("p", list(generated), ids, list(candidates), *features),
    }
    for what, function in work.items():
        report(what, seconds(function, args.repeats), pairs, "pairs")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=200, help="rendered families")
    parser.add_argument("--resolution", type=int, default=64, help="pixels a side")
    parser.add_argument("--prompts", type=int, default=150)
    parser.add_argument("--generations", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--dimensions", type=int, default=100_352, help="of the wide features")
    parser.add_argument("--sample", type=int, default=10, help="how much of the plain way to time")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    """Print one line a stage."""
    args = parse()
    catalog = rendered(args.families, resolution=args.resolution)
    names = sorted(set(catalog.attributes["family"]))[: args.prompts]
    prompts = pd.DataFrame(
        {"prompt_id": names, "prompt": [family_prompt(catalog, name) for name in names]}
    )
    shown = catalog.ids[: args.generations + args.candidates]
    pictures = np.stack([np.asarray(catalog.image(image_id)) for image_id in shown])
    print(
        f"{len(catalog)} captions, {args.resolution}×{args.resolution} pixels, "
        f"{args.generations} × {args.candidates} pairs a prompt"
    )
    cut = args.generations
    bench_retrieval(catalog, prompts, args)
    sides = pictures[:cut], pictures[cut:]
    bench_metrics("pixel metrics", pixel_metrics, compare_pixels_plainly, sides, args)
    narrow = load_encoder("layout").encode(list(pictures))
    wide = np.maximum(np.random.default_rng(0).normal(size=(len(shown), args.dimensions)), 0)
    for features in (narrow, wide.astype(np.float32)):
        halves = features[:cut], features[cut:]
        what = f"features {features.shape[1]}"
        bench_metrics(what, feature_metrics, compare_features_plainly, halves, args)
    bench_the_rest(sides, halves, args)


if __name__ == "__main__":
    main()

"""Cost of retrieval, pixel metrics and feature metrics, beside the plain pair-by-pair way.

Both ways are timed in the same run, the plain one on a sample, because seconds differ between
machines and only ratios can be compared: ``python benchmarks/bench_search.py --help``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pandas as pd
from scipy.special import rel_entr
from skimage.metrics import structural_similarity
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from timing import memory, seconds
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered import family_prompt, rendered
from untrain.encoders import load_encoder
from untrain.search.feature_metrics import feature_metrics
from untrain.search.pixel_metrics import pixel_metrics
from untrain.search.retrieval import retrieve


def report(what: str, unit: str, fast: float, items: int, slow: float, sample: int) -> None:
    """Print one line: seconds and rate of both ways and how many times faster ours is."""
    ratio = (slow / sample) / (fast / items)
    print(
        f"{what:<16} {fast:9.4f} s for {items:5d} {unit:<8} {items / fast:10.0f}/s | "
        f"plain {slow:8.3f} s for {sample:4d} {sample / slow:8.1f}/s | "
        f"{ratio:7.1f} x | {memory()}"
    )


def retrieve_plainly(captions: Sequence[str], prompts: Sequence[str], top: int) -> None:
    """Fit TF-IDF again for every prompt, as the study's script does."""
    for prompt in prompts:
        vectorizer = TfidfVectorizer()
        weights = vectorizer.fit_transform(captions)
        np.argsort(-cosine_similarity(vectorizer.transform([prompt]), weights)[0])[:top]


def compare_pixels_plainly(a: np.ndarray, b: np.ndarray) -> None:
    """Compute the six pixel metrics of one pair."""
    x, y = a.astype(float), b.astype(float)
    ((x - y) ** 2).sum() / x[..., 0].size
    np.abs(x - y).mean()
    ((x - x.mean()) * (y - y.mean())).mean()
    (x * y).sum() / (np.linalg.norm(x) * np.linalg.norm(y))
    bins = [0, 1, 2], None, [8, 8, 8], [0, 256] * 3
    counts = cv2.calcHist([a], *bins).ravel(), cv2.calcHist([b], *bins).ravel()
    cv2.compareHist(*counts, cv2.HISTCMP_CORREL)
    grey = cv2.cvtColor(cv2.subtract(a, b), cv2.COLOR_RGB2GRAY)
    structural_similarity(grey, np.zeros_like(grey))


def compare_features_plainly(e: np.ndarray, f: np.ndarray) -> None:
    """Compute the five feature metrics of one pair."""
    (e @ f) / (np.linalg.norm(e) * np.linalg.norm(f))
    ((e - f) ** 2).mean()
    rel_entr(e, np.maximum(f, 1e-10)).sum()
    np.abs(e - f).sum()
    np.linalg.norm(e - f)


def bench_retrieval(catalog: Catalog, prompts: pd.DataFrame, args: argparse.Namespace) -> None:
    """Time retrieval for all prompts, TF-IDF fitted once against once a prompt."""
    fast = seconds(lambda: retrieve(catalog, prompts, top=args.candidates), args.repeats)
    sample = prompts["prompt"].tolist()[: args.sample]
    slow = seconds(lambda: retrieve_plainly(catalog.captions, sample, args.candidates), 1)
    report("retrieval", "prompts", fast, len(prompts), slow, len(sample))


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
    report(what, "pairs", took, pairs, slow, sample)


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
        sides = features[:cut], features[cut:]
        what = f"features {features.shape[1]}"
        bench_metrics(what, feature_metrics, compare_features_plainly, sides, args)


if __name__ == "__main__":
    main()

"""What half precision costs in agreement: rankings from a float16 store against float32 throughout.

Each query is a noisy photo against the candidates of its caption, as in a run: float32 features as
they are; rounded to float16, as the store keeps them; and, for a `transformers` model, from a
bfloat16 forward pass and then the store. Printed for every ranking: the share of the ten first in
common, how often the first is the same, and Spearman's correlation of the whole order::

    python benchmarks/bench_precision.py --catalog fashion-product-images-small.zip \\
        --path weights/mobilenet_v2 weights/resnet50_conv4
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered.catalog import rendered
from untrain.core.files import rng
from untrain.encoders import load_encoder
from untrain.search.compare.comparison import compare
from untrain.search.rank.ranking import rank
from untrain.search.retrieve.candidates import retrieve

TOP = 10


def stand_ins(catalog: Catalog, image_id: str, generations: int, noise: float) -> list[np.ndarray]:
    """Return noisy copies of a photo, in place of generated pictures."""
    photo = np.asarray(catalog.image(image_id)).astype(float)
    random = rng("stand-in", image_id)
    return [
        (photo + random.normal(0, noise, photo.shape)).clip(0, 255).astype(np.uint8)
        for _ in range(generations)
    ]


def features_of(
    path: str | None, pooling: str, pictures: list[np.ndarray], with_bfloat16: bool
) -> dict[str, np.ndarray]:
    """Return features of the pictures by precision: of the model at ``path``, or of `layout`."""
    if path is None:
        exact = load_encoder("layout").encode(pictures)
    else:
        exact = load_encoder("transformers", path=path, pooling=pooling).encode(pictures)
    features = {"float32": exact, "float16 store": stored(exact)}
    if path is not None and with_bfloat16:
        half = load_encoder("transformers", path=path, pooling=pooling, dtype="bfloat16")
        features["bfloat16, float16 store"] = stored(half.encode(pictures))
    return features


def stored(features: np.ndarray) -> np.ndarray:
    """Return features as they come back from the store."""
    return features.astype(np.float16).astype(np.float32)


def agreement(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, float]:
    """Return the means over prompts of how two rankings agree."""
    rows = []
    for prompt_id, first in a.groupby("prompt_id"):
        second = b[b["prompt_id"] == prompt_id]
        both = first.merge(second, on="image_id")
        tops = [set(t.loc[t["rank"] <= TOP, "image_id"]) for t in (first, second)]
        best = [t.loc[t["rank"] == 1, "image_id"].item() for t in (first, second)]
        rho = spearmanr(both["score_x"], both["score_y"]).statistic
        rows.append((len(tops[0] & tops[1]) / len(tops[0]), best[0] == best[1], rho))
    top, same, rho = np.array(rows, dtype=float).T
    return {"top": top.mean(), "first": same.mean(), "rho": rho.mean(), "least": rho.min()}


def bench(
    name: str, path: str | None, catalog: Catalog, retrieval: pd.DataFrame, args: argparse.Namespace
) -> None:
    """Print the agreement of every precision and ranking with float32, for one encoder."""
    groups = list(retrieval.groupby("prompt_id", sort=False))
    pictures: list[np.ndarray] = []
    for prompt_id, found in groups:
        pictures += stand_ins(catalog, str(prompt_id), args.generations, args.noise)
        pictures += [np.asarray(catalog.image(image_id)) for image_id in found["image_id"]]
    features = features_of(path, args.pooling, pictures, not args.no_bfloat16)
    tables: dict[str, list[pd.DataFrame]] = {precision: [] for precision in features}
    start = 0
    for prompt_id, found in groups:
        middle = start + args.generations
        end = middle + len(found)
        sides = pictures[start:middle], list(found["image_id"]), pictures[middle:end]
        for precision, rows in features.items():
            e, f = rows[start:middle], rows[middle:end]
            tables[precision].append(compare(str(prompt_id), *sides, e, f))
        start = end
    show(name, tables, retrieval, args.rankings)


def show(
    name: str,
    tables: dict[str, list[pd.DataFrame]],
    retrieval: pd.DataFrame,
    methods: Sequence[str],
) -> None:
    """Print one row of a Markdown table for each precision below float32 and each ranking."""
    comparisons = {key: pd.concat(parts, ignore_index=True) for key, parts in tables.items()}
    exact = comparisons.pop("float32")
    for precision, comparison in comparisons.items():
        for method in methods:
            found = agreement(
                *(rank(method, each, retrieval).table for each in (exact, comparison))
            )
            print(
                f"| {name} | {precision} | {method} | {found['top']:.4f} | {found['first']:.3f} "
                f"| {found['rho']:.6f} | {found['least']:.6f} |",
                flush=True,
            )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalog", help="zip or folder; rendered items without it")
    parser.add_argument("--format", default="fashion", help="of --catalog")
    parser.add_argument("--path", nargs="*", default=[], help="folders of transformers models")
    parser.add_argument("--pooling", default="flatten", help="of the models; as the study")
    parser.add_argument("--no-bfloat16", action="store_true", help="where it is too slow")
    parser.add_argument("--queries", type=int, default=5)
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--noise", type=float, default=12, help="standard deviation, of 255")
    parser.add_argument("--rankings", nargs="+", default=["study", "fusion"])
    return parser.parse_args()


def main() -> None:
    """Print the table, an encoder at a time."""
    args = parse()
    if args.catalog:
        catalog = load_catalog(args.format, path=args.catalog)
    else:
        catalog = rendered(60, resolution=48)
    rows = rng("queries").choice(len(catalog), args.queries, replace=False)
    prompts = pd.DataFrame(
        {
            "prompt_id": [catalog.ids[row] for row in rows],
            "prompt": [catalog.captions[row] for row in rows],
        }
    )
    # The photo itself is no candidate: at no distance, it would be found in any precision.
    found = retrieve(catalog, prompts, "tfidf", args.candidates + 1).table
    retrieval = found[found["image_id"] != found["prompt_id"]]
    print(
        f"{args.queries} queries × {args.generations} pictures × {args.candidates} candidates\n\n"
        f"| encoder | precision | ranking | top {TOP} in common | same first | Spearman, mean "
        "| least |\n|---|---|---|---|---|---|---|"
    )
    for path in [None, *args.path]:
        bench(Path(path).name if path else "layout", path, catalog, retrieval, args)


if __name__ == "__main__":
    main()

"""How good is the quality gate's judge of real photos, by encoder, with and without abstaining?

The judge (`untrain.evaluation.quality.judge`) learns article types and colours of a random sample
of the photos whose article type at least 30 have, at the size of generated pictures, and is asked
about photos it has not seen (five folds). Rows are appended to ``--rows`` as they come; features
are kept in the cache, so that an interrupted run goes on::

    python benchmarks/judge.py fashion-product-images-small.zip layout google/mobilenet_v2_1.0_224

``colour`` is by basic terms, ``colour, raw`` by the names as they are in the catalogue. The row
``pixels`` is the judge of before: a linear discriminant on 16 × 16 pixels, which never abstains.
*Answered* is the share of photos the judge answers for, and *right of these* how many of them it
is right about; the last columns are the shares it could answer for and be right about 85, 90 and
95 % of them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from untrain.catalogs.base import Catalog
from untrain.catalogs.opening import load_catalog
from untrain.core.files import rng
from untrain.encoders import load_encoder
from untrain.encoders.store import FeatureStore
from untrain.evaluation.quality.features import JudgeEncoder
from untrain.evaluation.quality.judge import Judge, Space, train_judge, wilson
from untrain.evaluation.quality.terms import article_names, colour_terms

FEWEST = 30
LEVELS = (0.85, 0.9, 0.95)


def sample(catalog: Catalog, photos: int) -> np.ndarray:
    """Return the rows of at most ``photos`` different photos of common article types, at random."""
    same = catalog.same_as
    rows = np.flatnonzero(same == np.arange(len(same)))
    names = pd.Series(article_names(catalog.attributes["articleType"].astype(str)))[rows]
    common = (names != "") & (names.map(names.value_counts()) >= FEWEST)
    return np.sort(rng("judge", 0).permutation(rows[common.to_numpy()])[:photos])


def tasks(catalog: Catalog, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each photo shows, by task; "" where it is too rare to be learned."""
    articles = catalog.attributes["articleType"].astype(str).iloc[rows]
    colours = catalog.attributes["baseColour"].astype(str).iloc[rows]
    raw = [name if term else "" for name, term in zip(colours, colour_terms(colours), strict=True)]
    found = {"article": article_names(articles), "colour, raw": raw}
    found["colour"] = colour_terms(colours)
    for name, names in found.items():
        series = pd.Series(names)
        found[name] = series.where(series.map(series.value_counts()) >= 10, "")  # for five folds
    return {name: np.asarray(names, str) for name, names in found.items()}


def coverage(judge: Judge, level: float) -> float:
    """Return the largest share of photos, the surest, that are right as often as ``level``."""
    order = np.argsort(-judge.held_out.confidence, kind="stable")
    accuracy = np.cumsum(judge.right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(accuracy >= level)
    return float((enough[-1] + 1) / len(order)) if len(enough) else 0.0


def measure(features: np.ndarray, space: Space, names: np.ndarray) -> dict[str, Any]:
    """Train a judge and return its row."""
    known = names != ""
    start = time.process_time()
    judge = train_judge(features[known], names[known], space=space)
    about = judge.describe()
    kept = ("classes", "photos", "accuracy", "low", "high", "answered", "accuracy_answered")
    row = {name: about[name] for name in (*kept, "strength")}
    row |= {f"at_{level}": coverage(judge, level) for level in LEVELS}
    return row | {"seconds": time.process_time() - start}


def of_pixels(catalog: Catalog, ids: list[str], size: tuple[int, int]) -> np.ndarray:
    """Return what the judge of before saw: pictures of 16 × 16 pixels."""
    pixels = catalog.pixels(size, ids)
    small = [cv2.resize(p, (16, 16), interpolation=cv2.INTER_AREA) for p in pixels]
    return np.stack(small).reshape(len(pixels), -1).astype(np.float32) / 255


def as_before(pixels: np.ndarray, names: np.ndarray) -> dict[str, Any]:
    """Return the row of the judge of before."""
    known = names != ""
    start = time.process_time()
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    said = cross_val_predict(model, pixels[known], names[known], cv=folds)
    accuracy = float(np.mean(said == names[known]))
    low, high = wilson(accuracy, known.sum())
    row = {"classes": len(np.unique(names[known])), "photos": int(known.sum())}
    row |= {"accuracy": accuracy, "low": low, "high": high, "answered": 1.0}
    return row | {"accuracy_answered": accuracy, "seconds": time.process_time() - start}


def markdown(table: pd.DataFrame) -> str:
    """Return the table for people."""
    head = ["encoder", "task", "names", "photos", "right (95 %)", "answered", "right of these"]
    head += [f"answered at {level:.0%}" for level in LEVELS] + ["CPU s"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "--:|" * (len(head) - 2)]
    for row in table.to_dict("records"):
        cells = [row["encoder"], row["task"], f"{row['classes']:.0f}", f"{row['photos']:,.0f}"]
        cells += [f"{row['accuracy']:.1%} ({row['low']:.1%}–{row['high']:.1%})"]
        cells += [_share(row[name]) for name in ("answered", "accuracy_answered")]
        cells += [_share(row.get(f"at_{level}", np.nan)) for level in LEVELS]
        lines.append("| " + " | ".join([*cells, f"{row['seconds']:.0f}"]) + " |")
    return "\n".join(lines)


def _share(value: float) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.1%}"


def main() -> None:
    """Measure every encoder and task, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="the zip or folder of Fashion Product Images")
    parser.add_argument("encoders", nargs="+", help="layout, a folder or hub id, or pixels")
    parser.add_argument("--photos", type=int, default=8000)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 48), help="height and width")
    parser.add_argument("--where", nargs="*", default=[], help="article types; all by default")
    parser.add_argument("--rows", type=Path, default=Path("judge.csv"))
    parser.add_argument("--embed-only", action="store_true", help="fill the cache and stop")
    args = parser.parse_args()
    torch.set_num_threads(1)
    catalog = load_catalog("fashion", path=args.path)
    if args.where:
        kept = catalog.attributes["articleType"].isin(args.where).to_numpy()
        catalog = catalog.rows(np.flatnonzero(kept))
    rows = sample(catalog, args.photos)
    ids = [catalog.ids[row] for row in rows]
    table = []
    for name in args.encoders:
        size = (args.size[0], args.size[1])
        if name == "pixels":
            features = of_pixels(catalog, ids, size)
        else:
            encoder = JudgeEncoder(load_encoder(name), size)
            features = FeatureStore(None, encoder).features(catalog, ids, f"photos, {name}")
        if args.embed_only:
            continue
        space = None if name == "pixels" else Space.fit(features)
        for task, names in tasks(catalog, rows).items():
            found = as_before(features, names) if space is None else measure(features, space, names)
            table.append({"encoder": Path(name).name, "task": task, **found})
            pd.DataFrame(table).to_csv(args.rows, index=False)
    if table:
        print(markdown(pd.DataFrame(table)))


if __name__ == "__main__":
    main()

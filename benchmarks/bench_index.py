"""Cost of one warm query against the size of the catalogue: vectors and captions.

``python benchmarks/bench_index.py``                                     10⁴ and 10⁵, a few minutes
``python benchmarks/bench_index.py --sizes 10000 100000 1000000 10000000 --up-to hnsw=1000000``

Vectors are drawn from real features: one of them, plus noise that is spread as they are, reduced to
``--dimensions`` principal axes. Captions are real ones with some words taken from others. Each
index of each size is built and asked in a process of its own, so that its peak memory is its own
(that of a text index includes the captions). Recall is against the exact index on the same vectors.
Prints a table; ``--json`` and ``--plot`` keep it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog
from untrain.catalogs.columns import Texts
from untrain.catalogs.rendered.catalog import rendered
from untrain.core.files import write_json
from untrain.core.progress import console
from untrain.encoders.layout import LayoutEncoder
from untrain.encoders.store import FeatureStore
from untrain.search.retrieve.indexes import VECTOR_INDEXES
from untrain.search.retrieve.text import TEXT_RETRIEVERS
from untrain.search.retrieve.vector_index import ExactIndex
from untrain.search.retrieve.vectors import principal_axes, sampled, unit

VECTORS, TEXTS = ("exact", "hnsw", "ivfpq"), ("tfidf", "bm25")
TOPS = (10, 100)
REPLACED = 0.3  # share of a caption's words taken from others
DRAWN = 2**16  # vectors or captions made at a time


class Memory(threading.Thread):
    """Watches what this process holds, MiB: at most, and at most without pages of mapped files."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own, self._done = 0.0, threading.Event()

    def run(self) -> None:
        """Look every 20 ms."""
        while not self._done.wait(0.02):
            self.own = max(self.own, self._status("RssAnon"))

    def stop(self) -> dict[str, float]:
        """Return the two figures."""
        self._done.set()
        return {
            "peak_mib": self._status("VmHWM"),
            "own_mib": max(self.own, self._status("RssAnon")),
        }

    def _status(self, name: str) -> float:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        return float("nan")


def opened(args: argparse.Namespace) -> Catalog:
    """Return the catalogue that vectors and captions are drawn from."""
    if args.catalog:
        kind = "fashion" if args.catalog.suffix == ".zip" else "folder"
        return load_catalog(kind, path=args.catalog)
    return rendered(args.families, resolution=64)


def real(args: argparse.Namespace) -> np.ndarray:
    """Return real features, float32 (m, d)."""
    if args.features:
        return np.asarray(np.load(args.features, mmap_mode="r"), np.float32)
    stored, rows = FeatureStore(None, LayoutEncoder()).index(opened(args), "features")
    return np.asarray(stored[np.unique(rows)], np.float32)


def report_reduction(features: np.ndarray, reduced: np.ndarray, queries: int) -> dict[str, float]:
    """Print and return the recall of the reduced vectors, judged in all dimensions and alone."""
    asked = sampled(np.arange(len(features)), queries, "asked")
    noisy = features[asked] + 0.3 * features.std(axis=0) * np.random.default_rng(1).normal(
        size=(len(asked), features.shape[1])
    ).astype(np.float32)
    axes = principal_axes(features, np.arange(len(features)), reduced.shape[1])
    whole = ExactIndex().fit(features)
    figures: dict[str, float] = {}
    for top in TOPS:
        true, _ = whole.query(noisy, top)
        found, _ = ExactIndex().fit(reduced).query(unit(noisy) @ axes, max(4 * top, 100))
        order = np.argsort(-whole.cosines(noisy, found), axis=1, kind="stable")
        judged = np.take_along_axis(found, order, axis=1)[:, :top]
        alone = found[:, :top]
        for name, named in (("judged in all", judged), ("alone", alone)):
            shared = [len(np.intersect1d(a, b)) / top for a, b in zip(true, named, strict=True)]
            figures[f"recall@{top}, {name}"] = float(np.mean(shared))
    words = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{features.shape[1]} → {reduced.shape[1]} dimensions of {len(features)} images: {words}")
    return figures


def draw_vectors(reduced: np.ndarray, count: int, noise: float, file: Path) -> None:
    """Write ``count`` vectors, float16, each a real one plus noise that is spread as they are."""
    drawn = np.lib.format.open_memmap(file, "w+", np.float16, (count, reduced.shape[1]))
    spread = noise * reduced.std(axis=0)
    for start in range(0, count, DRAWN):
        random = np.random.default_rng((count, start))
        size = min(DRAWN, count - start)
        of = reduced[random.integers(len(reduced), size=size)]
        drawn[start : start + size] = unit(
            of + spread * random.standard_normal(of.shape, np.float32)
        )
    drawn.flush()


def draw_captions(real_ones: list[str], count: int, seed: int = 0) -> Texts:
    """Return ``count`` captions: real ones, some words of each taken from others."""
    split = [caption.split() for caption in real_ones]
    pool = pa.array([word for words in split for word in words]).dictionary_encode()
    codes, lengths = pool.indices.to_numpy(), np.array([len(words) for words in split])
    starts = np.cumsum(lengths) - lengths
    made = []
    for first in range(0, count, DRAWN):
        random = np.random.default_rng((seed, first))
        rows = random.integers(len(split), size=min(DRAWN, count - first))
        ends = np.cumsum(lengths[rows])
        places = np.arange(ends[-1]) + np.repeat(starts[rows] - ends + lengths[rows], lengths[rows])
        other = random.random(len(places)) < REPLACED
        places[other] = random.integers(len(codes), size=int(other.sum()))
        words = pool.dictionary.take(pa.array(codes[places]))
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
        made.append(pc.binary_join(pa.ListArray.from_arrays(offsets, words), " "))
    return Texts(pa.chunked_array(made))


def asked(query: Callable[[int], object], count: int) -> dict[str, float]:
    """Return the latencies of ``count`` single queries, ms, after three that do not count.

    And the processor's time, which hardly depends on what else the machine does.
    """
    for number in range(3):
        query(number % count)
    times = np.empty((count, 2))
    for number in range(count):
        start = time.perf_counter(), time.process_time()
        query(number)
        times[number] = time.perf_counter() - start[0], time.process_time() - start[1]
    wall, work = 1000 * times.T
    figures = {"median_ms": np.median(wall), "p95_ms": np.quantile(wall, 0.95)}
    figures |= {"cpu_median_ms": np.median(work), "cpu_p95_ms": np.quantile(work, 0.95)}
    return {name: float(value) for name, value in figures.items()}


def took(start: tuple[float, float]) -> dict[str, float]:
    """Return the seconds of building since then: wall, and the processor's."""
    return {
        "build_s": time.perf_counter() - start[0],
        "build_cpu_s": time.process_time() - start[1],
    }


def measure_vectors(kind: str, file: Path, queries: np.ndarray, truth: Path) -> dict[str, float]:
    """Build an index over the vectors in a file and ask it; the exact one leaves the truth."""
    console.quiet = True
    memory = Memory()
    memory.start()
    features = np.load(file, mmap_mode="r")
    start = time.perf_counter(), time.process_time()
    index = VECTOR_INDEXES[kind]().fit(features)
    figures = took(start) | asked(lambda n: index.query(queries[n : n + 1], 100), len(queries))
    figures |= memory.stop()
    _, values = index.query(queries, min(100, len(features)))
    if kind == "exact":
        np.save(truth, values)
    true = np.load(truth)
    for top in TOPS:
        reached = values[:, :top] >= true[:, :top][:, -1:] - 1e-9
        figures[f"recall@{top}"] = float(reached.mean())
    return figures


def measure_text(kind: str, real_ones: list[str], count: int, queries: int) -> dict[str, float]:
    """Fit a retriever on as many captions and ask it."""
    captions = draw_captions(real_ones, count)
    prompts = draw_captions(real_ones, queries, seed=1)
    memory = Memory()
    memory.start()
    start = time.perf_counter(), time.process_time()
    retriever = TEXT_RETRIEVERS[kind]().fit(captions)
    figures = took(start) | asked(lambda n: retriever.query([prompts[n]], 100), queries)
    return figures | memory.stop()


def alone(work: Callable[..., dict[str, float]], *args: Any) -> dict[str, float]:
    """Run ``work`` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *args).result()


def measure(args: argparse.Namespace, reduced: np.ndarray, captions: list[str]) -> pd.DataFrame:
    """Measure every index at every size; print each line as it comes."""
    limits = {name: int(float(size)) for name, size in (pair.split("=") for pair in args.up_to)}
    rows = []

    def line(kind: str, count: int, figures: dict[str, float]) -> None:
        rows.append({"index": kind, "images": count} | figures)
        words = "  ".join(f"{name} {value:,.3f}" for name, value in figures.items())
        print(f"{kind:<6} {count:>10,}  {words}", flush=True)

    for count in args.sizes:
        chosen = [k for k in args.indexes if count <= limits.get(k, count)]
        with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
            file, truth = Path(scratch) / "vectors.npy", Path(scratch) / "truth.npy"
            vectors = [k for k in VECTORS if k in {*chosen, "exact"}]
            if set(chosen) & set(VECTORS):
                draw_vectors(reduced, count, args.noise, file)
                draw_vectors(reduced, args.queries, args.noise, Path(scratch) / "queries.npy")
                queries = np.load(Path(scratch) / "queries.npy").astype(np.float32)
                for kind in vectors:
                    line(kind, count, alone(measure_vectors, kind, file, queries, truth))
        for kind in (k for k in TEXTS if k in chosen):
            line(kind, count, alone(measure_text, kind, captions, count, args.queries))
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Return the table for ``docs/performance.md``."""
    lines = [
        "| index | images | build, s (processor) | query, ms (95 %) | processor, ms (95 %) "
        "| memory, MiB (with mapped pages) | recall@10 | recall@100 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in table.to_dict("records"):
        recalls = [record.get(f"recall@{top}", float("nan")) for top in TOPS]
        shown = ["" if np.isnan(value) else f"{value:.3f}" for value in recalls]
        lines.append(
            f"| {record['index']} | {record['images']:,} "
            f"| {record['build_s']:,.1f} ({record['build_cpu_s']:,.1f}) "
            f"| {record['median_ms']:,.1f} ({record['p95_ms']:,.1f}) "
            f"| {record['cpu_median_ms']:,.1f} ({record['cpu_p95_ms']:,.1f}) "
            f"| {record['own_mib']:,.0f} ({record['peak_mib']:,.0f}) | {shown[0]} | {shown[1]} |"
        )
    return "\n".join(lines)


def plot(table: pd.DataFrame, file: Path) -> None:
    """Draw latency, memory and building time against the number of images, both axes as powers."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "untrain"
    import matplotlib.pyplot as plt

    panels = {
        "median_ms": "one query, ms (median)",
        "own_mib": "memory, MiB",
        "build_s": "building, s",
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        for kind, rows in table.groupby("index", sort=False):
            style = "--" if kind in TEXTS else "-"
            axis.loglog(rows["images"], rows[column], style, marker="o", ms=4, label=kind)
        axis.set(title=title, xlabel="images")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [*VECTORS, *TEXTS]
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--indexes", nargs="+", choices=every, default=every)
    parser.add_argument(
        "--up-to",
        nargs="*",
        default=[],
        metavar="INDEX=IMAGES",
        help="the largest size of an index",
    )
    parser.add_argument("--catalog", type=Path, help="a zip or folder: its features and captions")
    parser.add_argument("--features", type=Path, help=".npy of real features (m, d) instead")
    parser.add_argument("--families", type=int, default=200, help="rendered, without --catalog")
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--noise", type=float, default=0.5, help="of the features' own spread")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--scratch", type=Path, help="folder for vectors: 5 GB at ten million")
    parser.add_argument("--json", type=Path, help="write every figure")
    parser.add_argument("--plot", type=Path, help="draw cost against size (.svg or .png)")
    return parser.parse_args()


def main() -> None:
    """Print a line an index and size, and the table."""
    args = parse()
    for library in ("OMP", "OPENBLAS", "MKL"):  # for the processes: they read it when they start
        os.environ[f"{library}_NUM_THREADS"] = str(args.threads)
    captions = list(opened(args).captions)
    reduced, reduction = np.zeros((0, 0)), {}
    if set(args.indexes) & set(VECTORS):
        features = real(args)
        wide = min(args.dimensions, features.shape[1])
        axes = principal_axes(features, np.arange(len(features)), wide)
        reduced = unit(unit(features) @ axes)
        reduction = report_reduction(features, reduced, args.queries)
        del features
    table = measure(args, reduced, captions)
    print("\n" + markdown(table))
    if args.json:
        write_json(args.json, {"reduction": reduction, "rows": table.to_dict("records")})
    if args.plot:
        plot(table, args.plot)


if __name__ == "__main__":
    main()

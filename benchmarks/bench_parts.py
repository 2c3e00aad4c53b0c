"""Search engines of others beside untrain's indexes, on the same vectors and captions.

``python benchmarks/bench_parts.py --catalog photos.zip --images 1000000 --scratch DIR``
``python benchmarks/bench_parts.py … --parts tfidf bm25 tantivy fts5``

Vectors and captions are drawn as `bench_index.py` draws them; prompts are whole captions and, for
text, three words of one. Of each part: building and saving it, opening it in a process of its own,
single queries for 100 images, then 1 % more images added without building anew, and the queries
again. An engine that only finds is judged as untrain judges: vectors by exact cosines of four times
as many found, captions as they come. Agreement is the share of those named that are as good as the
true 100th, by cosine or by the exact score of TF-IDF or BM25 (k₁ = 1.5, b = 0.75), so that equal
ones count. Others need ``pip install lancedb usearch tantivy``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench_index import Memory, draw_captions, draw_vectors, opened, real
from drawn import ADDED, Data
from parts import PARTS, TEXT
from untrain.core.files import read_json, write_json
from untrain.core.progress import console
from untrain.search.retrieve.text import TEXT_RETRIEVERS
from untrain.search.retrieve.vector_index import ExactIndex
from untrain.search.retrieve.vectors import principal_axes, unit

TOP = 100
ONE_THREAD = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS",
    "LANCE_CPU_THREADS", "TOKIO_WORKER_THREADS",
)  # fmt: skip


def spent() -> tuple[float, float]:
    """Return wall and processor seconds."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    """Return wall and processor seconds since then."""
    now = spent()
    return now[0] - start[0], now[1] - start[1]


def draw(args: argparse.Namespace) -> None:
    """Write vectors, captions, queries, prompts and what is true of them."""
    place: Path = args.scratch
    place.mkdir(parents=True, exist_ok=True)
    every = args.images + int(args.images * ADDED)
    if (place / "drawn.json").exists():
        return
    vectors = not set(args.parts) <= set(TEXT)
    captions = list(opened(args).captions)
    if vectors:
        features = real(args)
        axes = principal_axes(features, np.arange(len(features)), args.dimensions)
        reduced = unit(unit(features) @ axes)
        draw_vectors(reduced, every, 0.5, place / "vectors.npy")
        draw_vectors(reduced, args.queries, 0.5, place / "queries.npy")
    drawn = draw_captions(captions, every)
    with pa.ipc.new_file(str(place / "captions.arrow"), pa.schema([("text", pa.string())])) as out:
        out.write_table(pa.table({"text": drawn.data}))
    prompts = list(draw_captions(captions, args.queries, seed=1))
    random = np.random.default_rng(2)
    short = [" ".join(random.choice(prompt.split(), 3, replace=False)) for prompt in prompts]
    said = {"images": args.images, "vectors": vectors, "long": prompts, "short": short}
    write_json(place / "drawn.json", said)


def truth(kind: str, place: Path) -> None:
    """Write the true 100th score of each query, before and after the addition, of one kind."""
    file = place / f"truth-{kind}.npz"
    if file.exists():
        return
    data = Data.open(place)
    kept: dict[str, Any] = {}
    for name, count in (("before", data.images), ("after", len(data.captions))):
        if kind == "cosine":
            index = ExactIndex().fit(data.vectors[:count])
            kept[name] = index.query(data.queries, TOP)[1][:, -1]
        else:
            retriever = TEXT_RETRIEVERS[kind]().fit(data.captions.take(np.arange(count)))
            for length, prompts in data.prompts.items():
                kept[f"{name}-{length}"] = retriever.query(prompts, TOP)[1][:, -1]
            retriever.save(place / f"exact-{kind}-{name}")
    np.savez(file, **kept)


def build(name: str, place: Path, folder: Path) -> dict[str, float]:
    """Build a part over the first images and keep it."""
    console.quiet = True
    data, memory = Data.open(place), Memory()
    memory.start()
    start = spent()
    PARTS[name].build(data, folder)
    wall, work = since(start)
    return {"build_s": wall, "build_cpu_s": work} | {
        f"build_{key}": value for key, value in memory.stop().items()
    }


def ask(name: str, place: Path, folder: Path, after: bool) -> dict[str, float]:
    """Open a part and ask it; ``after``: it holds the added images too."""
    console.quiet = True
    data, memory = Data.open(place), Memory()
    memory.start()
    start = spent()
    part = PARTS[name](data, folder, after)
    part.query(part.asked(data)[0])
    figures: dict[str, float] = {"open_s": since(start)[0]}
    part.query(part.asked(data)[0])
    groups = {"": data.queries} if name not in TEXT else dict(data.prompts)
    found: dict[str, list[np.ndarray]] = {}
    for group, queries in groups.items():
        found[group], wall, work = [], [], []
        for query in queries:
            start = spent()
            found[group].append(np.asarray(part.query(query)))
            seconds = since(start)
            wall.append(1000 * seconds[0])
            work.append(1000 * seconds[1])
        label = f"{group}_" if group else ""
        figures[f"{label}median_ms"] = float(np.median(wall))
        figures[f"{label}p95_ms"] = float(np.quantile(wall, 0.95))
        figures[f"{label}cpu_ms"] = float(np.median(work))
        figures[f"{label}cpu_p95_ms"] = float(np.quantile(work, 0.95))
    figures |= {f"ask_{key}": value for key, value in memory.stop().items()}
    if not (place / f"truth-{part.judged}.npz").exists():
        return figures
    figures |= agreement(part.judged, place, data, found, after)
    return figures


def agreement(
    judged: str, place: Path, data: Data, found: dict[str, list[np.ndarray]], after: bool
) -> dict[str, float]:
    """Return the share of those named that are as good as the true 100th."""
    when = "after" if after else "before"
    with np.load(place / f"truth-{judged}.npz") as kept:
        true = {group: kept[f"{when}-{group}" if group else when] for group in found}
    figures = {}
    for group, named in found.items():
        shares = []
        if judged == "cosine":
            exact: Any = ExactIndex()
            exact._attach(data.vectors, None)
        else:
            exact = TEXT_RETRIEVERS[judged].load(place / f"exact-{judged}-{when}")
        for number, positions in enumerate(named):
            last = true[group][number]
            if judged == "cosine":
                scores = exact.cosines(data.queries[number : number + 1], positions[None])[0]
            else:
                scores = exact.similarity([data.prompts[group][number]], positions[None])[0]
            shares.append((scores >= last - 1e-6 * abs(last)).sum() / TOP)
        figures[f"{group}_agreement" if group else "agreement"] = float(np.mean(shares))
    return figures


def add(name: str, place: Path, folder: Path) -> dict[str, float]:
    """Add the last images to a part that is kept."""
    console.quiet = True
    data = Data.open(place)
    start = spent()
    PARTS[name].add(data, folder)
    wall, work = since(start)
    return {"add_s": wall, "add_cpu_s": work}


def alone(work: Any, *args: Any) -> Any:
    """Run ``work`` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def measure(name: str, place: Path) -> dict[str, float]:
    """Build, ask, add and ask again, each in a process of its own."""
    folder = place / f"part-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    figures: dict[str, float] = {}

    def note(found: dict[str, float], when: str = "") -> None:
        for key, value in found.items():
            figures[when + key] = value
            print(f"  {when + key:<26} {value:12,.3f}", flush=True)

    note(alone(build, name, place, folder))
    files = [path for path in folder.rglob("*") if path.is_file()]
    note({"disk_mib": sum(path.stat().st_size for path in files) / 2**20})
    note(alone(ask, name, place, folder, False))
    if hasattr(PARTS[name], "add"):
        note(alone(add, name, place, folder))
        note(alone(ask, name, place, folder, True), "after_")
    shutil.rmtree(folder)
    return figures


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), default=list(PARTS))
    parser.add_argument("--catalog", type=Path, help="a zip or folder: its features and captions")
    parser.add_argument("--features", type=Path, help=".npy of real features (m, d) instead")
    parser.add_argument("--families", type=int, default=200, help="rendered, without --catalog")
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--unjudged", action="store_true", help="no exact search to compare with")
    parser.add_argument("--scratch", type=Path, required=True, help="6 KB an image, kept")
    parser.add_argument("--json", type=Path, help="write every figure; earlier ones in it stay")
    return parser.parse_args()


def main() -> None:
    """Print what each part takes."""
    args = parse()
    os.environ |= dict.fromkeys(ONE_THREAD, "1") | {"LANCE_LOG": "error"}  # for the processes
    alone(draw, args)
    for name in args.parts:
        if not args.unjudged:
            alone(truth, PARTS[name].judged, args.scratch)
        print(name, f"{args.images:,} images", flush=True)
        figures = measure(name, args.scratch)
        if args.json:
            known = read_json(args.json) if args.json.exists() else {}
            write_json(args.json, known | {f"{name}-{args.images}": figures})


if __name__ == "__main__":
    main()

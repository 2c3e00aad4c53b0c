"""Large catalogues: the first opening, which reads every image, and the later ones, which map.

``python benchmarks/bench_large_catalog.py``                             10,000 and 100,000 pairs
``python benchmarks/bench_large_catalog.py --pairs 1000000``             0.3 GiB of disk for a while
``python benchmarks/bench_large_catalog.py --format webdataset``         or csv, parquet

Pictures are of 2 × 2 pixels, all different, so that the figures are those of untrain and not of
decoding: a photograph of a megapixel takes milliseconds more, once. Each opening is a process of
its own; memory is what it holds more than before it opened: its own, and mapped pages of files,
which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from timing import peak_memory
from untrain.catalogs import hold_out, load_catalog
from untrain.catalogs.formats import folder
from untrain.core.progress import console

SHARD = 10_000
READS = 1000
WORDS = ("red", "blue", "green", "shirt", "bag", "shoe", "striped", "plain")


def pictures(count: int) -> Iterator[tuple[str, bytes, str]]:
    """Yield id, picture and caption; pictures differ in the pixels alone."""
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "BMP")
    head = buffer.getvalue()[:-16]
    for number in range(count):
        pixels = number.to_bytes(16, "little")
        words = [WORDS[(number >> shift) % len(WORDS)] for shift in (0, 3, 6, 9)]
        yield f"{number:08d}", head + pixels, f"{' '.join(words)} number {number}"


def write(place: Path, count: int, format: str) -> None:
    """Write the pairs in a format."""
    rows = pictures(count)
    for start in range(0, count, SHARD):
        shard = [next(rows) for _ in range(min(SHARD, count - start))]
        ids, images, captions = zip(*shard, strict=True)
        name = f"{start // SHARD:04d}"
        if format == "parquet":
            table = pa.table({"id": ids, "image": images, "caption": captions})
            pq.write_table(table, place / f"{name}.parquet", row_group_size=1000)
        elif format == "webdataset":
            with tarfile.open(place / f"{name}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for image_id, data, caption in shard:
                    for suffix, content in (("bmp", data), ("txt", caption.encode())):
                        info = tarfile.TarInfo(f"{image_id}.{suffix}")
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
        else:
            (place / name).mkdir()
            with (place / "table.csv").open("a", newline="") as file:
                table = csv.writer(file)
                table.writerows([["id", "image", "caption"]] if start == 0 else [])
                for image_id, data, caption in shard:
                    (place / name / f"{image_id}.bmp").write_bytes(data)
                    table.writerow([image_id, f"{name}/{image_id}.bmp", caption])


def memory() -> np.ndarray:
    """Return MiB held now: the process's own, and mapped from files (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    held = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if "kB" in line}
    return np.array([held["RssAnon"], held["RssFile"]])


def opening(path: Path, format: str, whole: bool, hash_only: bool) -> None:
    """Open once and print what it costs; ``whole``: also what a run would ask of it."""
    console.quiet = True
    if hash_only:
        folder.decode = lambda data, name: None  # type: ignore[assignment]
    import pandas as pd

    pd.DataFrame({"a": ["x"]})  # what pandas imports late is not the catalogue's
    options = {"image": "bmp"} if format == "webdataset" else {}

    def step(what: str, work: object) -> object:
        before, start = memory(), time.perf_counter()
        result = work()  # type: ignore[operator]
        took = time.perf_counter() - start
        own, files = memory() - before
        peak = peak_memory()[0]
        print(
            f"  {what:<34} {took:8.3f} s   own {own:+7.1f} MiB   mapped {files:+7.1f} MiB   "
            f"(peak of the process {peak:.0f})",
            flush=True,
        )
        return result

    catalog = step("open again" if whole else "open, first time",
                   lambda: load_catalog(format, path=path, **options))  # fmt: skip
    if not whole:
        return
    ids = catalog.ids  # type: ignore[attr-defined]
    some = np.random.default_rng(0).choice(len(ids), min(READS, len(ids)), replace=False)
    step("fingerprint", lambda: catalog.fingerprint)  # type: ignore[attr-defined]
    step(f"{len(some):,} images here and there",
         lambda: [catalog.read(ids[row]) for row in some])  # type: ignore[attr-defined]  # fmt: skip
    step("all ids and captions, once",
         lambda: sum(1 for _ in zip(ids, catalog.captions)))  # type: ignore[attr-defined]  # noqa: B905  # fmt: skip
    step("hold 4 % out", lambda: hold_out(catalog, 0.04, 0))  # type: ignore[arg-type]


def main() -> None:
    """Print some lines a size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--format", choices=["parquet", "webdataset", "csv"], default="parquet")
    parser.add_argument(
        "--hash-only", action="store_true", help="do not decode the pictures when they are read"
    )
    args = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    for count in args.pairs:
        with tempfile.TemporaryDirectory() as place:
            os.environ["UNTRAIN_CACHE"] = f"{place}/cache"
            data = Path(place) / "data"
            data.mkdir()
            start = time.perf_counter()
            write(data, count, args.format)
            size = sum(f.stat().st_size for f in data.rglob("*") if f.is_file()) / 2**20
            took = time.perf_counter() - start
            print(f"{count:,} pairs, {args.format}: {size:.0f} MiB, written in {took:.0f} s")
            path = data / "table.csv" if args.format == "csv" else data
            for whole in (False, True):
                child = spawn.Process(
                    target=opening, args=(path, args.format, whole, args.hash_only)
                )
                child.start()
                child.join()
            cache = sum(f.stat().st_size for f in Path(place, "cache").rglob("*") if f.is_file())
            print(f"  listing: {cache / 2**20:.0f} MiB on disk")


if __name__ == "__main__":
    main()

"""Every kind of file of a finished run and of its cache, damaged: noticed, and made again.

A micro run is finished. Then, one at a time, a file of it is cut, emptied, given a flipped bit,
replaced by other JSON, or deleted; `untrain.core.manifest.verify` must name it, and `untrain run`
must leave the bytes of before. The same of the cache, whose files nobody needs to be told about.

    python benchmarks/reliability/damage.py
    python benchmarks/reliability/damage.py --count 20
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "one bit": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :]
        if data
        else b"\1"
    ),
    "other": lambda _: b'{"other": [1, 2]}',
    "deleted": lambda _: None,
}
GROWING = {"log.txt", "checksums.txt", ".lock"}
"""What says what happened, and so is never the same."""
TIMED = {"run.json", ".run.json"}
"""What holds seconds: compared without them."""
MAY_BE_GONE = ("thumbnails/", "pictures/", "results/figures/", "results/tables/")
"""What people delete to save space, which is no reason to do a stage again."""


def micro(place: Path) -> Path:
    """Finish a micro run and return its folder."""
    from untrain.experiment.pipeline import run_stages
    from untrain.experiment.telling import Telling
    from untrain.runs.run import Run
    from untrain.settings.load import load_config

    preset = Path(str(files("untrain.settings"))) / "micro.yaml"
    run = Run(load_config(preset, ["workers=1"], runs=place / "runs"))
    return run_stages(run, telling=Telling(run))


def again(folder: Path) -> None:
    """Do what `untrain run FOLDER` does."""
    from untrain.cli.options import _read
    from untrain.experiment.pipeline import run_stages
    from untrain.experiment.telling import Telling
    from untrain.runs.run import Run

    run = Run(_read({}, folder))
    run_stages(run, telling=Telling(run))


def one_of_each(folder: Path) -> list[Path]:
    """Return one file of each name and place: of many pictures or models, the first."""
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in GROWING and not path.name.endswith(".lock"):
            place = path.relative_to(folder).parts[0]
            name = path.suffix if path.suffix in (".png", ".svg", ".csv", ".tex") else path.name
            found.setdefault((place, name), path)
    return list(found.values())


def content(folder: Path) -> dict[str, str]:
    """Return what every file holds, by name; of the record without what it took."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in GROWING or path.name == "lock":
            continue
        data = path.read_bytes()
        if path.name in TIMED:
            record = json.loads(data)
            for stage in record["stages"].values():
                stage.pop("seconds", None)
            data = json.dumps(record, sort_keys=True).encode()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def damaged_run(whole: Path, place: Path, name: str, damage: str) -> dict[str, Any]:
    """Damage a file of a copy of a run, and return what came of it."""
    from untrain.core.errors import UntrainError
    from untrain.core.verifying import verify

    folder = place / "runs" / whole.name
    shutil.rmtree(place / "runs", ignore_errors=True)
    shutil.copytree(whole, folder)
    before = content(folder)
    _damage(folder / name, damage)
    found = verify(folder)
    row = {"file": name, "damage": damage, "noticed": name in (*found.damaged, *found.missing)}
    try:
        again(folder)
        after = content(folder)
        differ = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
        free = damage == "deleted" and name.startswith(MAY_BE_GONE)
        row["same"] = not differ or (free and differ == [name])
        row["differ"] = differ[:5]
    except UntrainError as error:
        row |= {"same": False, "differ": [str(error)[:200]]}
    return row


def damaged_cache(whole: Path, cache: Path, place: Path, name: str, damage: str) -> dict[str, Any]:
    """Damage a file of the cache, have a run begin anew on it, and return what came of it."""
    own = place / "cache"
    shutil.rmtree(own, ignore_errors=True)
    shutil.copytree(cache, own)
    os.environ["UNTRAIN_CACHE"] = str(own)
    _damage(own / name, damage)
    folder = place / "runs" / whole.name
    shutil.rmtree(place / "runs", ignore_errors=True)
    shutil.copytree(whole, folder)
    for output in ("retrieval.parquet", "comparison.parquet", "judged.parquet"):
        (folder / output).unlink()
    before = content(whole)
    row: dict[str, Any] = {"file": name, "damage": damage}
    try:
        again(folder)
        after = content(folder)
        differ = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
        row |= {"same": not differ, "differ": differ[:5]}
    except Exception as error:
        row |= {"same": False, "differ": [f"{type(error).__name__}: {error}"[:200]]}
    return row


def _damage(path: Path, damage: str) -> None:
    data = DAMAGES[damage](path.read_bytes())
    path.unlink()  # it may be a hard link
    if data is not None:
        path.write_bytes(data)


def cost() -> list[list[Any]]:
    """Return what a GiB costs to check, in seconds of processor."""
    import numpy as np

    from untrain.core.marks import digest_of
    from untrain.core.row_sums import sums_of

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gib")
        rows = np.zeros((1 << 20, 512), np.float16)
        path.write_bytes(rows.tobytes())
        start = time.process_time()
        digest_of(path)
        file = time.process_time() - start
        start = time.process_time()
        for part in range(0, 1 << 20, 1 << 10):
            sums_of(rows[part : part + (1 << 10)])
        summed = time.process_time() - start
    return [
        ["seconds of processor: SHA-256 of a file of 1 GiB", round(file, 2)],
        ["seconds of processor: checksums of a million rows, 1 GiB", round(summed, 2)],
    ]


def main() -> None:
    """Damage files and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=0, help="cases; 0 is all")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    asked = parser.parse_args()
    print(json.dumps(measure(asked.count, asked.seconds, asked.out), indent=2))


def measure(count: int = 0, seconds: float = 1e9, out: Path | None = None) -> dict[str, Any]:
    """Return the figures; see the module."""
    import torch

    from untrain.core.progress import console

    console.quiet = True
    torch.set_num_threads(1)
    begun = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="untrain-damage-"))
    kept = os.environ.get("UNTRAIN_CACHE")
    os.environ["UNTRAIN_CACHE"] = str(place / "first-cache")
    try:
        # What it is compared with lies elsewhere: its settings name the place that it was made in.
        made, whole = micro(place), place / "whole" / "micro"
        shutil.copytree(made, whole)
        in_run = [(p.relative_to(whole).as_posix(), d) for p in one_of_each(whole) for d in DAMAGES]
        cache = place / "first-cache"
        in_cache = [
            (p.relative_to(cache).as_posix(), d) for p in one_of_each(cache) for d in DAMAGES
        ]
        cases = [("run", *each) for each in in_run] + [("cache", *each) for each in in_cache]
        random.Random(0).shuffle(cases)
        rows: dict[str, list[dict[str, Any]]] = {"run": [], "cache": []}
        for what, name, damage in cases[: count or len(cases)]:
            if time.monotonic() - begun > seconds:
                break
            os.environ["UNTRAIN_CACHE"] = str(cache)
            if what == "run":
                row = damaged_run(whole, place, name, damage)
            else:
                row = damaged_cache(whole, cache, place, name, damage)
            if not row["same"] or not row.get("noticed", True):
                print(row, file=sys.stderr, flush=True)
            rows[what].append(row)
        found = _figures(rows, len(cases))
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if kept is None:
            os.environ.pop("UNTRAIN_CACHE", None)
        else:
            os.environ["UNTRAIN_CACHE"] = kept
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def _figures(rows: dict[str, list[dict[str, Any]]], cases: int) -> dict[str, Any]:
    run, cache = rows["run"], rows["cache"]
    told = [
        ["damaged files of a run: cases", len(run)],
        ["named by `untrain verify`", sum(row["noticed"] for row in run)],
        ["the same bytes after `untrain run`", sum(row["same"] for row in run)],
        ["damaged files of the cache: cases", len(cache)],
        ["the same results of the next run", sum(row["same"] for row in cache)],
        ["cases that there are, of which these were drawn", cases],
        *cost(),
    ]
    return {
        "command": "python benchmarks/reliability/damage.py",
        "machine": f"{platform.machine()}, Python {platform.python_version()}, shared",
        "rows": told,
        "cases": cases,
        "not_held": [
            row for row in (*run, *cache) if not row["same"] or not row.get("noticed", True)
        ],
    }


if __name__ == "__main__":
    main()

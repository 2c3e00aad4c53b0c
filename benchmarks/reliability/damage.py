"""Every kind of file of a finished run and of its cache, damaged: noticed, and made again.

A micro run is finished. Then, one at a time, a file of it is cut, emptied, given a flipped bit,
replaced by other JSON, or deleted; `untrain.core.manifest.verify` must name it, and `untrain run`
must leave the bytes of before. The same of the cache, whose files nobody needs to be told about.
With ``--folder``, a call goes on where the one before ended.

    python benchmarks/reliability/damage.py --folder damaged --seconds 400
    python benchmarks/reliability/damage.py --count 20
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from damaging import (
    DAMAGES,
    Case,
    Row,
    content,
    copy,
    damage,
    differing,
    held,
    micro,
    one_of_each,
    tried,
)
from storing import store

MAY_BE_GONE = ("thumbnails/", "pictures/", "results/figures/", "results/tables/")
"""What people delete to save space, which is no reason to do a stage again."""
ANEW = ("retrieval.parquet", "comparison.parquet", "judged.parquet")
"""What a run must make again that reads the cache."""


def again(folder: Path) -> None:
    """Do what `untrain run FOLDER` does."""
    from untrain.cli.options import _read
    from untrain.experiment.pipeline import run_stages
    from untrain.experiment.telling import Telling
    from untrain.runs.run import Run

    run = Run(_read({}, folder))
    run_stages(run, telling=Telling(run))


def damaged_run(place: Path, name: str, kind: str) -> Row:
    """Damage a file of a copy of a run, and return what came of it."""
    from untrain.core.errors import UntrainError
    from untrain.core.verifying import verify

    os.environ["UNTRAIN_CACHE"] = str(place / "cache")
    folder = place / "runs" / "micro"
    copy(place / "whole" / "micro", folder)
    before = content(folder)
    damage(folder / name, kind)
    found = verify(folder)
    row: Row = {"noticed": name in (*found.damaged, *found.missing)}
    try:
        again(folder)
    except UntrainError as error:
        return row | {"same": False, "differ": [str(error)[:200]]}
    differ = differing(before, content(folder))
    free = kind == "deleted" and name.startswith(MAY_BE_GONE)
    return row | {"same": not differ or (free and differ == [name]), "differ": differ[:5]}


def damaged_cache(place: Path, name: str, kind: str) -> Row:
    """Damage a file of the cache, have a run begin anew on it, and return what came of it."""
    own = place / "own-cache"
    copy(place / "cache", own, linked=False)
    os.environ["UNTRAIN_CACHE"] = str(own)
    damage(own / name, kind)
    folder = place / "runs" / "micro"
    copy(place / "whole" / "micro", folder)
    before = content(folder)
    for output in ANEW:
        (folder / output).unlink()
    again(folder)
    differ = differing(before, content(folder))
    return {"same": not differ, "differ": differ[:5]}


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
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no case after so long")
    parser.add_argument("--folder", type=Path, help="keeps the run, and what came of each case")
    parser.add_argument("--store", action="store_true", help="for docs/reliability.md")
    asked = parser.parse_args()
    found = measure(asked.count, asked.seconds, asked.folder)
    rows = [*found["rows"], *cost()]
    print(*(f"{what}: {figure}" for what, figure in rows), *found["not_held"], sep="\n")
    if asked.store:
        command = "python benchmarks/reliability/damage.py --folder damaged --store"
        store("damage", rows, command=command, not_held=found["not_held"])


def measure(count: int = 0, seconds: float = 1e9, folder: Path | None = None) -> dict[str, Any]:
    """Return the figures; see the module."""
    import torch

    from untrain.core.progress import console

    console.quiet = True
    torch.set_num_threads(1)
    kept = os.environ.get("UNTRAIN_CACHE")
    with tempfile.TemporaryDirectory(prefix="untrain-damage-") as passing:
        place = (folder or Path(passing)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        try:
            return _measured(place, count, seconds)
        finally:
            os.environ.pop("UNTRAIN_CACHE", None)
            if kept is not None:
                os.environ["UNTRAIN_CACHE"] = kept


def _measured(place: Path, count: int, seconds: float) -> dict[str, Any]:
    cache, whole = place / "cache", place / "whole" / "micro"
    if not whole.exists():
        # What it is compared with lies elsewhere: its settings name the place it was made in.
        os.environ["UNTRAIN_CACHE"] = str(cache)
        copy(micro(place), whole)
    cases: list[Case] = [
        (what, name, kind)
        for what, root in (("run", whole), ("cache", cache))
        for name in one_of_each(root)
        for kind in DAMAGES
    ]

    def attempt(case: Case) -> Row:
        what, name, kind = case
        return (damaged_run if what == "run" else damaged_cache)(place, name, kind)

    rows: dict[str, list[Row]] = {"run": [], "cache": []}
    not_held = []
    for case, row in tried(cases, attempt, place, count, seconds):
        rows[case[0]].append(row)
        if not held(row):
            not_held.append([*case, row])
    run, of_cache = rows["run"], rows["cache"]
    told = [
        ["damaged files of a run: cases", len(run)],
        ["named by `untrain verify`", sum(row.get("noticed", False) for row in run)],
        ["the same bytes after `untrain run`", sum(row["same"] for row in run)],
        ["damaged files of the cache: cases", len(of_cache)],
        ["the same results of the next run", sum(row["same"] for row in of_cache)],
        ["cases that there are, of which these were drawn", len(cases)],
    ]
    return {"rows": told, "not_held": not_held}


if __name__ == "__main__":
    main()

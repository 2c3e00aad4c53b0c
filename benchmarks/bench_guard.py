"""What `untrain guard` costs: opening it, a picture while it stays open, and a call of its own.

``python benchmarks/bench_guard.py --catalog fashion.zip``            a real catalogue
``python benchmarks/bench_guard.py``                                  the rendered one
``python benchmarks/bench_guard.py --catalog fashion.zip --pictures 200 --processes 5 --json``

The pictures are images of the catalogue, saved again, mirrored and at half their size, and others
of the catalogue that were left out of it: their own images do not count. Each is checked as a file
on disk, read and decoded in the time that is told. Seconds by the clock and by the processor are
both given: where other work shares the machine, the second says more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageOps

from untrain.api.guard import Guard
from untrain.catalogs.base import Catalog
from untrain.cli.catalogue import open_catalogue
from untrain.core.progress import console

UNTRAIN = [sys.executable, "-c", "from untrain.cli import main; main()"]
EDITS = {
    "saved again": lambda image: image,
    "mirrored": ImageOps.mirror,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
}


def clocks() -> np.ndarray:
    """Return seconds by the clock and by the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def timed(function: Any, *arguments: Any) -> tuple[Any, np.ndarray]:
    """Return what a function gives, and the seconds it took."""
    start = clocks()
    found = function(*arguments)
    return found, clocks() - start


def spread(seconds: list[np.ndarray]) -> dict[str, float]:
    """Return milliseconds: median, 95th percentile and most by the clock, median by processor."""
    wall, processor = np.array(seconds).T * 1000
    return {
        "median": float(np.median(wall)),
        "p95": float(np.quantile(wall, 0.95)),
        "most": float(wall.max()),
        "processor": float(np.median(processor)),
    }


def check_some(guard: Guard, whole: Catalog, others: list[str], count: int) -> dict[str, Any]:
    """Return milliseconds a picture, and how many of each kind are stopped."""
    drawn = np.random.default_rng(0).choice(len(guard.catalog), count, replace=False)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.jpg"
        kinds = {**EDITS, "not in it": EDITS["saved again"]}
        for kind, edit in kinds.items():
            ids = [guard.catalog.ids[row] for row in drawn.tolist()]
            ids = others[:count] if kind == "not in it" else ids
            took, stopped = [], 0
            for image_id in ids:
                edit(whole.image(image_id)).save(path, quality=85)
                checked, seconds = timed(guard.check, path)
                took.append(seconds)
                stopped += checked.too_near
            found[kind] = {"pictures": len(ids), "stopped": stopped, **spread(took)}
    return found


def call(arguments: list[str], picture: Path) -> float:
    """Return the seconds of a whole call of the command line, interpreter included."""
    start = time.perf_counter()
    done = subprocess.run(
        [*UNTRAIN, "guard", str(picture), "--json", *arguments],
        stdout=subprocess.PIPE,
    )
    assert done.returncode in (0, 1), done.returncode
    return time.perf_counter() - start


def line_by_line(arguments: list[str], picture: Path, count: int) -> tuple[float, list[float]]:
    """Return the seconds until a process is ready, and those of each answer it gives."""
    command = [*UNTRAIN, "guard", "--lines", *arguments]
    start = time.perf_counter()
    took = []
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin and process.stdout
        assert json.loads(process.stdout.readline())["ready"]
        ready = time.perf_counter() - start
        for _ in range(count):
            begun = time.perf_counter()
            process.stdin.write(f"{picture}\n")
            process.stdin.flush()
            json.loads(process.stdout.readline())
            took.append(time.perf_counter() - begun)
        process.stdin.close()
    return ready, took


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalog", type=Path, help="a catalogue; default: the rendered one")
    parser.add_argument("--pictures", type=int, default=50, help="of each kind")
    parser.add_argument("--processes", type=int, default=3, help="whole calls")
    parser.add_argument("--mode", default="fast", choices=["fast", "thorough"])
    parser.add_argument("--cache", type=Path, help="default: a new one, deleted again")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    console.quiet = given.json
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNTRAIN_CACHE"] = str(given.cache or folder)
        found = measure(given)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name}: {value}")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is measured."""
    whole, catalogue = timed(open_catalogue, given.catalog)
    drawn = np.random.default_rng(1).permutation(np.unique(whole.same_as))[: given.pictures]
    others = [whole.ids[row] for row in drawn.tolist()]
    kept = ~np.isin(whole.same_as, drawn)
    # Made and calibrated for the whole first, as the calls of the command line need it.
    guard, first = timed(Guard, whole, given.mode)
    guard, again = timed(Guard, whole, given.mode)
    found: dict[str, Any] = {
        "images": len(whole),
        "mode": given.mode,
        "seconds (clock, processor)": {
            "catalogue": catalogue.round(3).tolist(),
            "first opening": first.round(3).tolist(),
            "opening again": again.round(3).tolist(),
        },
        "false positives": guard.false_positives,
    }
    part = Guard(whole.rows(np.flatnonzero(kept)), given.mode, calibrated=False)
    found["milliseconds a picture"] = check_some(part, whole, others, given.pictures)
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.jpg"
        whole.image(whole.ids[0]).save(picture, quality=85)
        arguments = ["--catalog", str(given.catalog or "rendered"), "--mode", given.mode]
        calls = [call(arguments, picture) for _ in range(given.processes)]
        ready, took = line_by_line(arguments, picture, given.pictures)
    found["seconds a call"] = [round(each, 3) for each in calls]
    found["seconds until --lines is ready"] = round(ready, 3)
    found["milliseconds a line"] = spread([np.array([each, 0]) for each in took])
    return found


if __name__ == "__main__":
    main()

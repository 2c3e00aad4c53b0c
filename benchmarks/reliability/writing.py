"""What it costs to see everything on the disk before it counts: ``UNTRAIN_FSYNC``.

The micro preset is run in fresh folders with and without it by turns, each run in a process of its
own. Calls of ``fsync`` and the seconds in them are counted; the results must be the same bytes.

    python benchmarks/reliability/writing.py --count 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from storing import store

TURNS = {"on": "1", "off": "0"}


def counted(place: Path) -> dict[str, float | str]:
    """Run the preset below ``place`` in this process; return what it took."""
    from importlib.resources import files

    from untrain.core.progress import console
    from untrain.experiment.pipeline import run_stages
    from untrain.runs.run import Run
    from untrain.settings.load import load_config

    found: dict[str, float] = {"fsync": 0, "renames": 0, "seconds in fsync": 0.0}
    fsync, replace = os.fsync, Path.replace

    def timed(number: int) -> None:
        start = time.perf_counter()
        fsync(number)
        found["seconds in fsync"] += time.perf_counter() - start
        found["fsync"] += 1

    def renamed(self: Path, target: Any) -> Path:
        found["renames"] += 1
        return replace(self, target)

    os.fsync = timed
    Path.replace = renamed  # type: ignore[method-assign]
    console.quiet = True
    preset = Path(str(files("untrain.settings"))) / "micro.yaml"
    run = Run(load_config(preset, ["workers=1"], runs=place / "runs"))
    start, busy = time.perf_counter(), time.process_time()
    run_stages(run)
    found["seconds"] = time.perf_counter() - start
    found["CPU seconds"] = time.process_time() - busy
    tables = sorted((run.folder / "results").glob("*.parquet"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in tables)).hexdigest()
    return {**found, "results": digest}


def measured(mode: str) -> dict[str, Any]:
    """Do so in another process."""
    with tempfile.TemporaryDirectory(prefix="untrain-writing-") as name:
        own = {"UNTRAIN_FSYNC": TURNS[mode], "UNTRAIN_CACHE": str(Path(name, "cache"))}
        done = subprocess.run(
            [sys.executable, __file__, "--child", name],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows(found: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """Return the table: what, with ``fsync``, without it."""

    def middle(mode: str, what: str) -> float:
        return median(float(each[what]) for each in found[mode])

    lines = [
        [what, *(f"{middle(mode, what):{form}}" for mode in TURNS)]
        for what, form in (
            ("renames", ".0f"),
            ("fsync", ".0f"),
            ("seconds in fsync", ".2f"),
            ("CPU seconds", ".1f"),
            ("seconds", ".1f"),
        )
    ]
    share = middle("on", "seconds in fsync") / middle("on", "seconds")
    same = len({each["results"] for runs in found.values() for each in runs}) == 1
    return [
        *lines,
        ["share of the run that is spent in fsync", f"{share:.1%}", "0.0%"],
        ["same bytes in all tables of results", *["yes" if same else "NO"] * 2],
    ]


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3, help="runs of each kind")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(counted(asked.child)))
        return
    found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in TURNS}
    for _ in range(asked.count):
        for mode, runs in found.items():
            runs.append(measured(mode))
    table = rows(found)
    for line in table:
        print("  ".join(line))
    store("writing", table, heads=("of a micro run (median)", "with fsync", "without"), runs=found)


if __name__ == "__main__":
    main()

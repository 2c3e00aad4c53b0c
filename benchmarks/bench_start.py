"""How long commands take that only look: in processes of their own, the median of several.

``--run`` is the folder of a finished run, such as `untrain demo --preset micro` leaves. With
``--catalog`` a trace of ``--picture`` among its images is timed, too, once it is indexed. Commands
take turns, so that company on the machine slows all of them alike.

    untrain demo --preset micro --runs /tmp/runs
    python benchmarks/bench_start.py --run /tmp/runs/micro
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

GOALS = {"--help": 0.33, "status": 0.6, "show": 0.6, "trace": 1.6}
"""Seconds on a quiet machine."""


def took(arguments: list[str]) -> float:
    """Return the seconds of one command, imports included."""
    command = [sys.executable, "-c", "from untrain.cli import main; main()", *arguments]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print one row a command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="folder of a finished run")
    parser.add_argument("--catalog", type=Path, help="images to trace among")
    parser.add_argument("--picture", type=Path, help="to trace")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    commands = {"--help": ["--help"]}
    if args.run:
        commands |= {"status": ["status", str(args.run)], "show": ["show", str(args.run)]}
    if args.catalog:
        commands["trace"] = ["trace", str(args.picture), "--catalog", str(args.catalog)]
    for command in commands.values():  # files into the system's cache, indexes into ours
        took(command)
    rows: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(args.repeats):
        for name, command in commands.items():
            rows[name].append(took(command))
    print("| command | s | fastest | goal |\n|---|--:|--:|--:|")
    for name, times in rows.items():
        print(f"| {name} | {np.median(times):.2f} | {min(times):.2f} | {GOALS[name]} |")


if __name__ == "__main__":
    main()

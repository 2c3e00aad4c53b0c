"""The most memory that a command and all its processes hold together, on Linux.

What counts is the proportional set size: pages that processes share are shared out among them, so
that the sum is what the machine has to have. It is read ten times a second, by default of the demo:

    python benchmarks/bench_memory.py
    python benchmarks/bench_memory.py --limit 2 -- untrain run experiment.yaml --workers 2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path


def family(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children[int(after[1])].append(int(path.parent.name))
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left += children[found[-1]]
    return found


def held(process: int) -> int:
    """Return the proportional set size of a process, bytes; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> None:
    """Run the command; print its peak; exit with 1 if it failed or went over the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=2.0, help="GiB")
    parser.add_argument("command", nargs="*", help="after --; default: the demo")
    args = parser.parse_args()
    most, when, processes = 0, 0.0, 0
    with tempfile.TemporaryDirectory(prefix="untrain-memory-") as folder:
        demo = [sys.executable, "-c", "from untrain.cli import main; main()", "demo", "--runs"]
        command = args.command or [*demo, folder]
        start = time.monotonic()
        running = subprocess.Popen(command, env=os.environ)
        while running.poll() is None:
            now = [held(process) for process in family(running.pid)]
            if sum(now) > most:
                most, when, processes = sum(now), time.monotonic() - start, len(now)
            time.sleep(0.1)
    print(f"peak {most / 2**30:.2f} GiB, by {processes} processes after {when:.0f} s")
    raise SystemExit(running.returncode or most > args.limit * 2**30)


if __name__ == "__main__":
    main()

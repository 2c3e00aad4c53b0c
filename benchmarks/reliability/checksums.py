"""What checksums cost: of a micro run, and of the record of a run that goes on a thousand times.

The same run is done by turns with and without them, each in a child of this process that has
imported everything (`micro`). Then it is called again where all is done: what that adds to
``checksums.txt``; and how long one takes to read that has all lines a thousand times, as if each
file had been made anew so often.

    python benchmarks/reliability/checksums.py --count 5
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
import micro
from storing import store

TIMES = 1000


def without() -> None:
    """Neither note nor compare a checksum, in this process."""
    from untrain.core import atomic, files, manifest, marks

    marks.digest_of = lambda path: "0" * 64  # in markers too
    manifest.digest_of = marks.digest_of
    manifest.expected = lambda path: frozenset()
    manifest.noted = lambda target, temporary: nullcontext()
    atomic.manifest.noted = manifest.noted
    manifest.check = files.check = lambda path: None


def nothing() -> None:
    """Leave all as it is."""


def cpu_seconds(place: micro.Place, checked: bool) -> float:
    """Return the seconds of the processor, user and system, that a run took, its workers' too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = micro.run(place, variables={"UNTRAIN_FSYNC": "0"}, first=nothing if checked else without)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise SystemExit(f"the run ended with {code}:\n{place.said[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(count: int, folder: Path) -> list[list[object]]:
    """Return the rows of the table."""
    whole = micro.new_place(folder / "first")
    cpu_seconds(whole, True)
    micro.import_all(whole)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(count):
        for checked, found in seconds.items():
            place = micro.new_place(folder / "next")
            found.append(cpu_seconds(place, checked))
    record = whole.run / "checksums.txt"
    first = record.read_bytes()
    again = cpu_seconds(whole, True)
    added = record.read_bytes()[len(first) :].count(b"\n")
    record.write_bytes(first * TIMES)
    return [
        ["a micro run: CPU seconds, median", *(f"{median(seconds[c]):.2f}" for c in seconds)],
        ["a micro run: CPU seconds, least", *(f"{min(seconds[c]):.2f}" for c in seconds)],
        ["files that have one", len(_recorded(whole.run)), None],
        ["the run again, with nothing left to do: CPU seconds", f"{again:.2f}", None],
        ["lines that this adds to checksums.txt", added, None],
        ["lines of checksums.txt, of the first call", first.count(b"\n"), None],
        [f"bytes of it after {TIMES:,} times as many", record.stat().st_size, None],
        ["CPU seconds to read it then", f"{_reading(whole.run):.2f}", None],
    ]


def _recorded(run: Path) -> dict[str, str]:
    from untrain.core.manifest import recorded

    return recorded(run)


def _reading(run: Path) -> float:
    from untrain.core.manifest import broken_lines

    other = run.parent / "read"
    other.mkdir()
    shutil.copy(run / "checksums.txt", other)
    start = time.process_time()
    broken_lines(other)
    return time.process_time() - start


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5, help="runs of each kind")
    asked = parser.parse_args()
    micro.prepare()
    with tempfile.TemporaryDirectory(prefix="untrain-checksums-") as name:
        rows = measured(asked.count, Path(name))
    for row in rows:
        print(*row, sep="  ")
    store("checksums", rows, heads=("what", "with checksums", "without"))


if __name__ == "__main__":
    main()

"""Accidents of a run: does each end with a sentence, and the same command then with the same bytes?

    python benchmarks/reliability/accidents.py --store

Each accident happens to a tiny experiment with all stages. Files beside this one have them by
subject: what a run works with is deleted (``accidents_deletions.py``); a process that trains is
killed or lacks something, the run is told to stop (``accidents_processes.py``); a disk fills,
nothing can be locked, the clock goes back, two runs meet (``accidents_places.py``); a node or a
process of Ray is lost (``accidents_ray.py``, where Ray is installed).

Wanted are: exit code 0, 1, 2, or 128 and the signal; a sentence and no traceback if it is not 0;
no process left; after that the same command with exit code 0 and the bytes of an undisturbed run.

With ``--store`` or ``--out`` the same command goes on where it stopped (``--fresh`` begins anew).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import accidents_deletions
import accidents_places
import accidents_processes
import accidents_ray
import micro
from accidents_bench import Bench, Case

OUT = Path(__file__).resolve().parents[2] / "docs" / "results" / "reliability" / "accidents.json"
ACCIDENTS = (
    accidents_deletions.ACCIDENTS
    | accidents_processes.ACCIDENTS
    | accidents_places.ACCIDENTS
    | accidents_ray.ACCIDENTS
)
SPREAD = 7
"""How many variants of an accident a try is after the one before: three are not the first three."""
HEADS = ("accident", "a sentence or success, nothing left, then the same bytes")


def main() -> None:
    """Have accidents happen; print and store what came of them."""
    options = _options()
    micro.prepare()
    kept = not options.fresh and options.out is not None and options.out.exists()
    tries: list[dict[str, Any]] = json.loads(options.out.read_text())["tries"] if kept else []
    names = [name for name in ACCIDENTS if any(only in name for only in options.only)]
    known = {(each["name"], each["number"]) for each in tries}
    due = [
        (name, number)
        for name in names
        for number in range(options.count or len(ACCIDENTS[name]))
        if (name, number) not in known
    ]
    due.sort(key=lambda each: each[1])
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="untrain-accidents-") as folder:
        bench = Bench(Path(folder)) if due else None
        for name, number in due:
            if time.monotonic() > end or bench is None:
                break
            case = Case(name, number)
            ACCIDENTS[name][SPREAD * number % len(ACCIDENTS[name])](bench, case)
            print(f"{'BAD' if case.faults else 'ok '} {name}, {number}: {case.said}", flush=True)
            if case.faults:
                print(*(f"      {fault}" for fault in case.faults), sep="\n", flush=True)
            tries.append({"name": name, "number": number, "faults": case.faults})
            if options.out is not None:
                _write(options.out, tries)
    print("\n".join(f"{what:70} {figure}" for what, figure in _rows(tries)))
    if any(each["faults"] for each in tries):
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=[""], help="what is in the names of some")
    parser.add_argument("--count", type=int, help="tries of each; otherwise one in each stage")
    parser.add_argument("--seconds", type=float, default=1e9, help="at most; go on by the same")
    parser.add_argument("--fresh", action="store_true", help="forget earlier tries")
    parser.add_argument("--out", type=Path, help="where to keep what was found")
    parser.add_argument(
        "--store", action="store_const", const=OUT, dest="out", help="for docs/reliability.md"
    )
    return parser.parse_args()


def _rows(tries: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for name in dict.fromkeys([*ACCIDENTS, *(each["name"] for each in tries)]):
        faults = [each["faults"] for each in tries if each["name"] == name]
        if faults:
            rows.append([name, f"{sum(not each for each in faults)} of {len(faults)}"])
    return rows


def _write(path: Path, tries: list[dict[str, Any]]) -> None:
    from storing import store  # it imports untrain, which must not come before `micro.prepare`

    command = "python benchmarks/reliability/accidents.py --store"
    store(path.stem, _rows(tries), HEADS, command, path.parent, tries=tries)


if __name__ == "__main__":
    main()

"""What stays right and small over hundreds of runs, rows and requests; step by step.

    python benchmarks/reliability/endurance.py runs        # 500 runs in one folder: how quick
    python benchmarks/reliability/endurance.py cache       # a cache of 100,000 files, listed
    python benchmarks/reliability/endurance.py rows        # four processes fill one feature store
    python benchmarks/reliability/endurance.py rows --kills 20   # some of them killed on the way
    python benchmarks/reliability/endurance.py bank        # a bank grown in 50 steps, with kills
    python benchmarks/reliability/endurance.py process     # runs after each other in one process
    python benchmarks/reliability/endurance.py traces      # traces in one process
    python benchmarks/reliability/endurance.py serve       # requests to the page
    python benchmarks/reliability/endurance.py demos       # two demos and four traces at once

Each prints its figures and exits with 1 if something was lost, doubled or other than it must be;
``--store`` keeps them in docs/results/reliability/endurance.json, beside those of the other steps.
``--count`` makes a small version. Seconds are those of the processor where other work on the
machine would count otherwise. Linux only: a process is looked at in /proc.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from storing import DATA, store
from untrain.core.files import read_json
from watching import Outcome

STEPS = {
    "runs": ("many_runs", 500),
    "cache": ("many_runs", 100_000),
    "rows": ("shared_store", 25_000),
    "bank": ("grown_bank", 50),
    "process": ("one_process", 30),
    "traces": ("one_process", 300),
    "serve": ("one_process", 600),
    "demos": ("side_by_side", 4),
}
"""Of each step its module, which has a function of its name, and how much of it makes it whole."""
TITLES = {
    "runs": "Runs in one folder",
    "cache": "Files in the cache",
    "rows": "Four processes, one feature store",
    "rows killed": "The same, with kills",
    "bank": "A bank grown step by step",
    "process": "Runs in one process",
    "traces": "Traces in one process",
    "serve": "Requests to the page",
    "demos": "Demos and traces at once",
}


def main() -> None:
    """Run a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--count", type=int, help="how much, instead of all of it")
    parser.add_argument("--kills", type=int, default=0, help="of rows: processes killed on the way")
    parser.add_argument("--preset", default="demo", help="of demos: demo or micro")
    parser.add_argument("--alone", type=Path, help="of demos: one that ran by itself")
    parser.add_argument(
        "--scratch", type=Path, help="where to work; a temporary folder if left out"
    )
    parser.add_argument("--store", action="store_true", help="keep the figures for the page")
    args = parser.parse_args()
    options = {
        "rows": {"kills": args.kills},
        "demos": {"preset": args.preset, "alone": args.alone and args.alone.resolve()},
    }
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="endurance-") as place:
        os.environ["UNTRAIN_CACHE"] = str(Path(place, "cache"))
        found = step(args.step)(
            Path(place), args.count or STEPS[args.step][1], **options.get(args.step, {})
        )
    for what, figure in found.rows:
        print(f"{what}: {figure}")
    if args.store:
        keep(args.step + (" killed" if args.kills else ""), found)
    for fault in found.faults:
        print(f"not held: {fault}", file=sys.stderr)
    sys.exit(1 if found.faults else 0)


def step(name: str) -> Callable[..., Outcome]:
    """Return what does a step: a function of a folder to work in and how much."""
    return getattr(import_module(STEPS[name][0]), name)


def keep(name: str, found: Outcome, folder: Path = DATA) -> None:
    """Store the figures of a step beside those of the others."""
    path = folder / "endurance.json"
    steps = read_json(path)["steps"] if path.is_file() else {}
    told = [w for w in sys.argv[1:] if not w.startswith("/") and w not in ("--scratch", "--alone")]
    command = shlex.join(["python", "benchmarks/reliability/endurance.py", *told])
    steps[name] = {"command": command, "rows": found.rows}
    ordered = {each: steps[each] for each in TITLES if each in steps}
    rows = [
        [f"{TITLES[each]}: {what}", figure]
        for each, kept in ordered.items()
        for what, figure in kept["rows"]
    ]
    command = "\n".join(kept["command"] for kept in ordered.values())
    store("endurance", rows, command=command, folder=folder, steps=ordered)


if __name__ == "__main__":
    main()

"""kill -9 at random moments of a run: does the same command then end with the same bytes?

    python benchmarks/reliability/kills.py --count 200

A tiny experiment with all stages runs in a child, which is killed, and run again by the same
command. Then every file of the run and of its cache must be what an undisturbed run left. Half of
the moments are drawn uniformly over the whole duration, the others within one stage after the
other, so that short ones are hit too; every tenth run trains in two processes and is killed while
they work, alternately with them and without (they must end by themselves, or do no harm).

Not compared are ``log.txt`` and ``checksums.txt``, which say when things were done, locks, which
are empty, ``seconds`` and ``created`` in JSON, and seconds on the page; all files must be as
``checksums.txt`` has them (`untrain verify`). Further files, missing ones and such as were
being written when the run was killed count as differences; in the cache such leftovers may stay
until ``untrain cache prune``, and are counted.

The same command again goes on where it stopped (``--fresh`` begins anew).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import micro

OUT = Path(__file__).resolve().parents[2] / "docs" / "results" / "reliability" / "kills.json"
WORKERS_EVERY = 10
STAGES = (
    "fit", "generate", "judge", "retrieve", "compare", "rank", "remove", "retrain", "regenerate",
    "evaluate", "report",
)  # fmt: skip
POLL = 0.001


def main() -> None:
    """Kill and compare until there are as many as asked for; write the counts."""
    options = _options()
    micro.prepare()
    found = {"trials": []} if options.fresh or not options.out.exists() else _read(options.out)
    trials: list[dict[str, Any]] = found["trials"]
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="untrain-kills-") as name:
        folder = Path(name)
        whole = {}
        for workers in (1, 2):
            place = micro.new_place(folder / f"whole-{workers}", workers)
            begin = time.monotonic()
            code = micro.run(place)
            if workers == 1:
                micro.import_all(place)
                place = micro.new_place(folder / "whole-1")
                begin = time.monotonic()
                code = micro.run(place)
            if code != 0:
                sys.exit(f"the undisturbed run ended with {code}:\n{place.said}")
            record = json.loads((place.run / "run.json").read_text())
            seconds = {name: each["seconds"] for name, each in record["stages"].items()}
            whole[workers] = micro.contents(place.folder), time.monotonic() - begin, seconds
        while len(trials) < options.count and time.monotonic() < end:
            trial = _trial(folder / "trial", len(trials), options.seed, whole, options.keep)
            if trial is None:
                continue
            trials.append(trial)
            if trial["unlike"]:
                print(f"{len(trials):4} {trial}", flush=True)
            _write(options.out, trials)
    print("\n".join(f"{what:60} {figure}" for what, figure in _rows(trials)))
    if any(trial["unlike"] for trial in trials):
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="kills")
    parser.add_argument("--seconds", type=float, default=1e9, help="at most; go on by the same")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="forget earlier kills")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--keep", type=Path, help="a folder for runs that ended otherwise")
    return parser.parse_args()


def _trial(
    folder: Path, number: int, seed: int, whole: dict[int, Any], keep: Path | None
) -> dict[str, Any] | None:
    """Run, kill, run again and compare; None if the run ended before it was killed."""
    random = np.random.default_rng([seed, number])
    spawning = number % WORKERS_EVERY == WORKERS_EVERY - 1
    workers = 2 if spawning else 1
    group = not spawning or number // WORKERS_EVERY % 2 == 0
    stage = "retrain" if spawning else STAGES[number // 2 % len(STAGES)] if number % 2 else None
    files, duration, seconds = whole[workers]
    place = micro.new_place(folder, workers)
    begin = time.monotonic()
    pid = micro.start(place)
    part = random.random()
    if stage:
        while stage not in place.stages() and time.monotonic() < begin + 20 * duration:
            time.sleep(POLL)
        time.sleep(part * seconds[stage])
    else:
        time.sleep(part * duration)
    moment = time.monotonic() - begin
    state = place.stage()
    micro.kill(pid, group)
    state, before = place.stage(), state
    if state == f"after {STAGES[-1]}" and before == state:
        return _trial(folder, number, seed + 1_000_000, whole, keep)
    left = sum(".untrain-tmp" in path.name for path in place.folder.rglob("*"))
    code = micro.run(place)
    unlike = micro.differences(place, files)
    if code != 0:
        unlike.insert(0, f"exit {code}: {place.said[-500:]}")
    if "should not have happened" in place.said or "Traceback" in place.said:
        unlike.insert(0, "a traceback")
    if unlike and keep:
        shutil.copytree(place.folder, keep / str(number), dirs_exist_ok=True)
    stale = sum(".untrain-tmp" in path.name for path in place.cache.rglob("*"))
    return {
        "stage": state,
        "aimed": stage or "anywhere",
        "killed": "one" if workers == 1 else "all" if group else "parent",
        "second": round(moment, 3),
        "left": left,
        "stale": stale,
        "unlike": unlike,
    }


def _rows(trials: list[dict[str, Any]]) -> list[list[Any]]:
    stages = Counter(trial["stage"] for trial in trials)
    same = sum(not trial["unlike"] for trial in trials)
    rows: list[list[Any]] = [
        ["kills (SIGKILL) at random moments", len(trials)],
        ["runs with the same bytes after the same command", f"{same} of {len(trials)}"],
        ["kills that left something half-written", sum(t["left"] > 0 for t in trials)],
        ["half-written entries that stayed in the cache", sum(t["stale"] for t in trials)],
        ["kills with two training processes", sum(t["killed"] != "one" for t in trials)],
        ["of these, the parent only", sum(t["killed"] == "parent" for t in trials)],
        [f"kills {micro.BEFORE}", stages[micro.BEFORE]],
    ]
    rows += [[f"kills in the stage {name}", stages[name]] for name in STAGES]
    rows.append(["kills between two stages", sum(stages[f"after {name}"] for name in STAGES)])
    return rows


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _write(path: Path, trials: list[dict[str, Any]]) -> None:
    from storing import store  # it imports untrain, which must not come before `micro.prepare`

    command = f"python benchmarks/reliability/kills.py --count {len(trials)}"
    store(path.stem, _rows(trials), command=command, folder=path.parent, trials=trials)


if __name__ == "__main__":
    main()

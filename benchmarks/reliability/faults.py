"""A file system that fails: a message, and then the same command ends with the same bytes?

    python benchmarks/reliability/faults.py --count 400

A shim under the C library (``faults.c``, built by ``cc``) counts the calls of a run that change
something in its folder or its cache: opening for writing, write, fsync, truncate, rename, mkdir,
link and unlink, whoever makes them. Each stage runs once undisturbed; then again from what the
stage before had left, and the n-th call fails: with ENOSPC, EDQUOT or EROFS and every later call
too (a disk that is full stays full, though files can be deleted), or with EIO, once or from then
on. After that the disk is well, and the same command runs again.

Wanted are: exit code 0, 1 or 2, no traceback and no "this should not have happened"; then exit
code 0 and the same files, byte for byte, as after the undisturbed stage (what `micro` leaves out
of the comparison is left out here). A cache that could not be written may lack entries.

Calls are of one kind if stage, call and path agree, digits and fingerprints apart. Cases are drawn
such that each kind has had each of the faults before one has it twice; ``--count`` limits them.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import micro
from kills import STAGES

OUT = Path(__file__).resolve().parents[2] / "docs" / "results" / "reliability" / "faults.json"
FAULTS = (
    ("ENOSPC", True), ("EIO", False), ("EROFS", True), ("EDQUOT", True), ("EIO", True),
)  # fmt: skip
"""Name of the error, and whether all later calls fail too."""
FREES = ("unlink",)
LONGEST = 120.0
KEPT, LENGTH, CALL = 20_000, 512, 256


class State(ctypes.Structure):
    """``struct state`` of ``faults.c``."""

    _fields_ = (
        ("count", ctypes.c_long),
        ("start", ctypes.c_long),
        ("end", ctypes.c_long),
        ("error", ctypes.c_long),
        ("failed", ctypes.c_long),
        ("recorded", ctypes.c_long),
        ("folders", ctypes.c_char * LENGTH * 2),
        ("first", ctypes.c_char * LENGTH),
        ("calls", ctypes.c_char * CALL * KEPT),
    )


@dataclass(frozen=True)
class Case:
    """The n-th call of a stage fails."""

    stage: str
    number: int
    call: str
    error: str
    lasting: bool


def main() -> None:
    """Build the shim, start again under it, fail and compare."""
    options = _options()
    if "FAULT_STATE" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="untrain-faults-") as name:
            variables = {**os.environ, **preloaded(Path(name))}
            command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]]
            sys.exit(subprocess.run(command, env=variables).returncode)
    micro.prepare()
    with (
        Path(os.environ["FAULT_STATE"]).open("r+b") as file,
        mmap.mmap(file.fileno(), 0) as shared,
        tempfile.TemporaryDirectory(prefix="untrain-faults-") as name,
    ):
        state = State.from_buffer(shared)
        done = _all(Path(name), state, options)
        del state
    print("\n".join(f"{what:60} {figure}" for what, figure in _rows(done)))
    if any(each["fault"] for each in done["cases"]):
        sys.exit(1)


def preloaded(folder: Path) -> dict[str, str]:
    """Build the shim in a folder; return the variables of processes that it is to work on."""
    shim, state = folder / "faults.so", folder / "state"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True)
    state.write_bytes(bytes(ctypes.sizeof(State)))
    return {"LD_PRELOAD": str(shim), "FAULT_STATE": str(state)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10**9, help="cases; default: all")
    parser.add_argument("--seconds", type=float, default=1e9, help="at most; go on by the same")
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="forget earlier cases")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--keep", type=Path, help="a folder for runs that ended otherwise")
    return parser.parse_args()


def _all(folder: Path, state: State, options: argparse.Namespace) -> dict[str, Any]:
    from storing import store  # it imports untrain, which must not come before `micro.prepare`

    end = time.monotonic() + options.seconds
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    done: list[dict[str, Any]] = [] if options.fresh else known.get("cases", [])
    whole, calls = _undisturbed(folder, state, options.stages[-1])
    cases = _cases(calls, options)
    found = {
        "calls": {stage: len(each) for stage, each in calls.items()},
        "kinds": len({(case.stage, kind(case.call)) for case in cases}),
        "cases": done,
    }
    for case in cases[len(done) : options.count]:
        if time.monotonic() > end:
            break
        result = _trial(folder, state, case, whole, options.keep)
        done.append(result)
        if result["fault"]:
            print(json.dumps(result, indent=1), flush=True)
        command = f"python benchmarks/reliability/faults.py --count {len(done)}"
        out = options.out
        store(out.stem, _rows(found), command=command, folder=out.parent, **found)
    return found


def _undisturbed(
    folder: Path, state: State, last: str
) -> tuple[dict[str, dict[str, bytes]], dict[str, list[str]]]:
    """Run stage by stage; keep a copy of the folder after each, and the calls of each."""
    place = micro.new_place(folder / "first")
    if micro.run(place) != 0:
        sys.exit(f"the undisturbed run failed:\n{place.said}")
    micro.import_all(place)
    place = micro.new_place(folder / "whole")
    shutil.copytree(place.folder, folder / "after-")
    whole, calls = {}, {}
    for stage in STAGES[: STAGES.index(last) + 1]:
        _set(state, place)
        if micro.run(place, "--until", stage) != 0:
            sys.exit(f"the undisturbed run failed:\n{place.said}")
        root = str(place.folder)
        seen = [bytes(state.calls[n].value).decode() for n in range(min(state.count, KEPT))]
        calls[stage] = [each.replace(root + "/", "", 1) for each in seen]
        _set(state, None)
        whole[stage] = micro.contents(place.folder)
        shutil.copytree(place.folder, folder / f"after-{stage}")
    return whole, calls


def _set(state: State, place: micro.Place | None, case: Case | None = None) -> None:
    """Have the shim count, and fail as a case says; or do nothing."""
    state.count = state.failed = state.start = 0
    state.first = b""
    for n, name in enumerate(("runs/", "cache/")):
        state.folders[n].value = f"{place.folder}/{name}".encode() if place else b""
    if case:
        state.error = getattr(errno, case.error)
        state.start, state.end = case.number, 10**9 if case.lasting else case.number


def kind(call: str) -> str:
    """Return a call without what changes from run to run."""
    call = re.sub(r"\.\d+\.[0-9a-f]{8}\.untrain-tmp", ".tmp", call)
    return re.sub(r"[0-9a-f]{12,}|\d+", "#", call)


def _cases(calls: dict[str, list[str]], options: argparse.Namespace) -> list[Case]:
    """Return the cases in the order in which they are tried."""
    random = np.random.default_rng(options.seed)
    kinds: dict[tuple[str, str], list[int]] = {}
    for stage in options.stages:
        for number, call in enumerate(calls[stage], 1):
            kinds.setdefault((stage, kind(call)), []).append(number)
    rounds: list[list[Case]] = [[] for _ in FAULTS]
    for at, ((stage, _), numbers) in enumerate(kinds.items()):
        for shift in range(len(FAULTS)):
            error, lasting = FAULTS[(at + shift) % len(FAULTS)]
            number = int(random.choice(numbers))
            call = calls[stage][number - 1]
            if call.startswith(FREES) and error in ("ENOSPC", "EDQUOT"):
                continue
            rounds[shift].append(Case(stage, number, call, error, lasting))
    return [case for each in rounds for case in (each[i] for i in random.permutation(len(each)))]


def _trial(
    folder: Path, state: State, case: Case, whole: dict[str, dict[str, bytes]], keep: Path | None
) -> dict[str, Any]:
    """Run a stage whose n-th call fails, and again on a disk that is well; compare."""
    at = STAGES.index(case.stage)
    shutil.rmtree(folder / "trial", ignore_errors=True)
    shutil.copytree(folder / f"after-{STAGES[at - 1] if at else ''}", folder / "trial")
    place = micro.Place(folder / "trial")
    (place.folder / "said.txt").unlink(missing_ok=True)
    _set(state, place, case)
    code = micro.wait(micro.start(place, "--until", case.stage), LONGEST)
    failed, first = state.failed, bytes(state.first).decode().replace(f"{place.folder}/", "", 1)
    _set(state, None)
    said, fault = place.said, ""
    if keep:
        shutil.rmtree(keep / "now", ignore_errors=True)
        shutil.copytree(place.folder, keep / "now", symlinks=True)
    if code not in (0, 1, 2) or "Traceback" in said or "should not have happened" in said:
        fault = f"exit {code}: {said[-600:]}"
    elif code and "untrain:" not in said:
        fault = f"exit {code} without a message"
    (place.folder / "said.txt").unlink(missing_ok=True)
    again = micro.run(place, "--until", case.stage)
    unlike = micro.differences(place, whole[case.stage])
    if code == 0:
        unlike = [each for each in unlike if not each.startswith("missing: cache/")]
    if again != 0 or unlike:
        fault += f" then exit {again}: {unlike} {place.said[-600:] if again else ''}"
    return {
        "stage": case.stage, "n": case.number, "call": case.call, "failed": f"{failed}, {first}",
        "error": case.error, "lasting": case.lasting, "code": code,
        "said": next((line for line in said.splitlines()[::-1] if "untrain:" in line), "")[:300],
        "fault": fault,
    }  # fmt: skip


def _rows(found: dict[str, Any]) -> list[list[Any]]:
    cases = found["cases"]
    codes = Counter(each["code"] for each in cases)
    well = sum(not each["fault"] for each in cases)
    calls = found["calls"]
    rows: list[list[Any]] = [
        ["calls of the undisturbed run that change files", sum(calls.values())],
        ["kinds of these (stage, call, path)", found["kinds"]],
        ["faults injected", len(cases)],
        ["kinds that were hit", len({(each["stage"], kind(each["call"])) for each in cases})],
        ["a message or success, then the same bytes", f"{well} of {len(cases)}"],
        ["of these, the run went on to its end in spite of the fault", codes[0]],
    ]
    for error, lasting in FAULTS:
        ours = [each for each in cases if (each["error"], each["lasting"]) == (error, lasting)]
        well = sum(not each["fault"] for each in ours)
        words = "and every later call" if lasting else "once"
        rows.append([f"{error}, {words}", f"{well} of {len(ours)}"])
    return rows


if __name__ == "__main__":
    main()

"""Accidents of a run that trains on Ray: a process or the node of Ray is lost."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import micro
from accidents_bench import Accident, Bench, Case, has_ended, wait_for

SETTINGS = "engine: {name: ray}"
TASK, NODE, HEAD = b"ray::_train", b"raylet/raylet", b"gcs/gcs_server"
"""What is in the command lines of a task, of what makes a machine a node, and of the head."""
PATIENCE = 90.0
"""Seconds until the processes of Ray must be gone: without a head they try to reach it first."""


def _lost(words: bytes, codes: tuple[int, ...]) -> Accident:
    """Kill a process of Ray while a model is being trained there."""

    def accident(bench: Bench, case: Case) -> None:
        place = bench.place(2, SETTINGS)
        pid = micro.start(place)
        wait_for(place, pid, "retrain")
        while not _known_by(TASK, pid) and not has_ended(pid):
            time.sleep(0.01)
        if words != TASK:  # which may be over then
            time.sleep(0.5 * case.draw())
        started, found = descendants(pid), _known_by(words, pid)
        for each in found[:1]:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        case.expect(found, "nothing was there to be killed")
        case.ended(place, micro.wait(pid), codes)
        end = time.monotonic() + PATIENCE
        while (left := _same(started)) and time.monotonic() < end:
            time.sleep(0.05)
        case.expect(not left, f"left: {sorted(left.values())}")
        for each in left:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        bench.finishes(case, place, 2, SETTINGS)

    return accident


def descendants(pid: int) -> dict[int, str]:
    """Return the processes that one has started, and that these have, with when they began."""
    parents: dict[int, list[int]] = {}
    began: dict[int, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
            began[int(stat.parent.name)] = fields[19] if fields[0] != "Z" else ""
    found, due = {}, [pid]
    while due:
        for each in parents.get(due.pop(), []):
            found[each] = began[each]
            due.append(each)
    return found


def _same(started: dict[int, str]) -> dict[int, str]:
    """Return those of some processes that live, with their command lines."""
    left = {}
    for pid, when in started.items():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z" and fields[19] == when:
                left[pid] = _command(pid).decode(errors="replace")[:60]
    return left


def _known_by(words: bytes, pid: int) -> list[int]:
    return [each for each in descendants(pid) if words in _command(each)]


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


ACCIDENTS: dict[str, tuple[Accident, ...]] = {}
if find_spec("ray"):
    ACCIDENTS = {
        "Ray: a process that trains is killed": (_lost(TASK, (0, 1)),),
        "Ray: the node is lost (raylet killed)": (_lost(NODE, (0, 1)),),
        "Ray: the head is lost (gcs_server killed)": (_lost(HEAD, (0, 1)),),
    }

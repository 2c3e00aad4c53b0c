"""Accidents of a run: a process that trains dies or lacks something, or the run is told to stop."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import micro
from accidents_bench import (
    Accident,
    Bench,
    Case,
    has_ended,
    models,
    nobody_left,
    wait_for,
    workers_of,
)

ROOM = 2**16
STEP = 400
"""What a worker may still ask for, in bytes; the size of a file that it may write."""
TRIES = 20


def _kill(worker: int) -> None:
    os.kill(worker, signal.SIGKILL)


def _no_memory(worker: int) -> None:
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + ROOM
    resource.prlimit(worker, resource.RLIMIT_AS, (room, room))


def _no_files(worker: int) -> None:
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (STEP, STEP))


def _worker(happens: Callable[[int], None], words: str, importing: bool = False) -> Accident:
    """Have something happen to a process that trains, or still imports what it needs."""

    def accident(bench: Bench, case: Case) -> None:
        code: int | None = 0
        for attempt in range(TRIES):  # the process may have been done already
            place = bench.place(2)
            pid = micro.start(place)
            wait_for(place, pid, "retrain")
            before = models(place)
            workers = workers_of(pid)
            if importing:
                time.sleep(case.draw() / 2**attempt)
            while not importing and models(place) <= before and not has_ended(pid):
                time.sleep(0.002)
            if workers and not has_ended(pid):
                with suppress(ProcessLookupError, FileNotFoundError):
                    happens(workers[0])
            if (code := micro.wait(pid)) != 0:
                break
        case.ended(place, code, (1,), words)
        nobody_left(case, pid)
        bench.finishes(case, place, 2)

    return accident


def _signal(number: int, group: bool, code: int) -> Accident:
    def accident(bench: Bench, case: Case) -> None:
        place = bench.place(2)
        pid = micro.start(place, first=lambda: signal.signal(number, _default(number)))
        wait_for(place, pid, "retrain")
        workers_of(pid)
        (os.killpg if group else os.kill)(pid, number)
        case.ended(place, micro.wait(pid), (code,), "run the same command again")
        nobody_left(case, pid)
        bench.finishes(case, place, 2)

    return accident


def _default(number: int) -> Callable[..., object] | int:
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


def file_size(bench: Bench, case: Case) -> None:
    """Files may be 16 KiB, then 32, 64, … (RLIMIT_FSIZE), until it is enough."""
    place = bench.place()
    size, code = 2**14, None
    while code != 0 and size < 2**30:
        limits = (size, resource.RLIM_INFINITY)
        code = micro.run(place, first=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))  # noqa: B023
        case.ended(place, code, (0, 1), "ulimit -f")
        size *= 2
    bench.finishes(case, place)


ACCIDENTS: dict[str, tuple[Accident, ...]] = {
    "a training process is killed (SIGKILL)": (_worker(_kill, "training process"),),
    "a training process is killed (SIGKILL) while it imports": (
        _worker(_kill, "training process", importing=True),
    ),
    "a training process has no memory (RLIMIT_AS)": (_worker(_no_memory, "memory"),),
    "a training process has no memory (RLIMIT_AS) while it imports": (
        _worker(_no_memory, "run the same command again", importing=True),
    ),
    "a training process may write no large file (RLIMIT_FSIZE)": (_worker(_no_files, "ulimit -f"),),
    "a limit of the size of files that rises (RLIMIT_FSIZE)": (file_size,),
    "Ctrl-C while two processes train": (_signal(signal.SIGINT, True, 130),),
    "SIGTERM while two processes train": (_signal(signal.SIGTERM, False, 143),),
    "SIGTERM to all processes while two train": (_signal(signal.SIGTERM, True, 143),),
    "SIGHUP while two processes train": (_signal(signal.SIGHUP, False, 129),),
    "SIGHUP to all processes while two train": (_signal(signal.SIGHUP, True, 129),),
}

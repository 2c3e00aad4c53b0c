"""Accidents of a run: disks, locks and the clock fail, two runs meet."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import micro
from accidents_bench import Accident, Bench, Case, wait_for
from micro import Place


def one_cache(bench: Bench, case: Case) -> None:
    """Two runs, each with its folder, begin at once with one empty cache."""
    first = bench.place()
    second = micro.new_place(bench.folder / "second")
    pids = [
        micro.start(place, variables={"UNTRAIN_CACHE": str(first.cache)})
        for place in (first, second)
    ]
    for place, pid in zip((first, second), pids, strict=True):
        case.ended(place, micro.wait(pid), (0,))
    ours, theirs = micro.contents(second.run), micro.contents(first.run)
    case.expect(ours == theirs, "two runs with other bytes")
    case.faults += micro.differences(first, bench.whole())


def one_folder(bench: Bench, case: Case) -> None:
    """A second run of the same folder is refused, whenever it comes; the first one finishes."""
    place = bench.place()
    pid = micro.start(place)
    wait_for(place, pid, "fit")
    aside = Place(bench.folder / "aside")
    shutil.rmtree(aside.folder, ignore_errors=True)
    aside.folder.mkdir()
    (aside.folder / "experiment.yaml").write_bytes((place.folder / "experiment.yaml").read_bytes())
    (aside.folder / "runs").symlink_to(place.folder / "runs")
    os.killpg(pid, signal.SIGSTOP)  # it is still at work then, however long the other one takes
    code = micro.run(aside, variables={"UNTRAIN_CACHE": str(place.cache)})
    os.killpg(pid, signal.SIGCONT)
    case.ended(aside, code, (2,), "another process is running")
    said = case.said
    case.ended(place, micro.wait(pid), (0,))
    case.said = said
    case.faults += micro.differences(place, bench.whole())


def clock(bench: Bench, case: Case) -> None:
    """What was made so far is of the future, and the clock goes back by an hour again and again."""
    place = bench.place()
    for stage in ("fit", "compare", "retrain", "report"):
        code = micro.run(place, "--until", stage, first=_backwards)
        case.ended(place, code, (0,))
        for path in place.folder.rglob("*"):
            os.utime(path, (time.time() + 10**8,) * 2, follow_symlinks=False)
    bench.finishes(case, place)


def _backwards() -> None:
    clock, calls = time.time, 0

    def back() -> float:
        nonlocal calls
        calls += 1
        return clock() - 3600 * calls

    time.time = back
    time.time_ns = lambda: int(back() * 1e9)


def _no_locks(number: int, words: str) -> Accident:
    def refuse() -> None:
        import fcntl

        def flock(*given: object) -> None:
            raise OSError(number, os.strerror(number))

        fcntl.flock = flock

    def accident(bench: Bench, case: Case) -> None:
        place = bench.place()
        code = micro.wait(micro.start(place, first=refuse), 60)
        case.ended(place, code, (0, 1, 2), words)
        bench.finishes(case, place)

    return accident


def _lock_nowhere(number: int) -> Accident:
    """Only the cache cannot be locked."""

    def refuse() -> None:
        import fcntl

        lock = fcntl.flock

        def flock(file: int, how: int) -> None:
            if "/cache/" in str(Path(f"/proc/self/fd/{file}").readlink()):
                raise OSError(number, os.strerror(number))
            lock(file, how)

        fcntl.flock = flock

    def accident(bench: Bench, case: Case) -> None:
        place = bench.place()
        code = micro.wait(micro.start(place, first=refuse), 60)
        case.ended(place, code, (0, 1, 2), "lock")
        bench.finishes(case, place)

    return accident


def full_disk(bench: Bench, case: Case) -> None:
    """A file system of 256 KiB fills, and gets twice as large, until it is enough."""
    folder = bench.folder / "place"
    size, code = 2**18, None
    with small_disk(bench, size) as place:
        while code != 0 and size < 2**30:
            code = micro.run(place)
            _ended_aside(case, place, code)
            size *= 2
            _mount("-o", f"remount,size={size}", str(folder / "disk"))
        bench.finishes(case, place)


def _ended_aside(case: Case, place: Place, code: int | None) -> None:
    case.ended(place, code, (0, 1), "the disk is full")


@contextmanager
def small_disk(bench: Bench, size: int) -> Iterator[Place]:
    """Have ``runs`` and ``cache`` of a place on a file system of its own, while in the block."""
    place = bench.place()
    disk = place.folder / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk))
    mounted = [disk]
    try:
        for name in ("runs", "cache"):
            (disk / name).mkdir()
            (place.folder / name).mkdir()
            _mount("--bind", str(disk / name), str(place.folder / name))
            mounted.append(place.folder / name)
        yield place
    finally:
        for each in mounted[::-1]:
            subprocess.run(["umount", "-l", str(each)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def can_mount() -> bool:
    """Tell whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as name:
        try:
            _mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", name)
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", name], check=True)
    return True


ACCIDENTS: dict[str, tuple[Accident, ...]] = {
    "two runs begin at once with one empty cache": (one_cache,),
    "a second run in the same folder": (one_folder,),
    "the clock goes back, files are of the future": (clock,),
    "nothing can be locked (ENOLCK)": (_no_locks(errno.ENOLCK, "lock"),),
    "nothing can be locked (EOPNOTSUPP)": (_no_locks(errno.EOPNOTSUPP, "lock"),),
    "nothing can be locked (ENOSYS)": (_no_locks(errno.ENOSYS, "lock"),),
    "the cache cannot be locked (ENOLCK)": (_lock_nowhere(errno.ENOLCK),),
}
if can_mount():
    ACCIDENTS["a disk that is full, and grows (tmpfs)"] = (full_disk,)

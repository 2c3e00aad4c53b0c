"""Accidents of a run: does each end with a sentence, and the same command then with the same bytes?

    python benchmarks/reliability/accidents.py --store

Each accident of `ACCIDENTS` happens to a tiny experiment with all stages: a process that trains is
killed, has no memory or may not write; the folder of the run is deleted; a second run comes at the
same time; the run is told to stop; the clock goes back; nothing can be locked; the disk fills.

Wanted are: exit code 0, 1, 2, or 128 and the signal; a sentence and no traceback if it is not 0;
no process left; after that the same command with exit code 0 and the bytes of an undisturbed run.
"""

from __future__ import annotations

import argparse
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import micro
from micro import Place

ROOM = 2**16
STEP = 400
"""What a worker may still ask for, in bytes; the size of a file that it may write."""
TRIES = 5


@dataclass
class Case:
    """What happened in an accident.

    Attributes
    ----------
    name : str
    said : str
        What the command printed that met it.
    faults : list of str
        What was not as it should be.
    """

    name: str
    said: str = ""
    faults: list[str] = field(default_factory=list)

    def expect(self, fact: object, fault: str) -> None:
        """Note a fault unless something is so."""
        if not fact:
            self.faults.append(fault)

    def ended(
        self, place: Place, code: int | None, codes: tuple[int, ...], words: str = ""
    ) -> None:
        """Check how the command ended, and forget what it printed."""
        said = " ".join(place.said.split())
        told = "untrain:" in said and words in said
        self.expect(code in codes, f"exit {code}: {said[-600:]}")
        self.expect(not code or told, f"exit {code}, no {words!r}: {said[-600:]}")
        strange = ("Traceback", "should not have happened")
        self.expect(not any(each in said for each in strange), f"a traceback: {said[-900:]}")
        if code:
            self.said = said[said.rfind("untrain:") :][:300]
        (place.folder / "said.txt").unlink(missing_ok=True)


class Bench:
    """Where accidents happen: a folder, and what an undisturbed run leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        place = micro.new_place(folder / "first")
        if micro.run(place) != 0:
            sys.exit(f"the undisturbed run failed:\n{place.said}")
        micro.import_all(place)
        self.whole = {1: micro.contents(place.folder)}

    def place(self, workers: int = 1) -> Place:
        """Return a folder for a run, with what an undisturbed one leaves in `whole`."""
        if workers not in self.whole:
            place = micro.new_place(self.folder / f"whole-{workers}", workers)
            if micro.run(place) != 0:
                sys.exit(f"the undisturbed run failed:\n{place.said}")
            self.whole[workers] = micro.contents(place.folder)
        return micro.new_place(self.folder / "place", workers)

    def finishes(self, case: Case, place: Place, workers: int = 1) -> None:
        """Check that the same command finishes, with the bytes of an undisturbed run."""
        code = micro.run(place)
        case.expect(code == 0, f"then exit {code}: {place.said[-600:]}")
        if code == 0:
            case.faults += [
                f"then {each}" for each in micro.differences(place, self.whole[workers])
            ]


def wait_for(place: Place, pid: int, stage: str) -> None:
    """Wait until a stage has begun, or the run has ended."""
    while stage not in place.stages() and not _is_zombie(pid):
        time.sleep(0.002)


def in_group(group: int) -> list[int]:
    """Return the processes of a group that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def workers_of(pid: int) -> list[int]:
    """Return the training processes of a run once there are two, known by what they were told."""
    found: list[int] = []
    while len(found) < 2 and not _is_zombie(pid):
        found = []
        for each in in_group(pid):
            try:
                words = Path(f"/proc/{each}/cmdline").read_bytes()
            except OSError:
                continue
            if b"spawn_main" in words:
                found.append(each)
        time.sleep(0.005)
    return found


def _nobody_left(case: Case, pid: int) -> None:
    end = time.monotonic() + 15
    while (left := in_group(pid)) and time.monotonic() < end:
        time.sleep(0.05)
    case.expect(not left, f"{len(left)} processes left")
    if left:
        micro.kill(pid)


def _kill(worker: int) -> None:
    os.kill(worker, signal.SIGKILL)


def _no_memory(worker: int) -> None:
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + ROOM
    resource.prlimit(worker, resource.RLIMIT_AS, (room, room))


def _no_files(worker: int) -> None:
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (STEP, STEP))


def _worker(happens: Callable[[int], None], words: str) -> Callable[[Bench, Case], None]:
    def accident(bench: Bench, case: Case) -> None:
        code: int | None = 0
        for _ in range(TRIES):  # the process may have been done already
            place = bench.place(2)
            pid = micro.start(place)
            wait_for(place, pid, "retrain")
            before = models(place)
            workers = workers_of(pid)
            while models(place) <= before and not _is_zombie(pid):
                time.sleep(0.002)
            if workers and not _is_zombie(pid):
                happens(workers[0])
            if (code := micro.wait(pid)) != 0:
                break
        case.ended(place, code, (1,), words)
        _nobody_left(case, pid)
        bench.finishes(case, place, 2)

    return accident


def models(place: Place) -> int:
    """Return how many models are trained or in training."""
    return sum(path.is_dir() for path in (place.run / "models").glob("*"))


def _deleted(stage: str, what: str) -> Callable[[Bench, Case], None]:
    def accident(bench: Bench, case: Case) -> None:
        place = bench.place()
        pid = micro.start(place)
        wait_for(place, pid, stage)
        time.sleep(0.05)
        shutil.rmtree(place.run / what, ignore_errors=True)
        # A folder that comes while its tree is deleted makes `rmtree` leave what is above it.
        case.ended(place, micro.wait(pid), (0, 1, 2))
        _nobody_left(case, pid)
        known = {name for name in bench.whole[1] if name.startswith("runs/")}
        strange = {n for n in micro.contents(place.folder) if n.startswith("runs/")} - known
        case.expect(not strange, f"made: {sorted(strange)}")
        bench.finishes(case, place)

    return accident


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
    case.faults += micro.differences(first, bench.whole[1])


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
    code = micro.run(aside, variables={"UNTRAIN_CACHE": str(place.cache)})
    case.ended(aside, code, (2,), "another process is running")
    said = case.said
    case.ended(place, micro.wait(pid), (0,))
    case.said = said
    case.faults += micro.differences(place, bench.whole[1])


def _signal(number: int, group: bool, code: int) -> Callable[[Bench, Case], None]:
    def accident(bench: Bench, case: Case) -> None:
        place = bench.place(2)
        pid = micro.start(place, first=lambda: signal.signal(number, _default(number)))
        wait_for(place, pid, "retrain")
        workers_of(pid)
        (os.killpg if group else os.kill)(pid, number)
        case.ended(place, micro.wait(pid), (code,), "run the same command again")
        _nobody_left(case, pid)
        bench.finishes(case, place, 2)

    return accident


def _default(number: int) -> Callable[..., object] | int:
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


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


def _no_locks(number: int, words: str) -> Callable[[Bench, Case], None]:
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


def _lock_nowhere(number: int) -> Callable[[Bench, Case], None]:
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


ACCIDENTS: dict[str, Callable[[Bench, Case], None]] = {
    "a training process is killed (SIGKILL)": _worker(_kill, "training process"),
    "a training process has no memory (RLIMIT_AS)": _worker(_no_memory, "memory"),
    "a training process may write no large file (RLIMIT_FSIZE)": _worker(_no_files, "ulimit -f"),
    "the run's folder is deleted while it trains": _deleted("retrain", "."),
    "the run's folder is deleted while it ranks": _deleted("rank", "."),
    "models/ is deleted while it trains": _deleted("retrain", "models"),
    "models/ is deleted while it makes pictures": _deleted("generate", "models"),
    "two runs begin at once with one empty cache": one_cache,
    "a second run in the same folder": one_folder,
    "Ctrl-C while two processes train": _signal(signal.SIGINT, True, 130),
    "SIGTERM while two processes train": _signal(signal.SIGTERM, False, 143),
    "SIGTERM to all processes while two train": _signal(signal.SIGTERM, True, 143),
    "SIGHUP while two processes train": _signal(signal.SIGHUP, False, 129),
    "the clock goes back, files are of the future": clock,
    "nothing can be locked (ENOLCK)": _no_locks(errno.ENOLCK, "lock"),
    "nothing can be locked (EOPNOTSUPP)": _no_locks(errno.EOPNOTSUPP, "lock"),
    "nothing can be locked (ENOSYS)": _no_locks(errno.ENOSYS, "lock"),
    "the cache cannot be locked (ENOLCK)": _lock_nowhere(errno.ENOLCK),
    "a limit of the size of files that rises (RLIMIT_FSIZE)": file_size,
    "a disk that is full, and grows (tmpfs)": full_disk,
}


def happen(bench: Bench, name: str) -> Case:
    """Have an accident happen."""
    case = Case(name)
    ACCIDENTS[name](bench, case)
    return case


def main() -> None:
    """Have all accidents happen; print and store what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=[""], help="what is in the names of some")
    parser.add_argument("--count", type=int, default=1, help="how often each of them")
    parser.add_argument("--store", action="store_true", help="for docs/reliability.md")
    options = parser.parse_args()
    micro.prepare()
    names = [name for only in options.only for name in ACCIDENTS if only in name]
    if not can_mount():
        names = [name for name in names if "tmpfs" not in name]
    well: dict[str, int] = dict.fromkeys(names, 0)
    with tempfile.TemporaryDirectory(prefix="untrain-accidents-") as folder:
        bench = Bench(Path(folder))
        for _ in range(options.count):
            for name in names:
                case = happen(bench, name)
                well[name] += not case.faults
                print(f"{'ok ' if not case.faults else 'BAD'} {name}: {case.said}", flush=True)
                print(*(f"      {fault}" for fault in case.faults), sep="\n", flush=True)
    if options.store:
        from storing import store  # it imports untrain, which must not come before `prepare`

        store("accidents", [[name, f"{n} of {options.count}"] for name, n in well.items()],
              heads=("accident", "a sentence, nothing left, then the same bytes"))  # fmt: skip
    if any(n < options.count for n in well.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()

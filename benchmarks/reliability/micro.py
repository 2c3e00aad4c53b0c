"""A tiny experiment with every stage, run again and again in children of this process.

Python, PyTorch and untrain are imported once; each run is a fork of that, a process group of its
own with its own folder for runs and its own cache, which starts at the command line's `main`. What
it left is compared, file by file, with what an undisturbed run left.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXPERIMENT = """\
name: micro
data: {format: rendered, families: 12, family_size: 4, holdout: 0.1}
prompts: {families: 2, controls: 1}
generator: {preset: micro, settings: {epochs: 2, epochs_ae: 2}}
generations: 1
retrieval: {top: 8}
removal: {k: [2], duplicates: exact}
design: {kind: randomised, models: 4}
evaluation: {draws: 100}
threads: 1
"""
BEFORE, AFTER = "before the first stage", "after the last stage"
TIMES = {"seconds", "created"}
"""What may differ in JSON: how long a stage took, and when something in the cache was made."""
SECONDS = re.compile(rb"\d+(\.\d)? s\b")
"""What may differ on the page: how long the stages took."""
UNLIKE = re.compile(r"(^|/)(log\.txt|checksums\.txt|\.lock|lock|\.[^/]*\.lock)$")
"""Files that say when something was done (two logs), and locks, which are empty."""
MARKER = ".untrain"
LEFTOVER = re.compile(r"\.untrain-tmp(/|$)")


@dataclass(frozen=True)
class Place:
    """A folder for one run: the experiment, ``runs/``, ``cache/``, and what the run printed."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "micro"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def said(self) -> str:
        with suppress(OSError):
            return (self.folder / "said.txt").read_text(errors="replace")
        return ""

    @property
    def log(self) -> str:
        with suppress(OSError):
            return (self.run / "log.txt").read_text(errors="replace")
        return ""

    def stage(self) -> str:
        """Return which stage is running, by the record; or `BEFORE`, `AFTER`."""
        stages = self.stages()
        running = [name for name, state in stages.items() if state != "done"]
        if running:
            return running[0]
        return f"after {list(stages)[-1]}" if stages else BEFORE

    def stages(self) -> dict[str, str]:
        """Return the state of each stage that has begun."""
        try:
            record = json.loads((self.run / "run.json").read_text())
        except FileNotFoundError:
            return {}
        return {name: entry["state"] for name, entry in record["stages"].items()}


def prepare() -> None:
    """Make this process one that children can be forked from: call it before anything else."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")
    root = str(Path(__file__).resolve().parents[2] / "src")
    known = [root, os.environ.get("PYTHONPATH", "")]  # of the workers, which are spawned
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, known))
    sys.path.insert(0, root)


def import_all(place: Place) -> None:
    """Import what a run needs: the modules that one had imported at its end."""
    for name in json.loads((place.folder / "modules.json").read_text()):
        if name.partition(".")[0] != "__main__":
            with suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


def new_place(folder: Path, workers: int = 1) -> Place:
    """Make the folder of a run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(f"{EXPERIMENT}workers: {workers}\n")
    return Place(folder)


def start(
    place: Place,
    *further: str,
    variables: Mapping[str, str] | None = None,
    first: Callable[[], object] = lambda: None,
) -> int:
    """Start a run in a child, a process group of its own; return its process id.

    Parameters
    ----------
    further : str
        Options of ``untrain run``.
    variables : mapping
        Of its environment.
    first : callable
        Called in the child before anything else.
    """
    pid = os.fork()
    if pid:
        with suppress(OSError):
            os.setpgid(pid, pid)
        return pid
    try:
        os.setpgid(0, 0)
        os.chdir(place.folder)
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.update({"UNTRAIN_CACHE": str(place.cache), **(variables or {})})
        sys.argv = ["untrain", "run", "experiment.yaml", "--runs", "runs", *further]
        code = _untrain(first)
        with suppress(OSError):  # where files may not be large
            (place.folder / "modules.json").write_text(json.dumps(list(sys.modules)))
    except BaseException:
        traceback.print_exc()
        code = 99
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _untrain(first: Callable[[], object]) -> int:
    from untrain.cli import main

    first()
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def wait(pid: int, seconds: float = 600.0) -> int | None:
    """Return what a child ended with: its exit code, or minus a signal; None: it hung."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    kill(pid)
    return None


def kill(pid: int, group: bool = True) -> None:
    """Kill a child, with all that it started or by itself, and wait until it is gone."""
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def run(place: Place, *further: str, **options: Any) -> int | None:
    """Run to the end; return the exit code."""
    return wait(start(place, *further, **options))


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, without what says when something happened."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or UNLIKE.search(name) or LEFTOVER.search(name):
            continue
        found[name] = _checksums(path) if path.name == MARKER else _content(path)
    return found


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(data)), indent=1).encode()
    return SECONDS.sub(b"some time", data) if path.suffix == ".html" else data


def _checksums(marker: Path) -> bytes:
    """Return a marker with a checksum of what is compared in the place of each that is right."""
    content = json.loads(marker.read_bytes())
    for name, digest in content.get("sha256", {}).items():
        path = marker.parent / name
        if path.is_file() and _sha256(path.read_bytes()) == digest:
            content["sha256"][name] = _sha256(_content(path))
    return json.dumps(content, indent=1).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in TIMES}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def differences(place: Place, whole: Mapping[str, bytes]) -> list[str]:
    """Return the files of a run and its cache that are not those of an undisturbed run.

    Also what was being written when a run was interrupted, if it still lies in the run's folder.
    """
    found = contents(place.folder)
    ours = {name for name in found if name.startswith(("runs/", "cache/"))}
    theirs = {name for name in whole if name.startswith(("runs/", "cache/"))}
    words = [f"missing: {name}" for name in sorted(theirs - ours)]
    words += [f"further: {name}" for name in sorted(ours - theirs)]
    words += [f"unlike: {name}" for name in sorted(ours & theirs) if found[name] != whole[name]]
    left = [path for path in place.run.rglob("*") if LEFTOVER.search(path.as_posix())]
    words += [f"left behind: {path.relative_to(place.folder)}" for path in left]
    return words + _faults(place.run)


def _faults(run: Path) -> list[str]:
    """Return what `untrain verify` finds in a run: its checksums are the history of its files."""
    from untrain.core.verifying import verify

    found = verify(run)
    words = [f"not as recorded: {name}" for name in (*found.damaged, *found.missing)]
    words += [f"not recorded: {name}" for name in found.unrecorded]
    return words + [f"broken lines of checksums: {found.broken}"] * bool(found.broken)

"""What a process holds, and what a run folder holds: for comparing before with after."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import math
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from untrain.core.files import write_text

RESULTS = (
    *("*.parquet", "prompts.csv", "queries.safetensors", "queries/**/*.png"),
    *("generations/**/*.png", "models/**/*.safetensors", "shared/**/*.safetensors"),
    *("results/*.parquet", "results/*.csv", "bank/*"),
)
"""The files of a run that do not say when or where it ran."""
COPIED = {"run.json", ".run.json", "config.yaml", "log.txt", "checksums.txt"}


@dataclass
class Outcome:
    """What a step found: rows for the page, and what must not be."""

    rows: list[list[Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def count(self, what: str, right: int, of: int) -> None:
        """Add a row "right of all"; anything less is a fault."""
        self.rows.append([what, f"{right:,} of {of:,}"])
        if right != of:
            self.faults.append(f"{what}: {right:,} of {of:,}")

    def zero(self, what: str, found: int) -> None:
        """Add a row of what there must be none of."""
        self.rows.append([what, int(found)])  # of NumPy, too
        if found:
            self.faults.append(f"{what}: {found:,}")


@dataclass(frozen=True)
class Held:
    """Memory in MiB, open files, threads and Python objects of a process.

    ``given`` is what malloc has given out and not had back; what it has had back and keeps for
    later counts to ``memory`` only. NaN where nobody says.
    """

    memory: float
    given: float
    files: int
    threads: int
    objects: int


def held() -> Held:
    """Return what this process holds now, after a collection (Linux)."""
    gc.collect()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    known = dict(line.split(":", 1) for line in lines)
    memory, threads = (int(known[name].split()[0]) for name in ("VmRSS", "Threads"))
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return Held(memory / 1024, given_out(), files, threads, len(gc.get_objects()))


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2`` of GNU libc: blocks mapped by themselves, and those of the heaps."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def given_out() -> float:
    """Return the MiB that malloc has given out and not had back."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except AttributeError:  # another libc, or one before 2.33
        return math.nan
    ask.restype = _Mallinfo
    found = ask()
    return (found.hblkhd + found.uordblks) / 2**20


def digests(folder: Path, patterns: Iterable[str] = RESULTS) -> dict[str, str]:
    """Return the SHA-256 of each result of a run, by its path in the folder."""
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.name != ".untrain"
    }


def equal(found: dict[str, str], wanted: dict[str, str]) -> tuple[int, int, str]:
    """Return how many files are the same, of how many, and the first that is not."""
    names = sorted(found.keys() | wanted.keys())
    other = [name for name in names if found.get(name) != wanted.get(name)]
    return len(names) - len(other), len(names), other[0] if other else ""


def copied_run(run: Path, to: Path) -> Path:
    """Copy a run folder, with hard links for what nobody writes in place; it is called ``to``."""

    def link(source: str, target: str) -> None:
        if Path(source).name in COPIED:
            shutil.copy2(source, target)
        else:
            os.link(source, target)

    shutil.copytree(run, to, copy_function=link)
    for name, old, new in (
        ("config.yaml", f"name: {run.name}\n", f"name: {to.name}\n"),
        ("run.json", f'"name": "{run.name}"', f'"name": "{to.name}"'),
    ):
        text = (to / name).read_text(encoding="utf-8")
        write_text(to / name, text.replace(old, new, 1))  # which notes its checksum
    return to

"""Every reader on samples that were cut, flipped, spliced and retyped, until the time is up.

Whatever the bytes, a reader gives an answer or an `untrain.core.errors.UntrainError` that says
something and ends the command line with 2; anything else is a find: another exception, a minute
without an end, more memory than `MEMORY`. It is printed, and the bytes that caused it are kept
under ``--kept``, from where they are tried first the next time and in every run of the tests
(``tests/hostile/test_found.py``).

    python benchmarks/reliability/fuzz.py --seconds 600

Hypothesis draws the changes; one find of each kind is kept, as it was found. Long times come in
parts: ``--add`` goes on with seeds that were not used yet, and adds to the counts that are stored.
With ``--engine atheris`` (``pip install atheris``) coverage of the code guides the changes of one
reader (``--only``), and the first find ends it.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import FunctionType
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

os.environ.setdefault("HF_DATASETS_OFFLINE", "1")  # before `datasets` is imported

import fuzz_runs
import fuzz_samples
from fuzz_changes import CHANGES, Change, changed
from fuzz_samples import Reader
from storing import DATA, own_command, store
from untrain.core.errors import UntrainError
from untrain.core.progress import console

KEPT = Path(__file__).resolve().parents[2] / "tests/hostile/found"
MEMORY = 3 << 30
"""Bytes that a reader may take on top of what is taken already."""
LEAST = 20
"""Inputs that are tried on a machine however slow."""
PATIENCE = 60
"""Seconds after which a reader hangs, on a machine that may be busy with others."""
SUBJECTS = {
    "run/*": "a finished run with one file changed, read by a command",
    "table/*": "tables of a run, each by itself",
    "scores.*": "scores of other methods",
    "picture*": "pictures, and tables of them",
    "settings": "settings",
    "letter*": "letters and lists",
    "request": "letters and lists",
    "takedown": "letters and lists",
    "lines": "letters and lists",
    "groups": "letters and lists",
    "opt-out.*": "letters and lists",
    "*": "catalogues",
}
"""What a reader counts under on the page, by its name."""


class Find(Exception):
    """A reader raised what is no message."""


class TooLong(BaseException):
    """A reader does not come to an end; not an exception that it could catch."""


@dataclass
class Tally:
    """What became of the inputs of a reader."""

    read: int = 0
    refused: int = 0
    found: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        return self.read + self.refused + len(self.found)


@contextmanager
def patience() -> Iterator[None]:
    """Raise `TooLong` when a reader takes longer than `PATIENCE`."""

    def end(number: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(reader: Reader, data: bytes, folder: Path) -> bool:
    """Let a reader read; return whether it could; raise `Find` for what is no message."""
    name, _, read = reader
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        with patience():
            read(path)
    except UntrainError as error:
        if error.exit_code != 2 or len(str(error).split()) < 4:
            raise Find(f"a message that says little: {str(error)!r}") from error
        return False
    except TooLong as error:
        raise Find(f"no end within {PATIENCE} s") from error
    except Exception as error:
        raise Find(f"{type(error).__name__}: {error}") from error
    return True


def keep(name: str, data: bytes, error: Exception, kept: Path) -> str:
    """Keep what was found; return a line about it."""
    folder = kept / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return f"{name}: {error} ({path.name})"


def kind_of(error: Find) -> str:
    """Return what finds of one kind have in common: the exception, and where it was raised."""
    cause, place = error.__cause__, ""
    trace = cause.__traceback__ if cause else None
    while trace is not None:
        frame = trace.tb_frame.f_code
        if "untrain" in frame.co_filename and "reliability" not in frame.co_filename:
            place = f"{Path(frame.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(cause).__name__} {place or str(error)[:60]}"


def fuzz(
    name: str, reader: Reader, folder: Path, kept: Path, seconds: float, start: int
) -> tuple[Tally, int]:
    """Try a reader on what was kept, then on changed samples; return what became, and the seeds.

    Parameters
    ----------
    seconds : float
        If any, at least `LEAST` inputs are tried.
    start : int
        The first seed.
    """
    tally = Tally()

    def attempt(data: bytes, known: Path | None = None) -> None:
        try:
            could = tried(reader, data, folder)
        except Find as error:
            kind = kind_of(error)
            if kind not in tally.found:
                said = f"{name}: {error} ({known})" if known else keep(name, data, error, kept)
                tally.found[kind] = f"{said} {kind}"
            return
        tally.read += could
        tally.refused += not could

    end = time.monotonic() + seconds
    for path in sorted((kept / name).glob("*")):
        attempt(path.read_bytes(), path)
    number = start
    while time.monotonic() < end:

        @seed(number)
        @settings(
            max_examples=200,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        )
        @given(CHANGES)
        def draw(changes: list[Change]) -> None:
            if time.monotonic() < end or tally.inputs < LEAST:
                attempt(changed(reader[1], changes, Path(reader[0]).suffix))

        draw()
        number += 1
    (folder / reader[0]).write_bytes(reader[1])
    return tally, number


def with_atheris(reader: Reader, folder: Path, seconds: int) -> None:
    """Let coverage guide what a reader is tried on; ends at the first find, as libFuzzer does."""
    import atheris

    for each in gc.get_objects():  # of all modules it would take minutes
        if isinstance(each, FunctionType) and str(each.__module__).startswith("untrain."):
            atheris.instrument_func(each)

    def once(data: bytes) -> None:
        tried(reader, data, folder)

    seeds = folder / "seeds"
    seeds.mkdir()
    (seeds / "sample").write_bytes(reader[1])
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", str(seeds)], once)
    atheris.Fuzz()


def limit_memory() -> None:
    """Let what a reader takes beyond `MEMORY` be refused to it."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))


def rows_of(counted: Mapping[str, Sequence[int]]) -> list[list[Any]]:
    """Return the rows of the page: inputs, read, refused and found, by subject."""
    total: dict[str, Counter[int]] = {}
    for name, counts in counted.items():
        subject = next(words for mark, words in SUBJECTS.items() if fnmatch(name, mark))
        for of in (subject, "all"):
            total.setdefault(of, Counter()).update(dict(enumerate(counts)))
    total["all"] = total.pop("all", Counter())
    return [[subject, *(counts[at] for at in range(4))] for subject, counts in total.items()]


def main() -> None:
    """Fuzz all readers, or some, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="for all readers together")
    parser.add_argument("--only", default="*", help="readers by name, such as csv or 'run/*'")
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="a finished run, of which a copy is changed")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of what was found")
    parser.add_argument("--store", action="store_true", help="keep the counts for the page")
    parser.add_argument("--add", action="store_true", help="add to the counts that are stored")
    asked = parser.parse_args()
    console.quiet = True
    warnings.simplefilter("ignore")
    faulthandler.enable()
    before: dict[str, Any] = {}
    if asked.add:
        before = json.loads((DATA / "fuzz.json").read_text())
    counted: dict[str, list[int]] = before.get("readers", {})
    start = last = before.get("next_seed", asked.seed)
    finds: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["UNTRAIN_CACHE"] = os.environ["HF_HOME"] = str(folder / "cache")
        known = known_readers(folder, asked.only, asked.run)
        if asked.engine == "atheris":
            with_atheris(next(iter(known.values())), folder, int(asked.seconds))
            return
        for reader in known.values():
            tried(reader, reader[1], folder)
        limit_memory()
        weights = {name: 0.2 if name.startswith("table/") else 1.0 for name in known}
        for name, reader in known.items():
            share = asked.seconds * weights[name] / sum(weights.values())
            tally, number = fuzz(name, reader, folder, asked.kept, share, start)
            last = max(last, number)
            counts = [tally.inputs, tally.read, tally.refused, len(tally.found)]
            old = counted.get(name, [0] * 4)
            counted[name] = [a + b for a, b in zip(old, counts, strict=True)]
            finds += tally.found.values()
            print(f"{name}: {tally.inputs:,} inputs, {len(tally.found)} finds", flush=True)
    rows = rows_of(counted)
    print("\n".join([*finds, *(f"{words}: {counts}" for words, *counts in rows)]))
    if asked.store or asked.add:
        heads = ("read", "inputs", "read without complaint", "refused in a sentence", "neither")
        said = "\n".join(filter(None, [before.get("command"), own_command()]))
        store("fuzz", rows, heads, said, readers=counted, next_seed=last)
    sys.exit(bool(finds))


def known_readers(folder: Path, only: str, run: Path | None = None) -> dict[str, Reader]:
    """Return the readers whose names fit, each with a sample in a folder.

    Parameters
    ----------
    folder : Path
    only : str
        A name, perhaps with ``*``.
    run : Path, optional
        A finished run, of which a copy is changed; one is made if it is not given.
    """
    found = {**fuzz_samples.readers(folder), **fuzz_runs.tables()}
    if only.startswith(("*", "run")):
        run = run or fuzz_runs.finished(folder / "made")
        found |= fuzz_runs.readers(fuzz_runs.copied(run, folder / "micro"))
    return {name: reader for name, reader in found.items() if fnmatch(name, only)}


if __name__ == "__main__":
    main()

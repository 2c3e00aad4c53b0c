"""Cases of hostile input: what is spoilt, the command that meets it, and how it must end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.commands import Said, Untrain

Spoil = Callable[[Path], object]

SECONDS = 5
"""Of the processor that a case may take; most take a twentieth of one."""
PATIENCE = 120
"""Seconds after which a case hangs, on a machine that may be busy with others."""
NEVER = ("Traceback", "should not have happened")


def nothing(folder: Path) -> None:
    """Leave everything as it is."""


@dataclass(frozen=True)
class Case:
    """A hostile input.

    Attributes
    ----------
    command : tuple of str
        Arguments of the command line, in a folder with ``photos/`` and ``mine.yaml``.
    spoil : callable
        Makes or changes files of that folder.
    says : tuple of str
        All that the message must hold.
    code : int, optional
        What the command ends with; None: 0 or 2, whichever.
    """

    command: tuple[str, ...]
    spoil: Spoil = nothing
    says: tuple[str, ...] = ()
    code: int | None = 2


Meet = Callable[[Case], Said]


def dumped(values: Any) -> str:
    """Return values as YAML, by the library in C where there is one."""
    return str(yaml.dump(values, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))


def loaded(text: str) -> Any:
    """Return the values of YAML, likewise."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def write_anew(file: Path, text: str) -> None:
    """Write a file that may be there: cutting one to nothing first makes a disk work."""
    file.unlink(missing_ok=True)
    file.write_text(text)


def met(untrain: Untrain, case: Case, folder: Path) -> Said:
    """Spoil the folder, give the command, and return what it said, which `held` has checked."""
    case.spoil(folder)
    return held(untrain, case.command, case.says, case.code)


def held(
    untrain: Untrain,
    command: tuple[str, ...],
    says: tuple[str, ...] = (),
    code: int | None = 2,
) -> Said:
    """Give a command, and return what it said, if it ended as every command must.

    It ends in time, with 0 or 2, without a traceback or an apology; what is refused is named in a
    sentence, and leaves no run folder.
    """
    began = time.process_time()
    said = untrain(*command)
    told = f"{' '.join(map(repr, command))} → {said}"
    assert time.process_time() - began < SECONDS, told
    assert not any(word in said.out + said.err for word in NEVER), told
    assert said.code in ((0, 2) if code is None else (code,)), told
    for word in says:
        assert word in said.err + (said.out if code == 0 else ""), told
    if said.code:
        assert len(said.err.split()) > 3, told
        assert not any(path.name != ".lock" for path in Path("runs").glob("mine/*")), told
    return said

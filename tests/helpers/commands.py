"""Calls of the command line, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from untrain.cli import main


@dataclass(frozen=True)
class Said:
    """What a call of the command line ended with and printed."""

    code: int
    out: str
    err: str


Untrain = Callable[..., Said]


def command_line(patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Untrain:
    """Return a function that calls the command line, in the working folder."""

    def call(*arguments: object) -> Said:
        patch.setattr("sys.argv", ["untrain", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return call

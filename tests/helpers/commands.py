"""Calls of the command line, in this process, and what they are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import typer

from untrain.cli import main


@dataclass(frozen=True)
class Said:
    """What a call of the command line ended with and printed."""

    code: int
    out: str
    err: str


Untrain = Callable[..., Said]

_built = cache(typer.main.get_command)
"""Typer's function, which builds the commands once: that takes longer than most of them do."""


def command_line(patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Untrain:
    """Return a function that calls the command line, in the working folder."""

    patch.setattr("typer.main.get_command", _built)

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


def write_experiment(folder: Path) -> Path:
    """Write an experiment on the folder ``photos`` beside it."""
    (folder / "prompts.txt").write_text("a red shirt\na blue bag\n")
    file = folder / "mine.yaml"
    file.write_text(
        "name: mine\n"
        "data: {format: folder, path: photos}\n"
        "prompts: {file: prompts.txt}\n"
        "generator: {preset: micro}\n"
        "generations: 1\n"
        "retrieval: {top: 10}\n"
        "removal: {arms: [targeted, random_uniform], k: [2], draws: 2}\n"
        "design: {models: 4}\n"
        "evaluation: {draws: 100}\n"
        "workers: 1\n"
    )
    return file

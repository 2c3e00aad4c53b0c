"""What the fuzzer changes in a run folder, and the commands that read it afterwards.

A run of somebody else's has no record of what its files were, so its ``checksums.txt`` is taken
away first: with it, every change would end at the same place. Commands run in this process.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from fuzz_samples import Reader
from micro import EXPERIMENT
from untrain.core.errors import InputError
from untrain.core.schema import Kind, Table
from untrain.core.tables import TABLES

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("show", "{run}"),
    ("show", "{run}", "--json"),
    ("status", "{run}"),
    ("compare", "{run}", "{run}"),
    ("verify", "{run}"),
)
SLOW: tuple[tuple[str, ...], ...] = (
    ("report", "{run}"),
    ("sheet", "{run}", "{beside}.png"),
    ("export", "{run}", "{beside}"),
)
"""What takes seconds and writes: one of twelve inputs gets one of these."""
OTHERS = ("run.json", "config.yaml", "results/page.json", "results/summary.json")
"""Files of a run, besides its tables, that are read again."""


def finished(folder: Path) -> Path:
    """Run a tiny experiment to its end, in this process; return the run folder."""
    folder.mkdir(parents=True)
    file = folder / "experiment.yaml"
    file.write_text(f"{EXPERIMENT}workers: 1\n")
    command("run", str(file), "--runs", str(folder / "runs"))
    return folder / "runs" / "micro"


def copied(run: Path, folder: Path) -> Path:
    """Copy a finished run, without the record of what its files were; return the copy."""
    left_out = shutil.ignore_patterns("thumbnails", "checksums.txt", ".run.json", ".lock")
    return Path(shutil.copytree(run, folder, ignore=left_out))


def readers(run: Path) -> dict[str, Reader]:
    """Return a reader of each file of a copied run that commands read again."""

    def read(path: Path) -> object:
        drawn = zlib.crc32(path.read_bytes())
        known = SLOW if drawn % 12 == 0 else COMMANDS
        return reads(run, known[drawn // 12 % len(known)])

    names = [table.path(run).relative_to(run).as_posix() for table in TABLES.values()]
    there = [name for name in (*names, *OTHERS) if (run / name).is_file()]
    found: dict[str, Reader] = {}
    for name in there:
        found[f"run/{name}"] = (f"{run.name}/{name}", (run / name).read_bytes(), read)
    for marker in sorted(run.rglob(".untrain"))[:1]:
        name = f"{run.name}/{marker.relative_to(run).as_posix()}"
        found["run/.untrain"] = (name, marker.read_bytes(), read)
    sums = b"0c1bb0d3 " + b'["=", "' + b"a" * 64 + b'", "prompts.csv"]\n'
    found["run/checksums.txt"] = (f"{run.name}/checksums.txt", sums, read)
    return found


def tables() -> dict[str, Reader]:
    """Return a reader of each table that a run may have."""
    return {f"table/{name}": _alone(table) for name, table in TABLES.items()}


def reads(run: Path, words: tuple[str, ...]) -> object:
    """Give a command about a run; delete what it wrote beside it."""
    beside = run.with_name("written")
    try:
        return command(*(word.format(run=run, beside=beside) for word in words))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        beside.with_suffix(".png").unlink(missing_ok=True)


def command(*words: str) -> int:
    """Give a command in this process, and print nothing; an error of the user's is `InputError`.

    Raises
    ------
    InputError
        It ended with 2.
    Exception
        Whatever else the command raised, which the command line would apologise for.
    """
    from untrain.cli import NOT_WRITABLE

    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        try:
            return int(_app().main(["--quiet", *words], "untrain", standalone_mode=False) or 0)
        except NOT_WRITABLE as error:
            raise InputError(f"cannot write {error.filename}: {error.strerror}") from None
        except typer.Exit as end:
            return int(end.exit_code)


@cache
def _app() -> Any:
    from untrain.cli import app

    return typer.main.get_command(app)


def _alone(table: Table) -> Reader:
    """Return what reads a table by itself, with two rows of any values that fit."""
    values = {Kind.TEXT: ["a", "b"], Kind.INTEGER: [1, 2], Kind.NUMBER: [0.5, 2.0]}
    columns: dict[str, list[Any]] = {
        column.name: list(column.values[:1] * 2) or values.get(column.kind, [True, False])
        for column in table.columns
    }
    rows = pd.DataFrame(columns)
    written = io.BytesIO()
    if table.suffix == ".csv":
        rows.to_csv(written, index=False)
    else:
        rows.to_parquet(written, index=False)

    def read(path: Path) -> object:
        return table.read(path.parents[table.name.count("/")])

    return f"alone/{table.name}{table.suffix}", written.getvalue(), read

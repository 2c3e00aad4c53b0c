"""``untrain verify``: the files of a run, or the answer to a request, held against their record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli import completion
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.cli.sign import SIGNERS, lines_of, signature_of
from untrain.cli.takedown import PANEL, catalogue_at
from untrain.core.printing import Printer, escape

if TYPE_CHECKING:
    from untrain.core.verifying import Verified as Files
    from untrain.takedowns.verify import Check
    from untrain.takedowns.verify import Verified as Answer


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("verify", rich_help_panel=PANEL)(verify)


def verify(
    folder: Path = typer.Argument(
        help="A run, or what untrain takedown wrote: RUN/takedowns/REFERENCE."
    ),
    request: Path | None = typer.Option(
        None, "--request", help="The folder with the pictures that were sent."
    ),
    data: str = typer.Option(
        "", "--data", help="The training data as they are now: none of the images may be in them."
    ),
    format: str = typer.Option(
        "", help="Format of --data; guessed if left out.", autocompletion=completion.formats
    ),
    model: Path | None = typer.Option(
        None, "--model", help="Folder of the model that is in use; default: the one in the run."
    ),
    signers: Path | None = SIGNERS,
    as_json: bool = JSON,
) -> None:
    """Check a run's files, or the answer to a takedown request: files, data, models and numbers.

    Of a run, or any other folder that untrain wrote, every file is compared with the checksum that
    was recorded when it was written; nothing is changed.

    Ends with 0 if nothing that could be checked is wrong, with 1 if something is, with 2 if there
    is no record. What could not be checked is said. A signature that untrain sign wrote is
    checked as well.

    Example: untrain verify runs/demo

    Example: untrain verify runs/demo/takedowns/letter-17 --request letter-17/ --data retained/
    """
    from untrain.core.verifying import verify as verify_files
    from untrain.takedowns.verify import verify as verify_answer

    signed = signature_of(folder, signers)
    found: Files | Answer
    if _is_run(folder):
        found = verify_files(folder)
        lines = _of_files(found)
    else:
        found = verify_answer(folder, request, catalogue_at(data, format) if data else None, model)
        lines = _of_answer(found)
    if as_json:
        print_json({**found.to_dict(), "signature": signed and signed.to_dict()})
    else:
        console = Printer(soft_wrap=True)
        for line in (*(lines_of(signed) if signed else ()), *lines):
            console.print(line)
    if not found.passed or (signed and not signed.passed):
        raise typer.Exit(1)


def _is_run(folder: Path) -> bool:
    """Tell whether a folder is a run, or another one whose files have checksums."""
    from untrain.core.manifest import recorded
    from untrain.runs.find import RECORD
    from untrain.takedowns.record import RECORD as ANSWER

    return (folder / RECORD).is_file() or (
        not (folder / ANSWER).is_file() and folder.is_dir() and bool(recorded(folder))
    )


def _of_files(found: Files) -> Iterator[str]:
    """Yield what is said of the files of a folder, each line with markup."""
    from untrain.core.manifest import command_for

    for word, names in (("DAMAGED", found.damaged), ("MISSING", found.missing)):
        for name in names:
            yield f"[bold red]{word}[/]: {escape(name)}"
    if found.broken:
        yield f"[bold red]DAMAGED[/]: {found.broken} lines of checksums.txt"
    yield (
        f"{found.whole:,} files ({found.size / 2**20:,.1f} MiB) are as they were written; "
        f"{len(found.damaged)} damaged, {len(found.missing)} missing; of "
        f"{len(found.unrecorded)} nothing was recorded"
    )
    makers: dict[str, list[str]] = {}
    for name in (*found.damaged, *found.missing):
        makers.setdefault(command_for(found.folder, name), []).append(name)
    for command, made in makers.items():
        more = f" and {len(made) - 1} more" if len(made) > 1 else ""
        yield f"to make {escape(made[0])}{more} again: [bold]{escape(command)}[/]"


def _of_answer(found: Answer) -> Iterator[str]:
    """Yield what is said of the answer to a request, each line with markup."""
    from untrain.takedowns.verify import TO_REMOVE

    yield from map(_line, found.checks)
    yield f"SHA-256 of record.json: {found.sha256}"
    wrong = sum(each.passed is False for each in found.checks)
    to_do = sum(each.code == TO_REMOVE for each in found.checks)
    open_ = sum(each.passed is None for each in found.checks) - to_do
    made = len(found.checks) - open_ - to_do
    yield f"{made - wrong} of {made} checks passed; {open_} could not be made"


def _line(check: Check) -> str:
    from untrain.takedowns.verify import TO_REMOVE

    if check.code == TO_REMOVE:
        word = "[yellow]still there[/]"
    elif check.passed is None:
        word = "[yellow]not checked[/]"
    else:
        word = "[green]as it should be[/]" if check.passed else "[bold red]WRONG[/]"
    return f"{word}: {escape(check.text)}"

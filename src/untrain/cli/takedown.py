"""``untrain takedown`` and ``untrain verify``: the answer to a request, and a check of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli import completion
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.cli.sign import SIGNERS, lines_of, signature_of
from untrain.core.printing import Printer, escape
from untrain.core.vocabulary import ATTRIBUTOR

if TYPE_CHECKING:
    from untrain.catalogs import Catalog
    from untrain.runs.signing import Signed
    from untrain.takedowns.verify import Check

PANEL = "Answer a takedown request"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("takedown", rich_help_panel=PANEL)(takedown)
    app.command("verify", rich_help_panel=PANEL)(verify)


def takedown(
    request: Path = typer.Argument(
        help="Folder with the pictures that were sent, as files; a request.yaml (from, received, "
        "reference, asks) or request.txt in it is the letter."
    ),
    run: Path | None = typer.Option(
        None,
        "--run",
        help="A run folder, its name in ./runs, or an experiment file, which is run first.",
        autocompletion=completion.runs,
    ),
    catalog: str = typer.Option(
        "", "--catalog", "-c", help="Without a run: only search these images, a folder or a file."
    ),
    format: str = typer.Option(
        "",
        help="Format of the catalogue, such as folder or csv; guessed if left out.",
        autocompletion=completion.formats,
    ),
    reference: str = typer.Option(
        "", "--reference", "-r", help="What the request is called; default: as the letter says."
    ),
    copies: str = typer.Option(
        "",
        help="What counts as a copy: near (edited ones too) or exact; default: as the run's "
        "removal.duplicates, or near.",
    ),
    measure: str = typer.Option(
        "estimate",
        help="estimate (from the model as it is), trial (models trained with and without the "
        "list), or none.",
    ),
    remove: str = typer.Option(
        "auto",
        help="exact (train again without them), none, the name of an unlearning method, or auto: "
        "exact if one training takes at most --minutes.",
    ),
    budget: float = typer.Option(
        0.05, help="Of an unlearning method: share of one training, above 0 and at most 1."
    ),
    minutes: float = typer.Option(60.0, help="The longest training that auto begins."),
    method: str = typer.Option(
        ATTRIBUTOR,
        "--method",
        "-m",
        help="The attributor of the estimate.",
        autocompletion=completion.attributors,
    ),
    calibration: Path | None = typer.Option(
        None, help="What `untrain calibrate` wrote; default: fitted on the run's own trial."
    ),
    models: int | None = typer.Option(
        None, help="Models of the trial; default: as the run's own design has it."
    ),
    probes: int = typer.Option(
        4, help="Pictures drawn for the caption of each requested image; 0 for none."
    ),
    not_a_copy: list[str] = typer.Option(
        [],
        "--not-a-copy",
        help="Id of an image that was found or looks like a copy, but is not theirs; repeatable.",
    ),
    also: list[str] = typer.Option(
        [], "--also", help="Id of a training image that is theirs but was not counted; repeatable."
    ),
    out: Path = typer.Option(
        Path("takedowns"), "--out", "-o", help="With --catalog: folder for the answer."
    ),
    as_json: bool = JSON,
) -> None:
    """Answer a takedown request: find the pictures and their copies, measure, take out, verify.

    Writes RUN/takedowns/REFERENCE: report.html for people (print it to PDF), record.json for
    machines, ids.txt. Stopped, it goes on where it was. Look at the report, correct what was found
    with --not-a-copy and --also, and run it again.

    Example: untrain takedown letter-17/ --run demo --measure trial
    """
    from untrain.api.requested import takedown as answer
    from untrain.core.errors import InputError
    from untrain.takedowns.hashes import digest_of

    if bool(catalog) == (run is not None):
        raise InputError("say once where to search: either --run or --catalog")
    found = answer(
        request,
        run=run,
        catalog=_catalogue(catalog, format) if catalog else None,
        out=out,
        reference=reference,
        copies=copies or None,
        measure=measure,
        remove=remove,
        budget=budget,
        minutes=minutes,
        method=method,
        calibration=calibration,
        models=models,
        probes=probes,
        not_copies=not_a_copy,
        also=also,
    )
    if as_json:
        print_json(found.record)
        return
    console = Printer()
    for sentence in found.short:
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"Report: [bold]{escape(str(found.folder / 'report.html'))}[/]", soft_wrap=True)
    digest = digest_of(found.folder / "record.json")
    console.print(f"SHA-256 of record.json: {digest}", soft_wrap=True)


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
    from untrain.takedowns.verify import TO_REMOVE
    from untrain.takedowns.verify import verify as check

    signed = signature_of(folder, signers)
    if _is_run(folder):
        _verify_files(folder, signed, as_json)
        return
    found = check(folder, request, _catalogue(data, format) if data else None, model)
    if as_json:
        print_json({**found.to_dict(), "signature": signed and signed.to_dict()})
    else:
        console = Printer()
        for line in lines_of(signed) if signed else ():
            console.print(line, soft_wrap=True)
        for each in found.checks:
            console.print(_line(each), soft_wrap=True)
        console.print(f"SHA-256 of record.json: {found.sha256}", soft_wrap=True)
        wrong = sum(each.passed is False for each in found.checks)
        to_do = sum(each.code == TO_REMOVE for each in found.checks)
        open_ = sum(each.passed is None for each in found.checks) - to_do
        made = len(found.checks) - open_ - to_do
        console.print(
            f"{made - wrong} of {made} checks passed; {open_} could not be made", soft_wrap=True
        )
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


def _verify_files(folder: Path, signed: Signed | None, as_json: bool) -> None:
    """Compare the files of a folder with what was recorded, and say what was found."""
    from untrain.core.manifest import verify as check

    found = check(folder)
    if as_json:
        print_json({**found.to_dict(), "signature": signed and signed.to_dict()})
    else:
        console = Printer()
        for line in lines_of(signed) if signed else ():
            console.print(line, soft_wrap=True)
        for word, names in (("DAMAGED", found.damaged), ("MISSING", found.missing)):
            for name in names:
                console.print(f"[bold red]{word}[/]: {escape(name)}", soft_wrap=True)
        if found.broken:
            console.print(
                f"[bold red]DAMAGED[/]: {found.broken} lines of checksums.txt", soft_wrap=True
            )
        said = f"{found.whole:,} files ({found.size / 2**20:,.1f} MiB) are as they were written"
        console.print(
            f"{said}; {len(found.damaged)} damaged, {len(found.missing)} missing; of "
            f"{len(found.unrecorded)} nothing was recorded",
            soft_wrap=True,
        )
        if found.damaged or found.missing:
            console.print(
                f"to make again what belongs to stages: [bold]untrain run {escape(str(folder))}[/]",
                soft_wrap=True,
            )
    if not found.passed or (signed and not signed.passed):
        raise typer.Exit(1)


def _line(check: Check) -> str:
    from untrain.takedowns.verify import TO_REMOVE

    if check.code == TO_REMOVE:
        word = "[yellow]still there[/]"
    elif check.passed is None:
        word = "[yellow]not checked[/]"
    else:
        word = "[green]as it should be[/]" if check.passed else "[bold red]WRONG[/]"
    return f"{word}: {escape(check.text)}"


def _catalogue(place: str, format: str) -> Catalog:
    from untrain.cli.catalogue import open_catalogue

    named = place == "rendered" and not Path(place).exists()
    return open_catalogue(None if named else Path(place), format, pictures_do=True)

"""``untrain takedown``: the answer to a request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli import completion
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape
from untrain.core.vocabulary import ATTRIBUTOR

if TYPE_CHECKING:
    from untrain.catalogs import Catalog

PANEL = "Answer a takedown request"


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("takedown", rich_help_panel=PANEL)(takedown)


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
        catalog=catalogue_at(catalog, format) if catalog else None,
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


def catalogue_at(place: str, format: str) -> Catalog:
    """Open the data of a request: a folder, a file, or ``rendered``; without captions too."""
    from untrain.cli.catalogue import open_catalogue

    named = place == "rendered" and not Path(place).exists()
    return open_catalogue(None if named else Path(place), format, pictures_do=True)

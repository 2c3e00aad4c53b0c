"""``untrain init``: a commented experiment file to begin with."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli import completion
from untrain.cli.output import print_json


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("init", rich_help_panel="Start")(init)


def init(
    path: Path = typer.Argument(
        Path("experiment.yaml"), help="The file to write, or a folder for an experiment.yaml."
    ),
    data: Path | None = typer.Option(None, "--data", help="Your images: a folder or a zip."),
    format: str = typer.Option(
        "",
        help="rendered, folder, fashion, csv, …; guessed from --data, rendered without it.",
        autocompletion=completion.formats,
    ),
    name: str = typer.Option("", "--name", help="Name of the run folder; default: the file's."),
    schema: bool = typer.Option(
        False, "--schema", help="Print the JSON schema of experiment files and write nothing."
    ),
) -> None:
    """Write an experiment file with every setting, its default and what it is.

    A JSON schema is written beside it: editors that read it complete and check the settings. What
    is there already is left alone.

    Example: untrain init mine.yaml --data photos/
    """
    from untrain.catalogs import guess_format
    from untrain.settings import template

    if schema:
        print_json(template.schema())
        return
    kind = format or (guess_format(data) if data else "rendered")
    written = template.write_template(path, kind, name, data)
    typer.echo(f"written: {written}, and its schema for editors")
    step = 1
    if kind != "rendered":
        typer.echo(f"{step}. in it, see that data.path and prompts.file name yours")
        step += 1
    typer.echo(f"{step}. untrain plan {written}    what it would cost")
    typer.echo(f"{step + 1}. untrain run {written}")

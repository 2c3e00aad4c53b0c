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
        Path("experiment.yaml"),
        help="File to write, or a folder in which to write experiment.yaml.",
    ),
    data: Path | None = typer.Option(None, "--data", help="Your images: a folder or a zip."),
    format: str = typer.Option(
        "",
        help="Format of the data: folder, fashion, csv, …; guessed from --data if left out.",
        autocompletion=completion.formats,
    ),
    name: str = typer.Option("", "--name", help="Name of the run; default: that of the file."),
    generator: Path | None = typer.Option(
        None,
        "--generator",
        metavar="FILE.py",
        help="Write a generator of your own to begin with, in PyTorch, to this file; nothing else.",
    ),
    schema: bool = typer.Option(
        False, "--schema", help="Print the JSON schema of experiment files and write nothing."
    ),
) -> None:
    """Write an experiment file that lists and explains every setting.

    A JSON schema is written beside it, with which editors complete and check the settings. Existing
    files are not replaced.

    Example: untrain init mine.yaml --data photos/

    Example: untrain init --generator my_model.py
    """
    from untrain.catalogs import guess_format
    from untrain.settings import template

    if generator is not None:
        _write_generator(generator)
        return
    if schema:
        print_json(template.schema())
        return
    kind = format or (guess_format(data) if data else "rendered")
    written = template.write_template(path, kind, name, data)
    typer.echo(f"written: {written}, and its schema for editors")
    step = 1
    if kind != "rendered":
        typer.echo(f"{step}. set data.path and prompts.file in it to your own")
        step += 1
    typer.echo(f"{step}. untrain plan {written}    estimates the cost")
    typer.echo(f"{step + 1}. untrain run {written}")


def _write_generator(path: Path) -> None:
    """Write the template of a generator where there is no file yet."""
    from importlib import resources

    from untrain.core.errors import InputError
    from untrain.core.files import check_file_target, write_text

    if path.suffix != ".py":
        raise InputError(f"cannot write {path}: expected the name of a Python file (.py)")
    if check_file_target(path).exists():
        raise InputError(f"{path} exists: give another name; files of yours are not replaced")
    text = resources.files("untrain.generators").joinpath("template.py").read_text("utf-8")
    write_text(path, text.replace("THIS_FILE.py", path.name))
    typer.echo(f"written: {path}, a model in PyTorch to change into your own")
    typer.echo(f"1. python {path}    checks that models of it can be compared")
    typer.echo(f"2. in the experiment file: generator: {{name: '{path.name}:MyModel'}}")

"""``untrain quickstart``: from a folder of pictures to a first answer in minutes."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli.data_options import DataOptions, takes_data
from untrain.cli.options import JSON
from untrain.core.printing import Printer, escape, say_json


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("quickstart", rich_help_panel="Start")(quickstart)


@takes_data()
def quickstart(
    data: DataOptions,
    path: Path = typer.Argument(
        help="Your pictures: a folder of photo.jpg beside photo.txt, a table, a zip or shards."
    ),
    minutes: float = typer.Option(5.0, min=1.0, help="How long it may take, about."),
    out: Path = typer.Option(
        Path("quickstart"), "--out", help="Folder for the page and its files; new or empty."
    ),
    seed: int = typer.Option(0, help="Of what is drawn: pictures, prompts, the trial."),
    pictures: bool = typer.Option(
        True, "--pictures/--no-pictures", help="Show pictures in a terminal that can."
    ),
    as_json: bool = JSON,
) -> None:
    """From a folder of pictures to a first answer in five minutes.

    Reads the pictures, finds copies, hides some and looks whether the search finds their
    neighbourhood, and trains as many tiny models as fit into the time, with a planted positive
    control. One page says what was seen, what that does not mean, and what to do for a real answer.
    Without captions no model is trained. Run it again to continue after an interruption.

    Example: untrain quickstart photos/ --minutes 5
    """
    from untrain.cli.catalogue import parse_options
    from untrain.core.files import read_json
    from untrain.quickstart.quickstart import RECORD, Quickstart

    settings = parse_options(data.options)
    made = Quickstart(path, out, minutes, data.format, settings, seed, pictures)
    page = made.run()
    if as_json:
        say_json(read_json(out / RECORD))
        return
    console = Printer()
    console.print()
    for sentence in made.sentences():
        console.print(escape(sentence), soft_wrap=True)
    console.print()
    for command, why in made.commands():
        console.print(f"  [bold]{escape(command)}[/]  {escape(why)}", soft_wrap=True)
    console.print(f"\nPage: [bold]{escape(str(page))}[/]", soft_wrap=True)

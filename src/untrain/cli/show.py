"""``untrain show``: what a finished run found, in the terminal."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli.options import JSON, RUN
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("show", rich_help_panel="Look at a run")(show)


def show(
    run: Path = RUN,
    images: bool | None = typer.Option(
        None,
        "--images/--no-images",
        help="Draw pictures with coloured blocks; default: if the terminal has true colour.",
        show_default=False,
    ),
    prompts: int = typer.Option(3, min=0, help="Number of prompts to show with pictures."),
    as_json: bool = JSON,
) -> None:
    """Show what a finished run found: the answer, effects, verdicts, warnings, a few pictures.

    Pictures include training images unless the report was last written without them
    (untrain report RUN --no-training-images).

    Example: untrain show runs/demo --prompts 5
    """
    from untrain.report.answer import answer
    from untrain.report.notes import further_warnings
    from untrain.report.page.rewrite import shows_training_images
    from untrain.report.tables import terminal
    from untrain.runs.find import find_run
    from untrain.runs.results import read_results

    found = read_results(find_run(run))
    if as_json:
        print_json(terminal.to_dict(found))
        return
    console = Printer()
    console.print(f"[bold]{escape(str(found.meta.get('name') or found.folder.name))}[/]")
    console.print(answer(found), style="bold red" if found.withheld else None, markup=False)
    for warning in further_warnings(found):
        console.print(f"[yellow]warning:[/] {escape(warning.text)}")
    console.print()
    for table in terminal.run_tables(found, console.width):
        console.print(table)
    truecolour = console.color_system == "truecolor" and not console.no_color
    if (console.is_terminal and truecolour) if images is None else images:
        for row in terminal.pictures(found, prompts, shows_training_images(found.folder)):
            console.print(row)
            console.print()
    page = found.folder / "report.html"
    if page.is_file():
        console.print(f"Report: [bold]{escape(str(page))}[/]", soft_wrap=True)

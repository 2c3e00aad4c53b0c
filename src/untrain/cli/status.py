"""``untrain status``: the progress of one run, or of all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from untrain.cli import completion
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape
from untrain.core.progress import clock

if TYPE_CHECKING:
    from untrain.runs.status import Status

STYLES = {"done": "green", "running": "bold cyan", "stopped": "yellow", "waiting": "dim"}


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("status", rich_help_panel="Look at a run")(status)


def status(
    run: Path | None = typer.Argument(
        None,
        help="A run folder, its name in ./runs, or its experiment file; all runs if left out.",
        autocompletion=completion.runs,
    ),
    runs: Path = typer.Option(Path("runs"), help="Folder that holds the runs."),
    as_json: bool = JSON,
) -> None:
    """Show the progress of a run: stages, seconds, models, what is next, whether it is running.

    Reads only the run folder, and also works while the run continues in another terminal.

    Example: untrain status runs/demo
    """
    from untrain.runs.find import find_run, runs_in
    from untrain.runs.status import status as read

    if run is None:
        found = [read(folder) for folder in runs_in(runs)]
        if as_json:
            print_json([each.to_dict() for each in found])
        else:
            _print_all(found, runs)
        return
    found_one = read(find_run(run, runs))
    if as_json:
        print_json(found_one.to_dict())
    else:
        _print(found_one)


def _print_all(found: list[Status], runs: Path) -> None:
    console = Printer()
    if not found:
        console.print(f"no runs in {escape(str(runs))}; to start one: untrain demo")
        return
    table = Table("run", "state", box=None, header_style="bold", pad_edge=False)
    for column in ("stages", "models", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("next", no_wrap=True)
    for each in found:
        table.add_row(
            escape(Path(each.folder).name),
            Text(each.state, STYLES[each.state]),
            f"{each.done}/{len(each.stages)}",
            _models(each),
            clock(each.seconds),
            each.next or "",
        )
    console.print(table)


def _print(found: Status) -> None:
    from untrain.report.quality import gate_line

    console = Printer()
    folder = escape(found.folder)
    style = STYLES[found.state]
    console.print(f"[bold]{folder}[/]: [{style}]{found.state}[/]", soft_wrap=True)
    table = Table("", "stage", "state", box=None, header_style="bold", pad_edge=False)
    table.add_column("seconds", justify="right")
    table.add_column("")
    for number, stage in enumerate(found.stages, 1):
        seconds = "" if stage.seconds is None else f"{stage.seconds:,.1f}"
        note = f"{_models(found)} models" if stage.name == "retrain" else ""
        table.add_row(
            str(number), stage.name, Text(stage.state, STYLES[stage.state]), seconds, note
        )
    table.add_row("", "", "", f"{found.seconds:,.1f}", "in all")
    console.print(table)
    if found.bank:
        console.print(f"bank: {found.bank} models of random subsets")
    if found.quality:
        console.print(f"quality gate: {escape(gate_line(found.quality))}", soft_wrap=True)
    for warning in found.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    if found.running and found.last:
        console.print(f"log: {escape(found.last)}", soft_wrap=True)
    console.print(_next(found), soft_wrap=True)


def _models(found: Status) -> str:
    return f"{found.models}" + ("" if found.models_wanted is None else f"/{found.models_wanted}")


def _next(found: Status) -> str:
    folder = escape(found.folder)
    if found.next is None:
        return f"next: [bold]untrain show {folder}[/], or open {folder}/report.html"
    if found.running:
        return f"next: {found.next}; it is running; see log.txt"
    return f"next: {found.next}; to continue: [bold]untrain run {folder}/config.yaml[/]"

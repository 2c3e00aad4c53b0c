"""``untrain compare``: two finished runs side by side."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli import completion
from untrain.cli.options import JSON, RUN
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape

SECOND = typer.Argument(
    None,
    help="A second run, named like the first.",
    show_default=False,
    autocompletion=completion.runs,
)


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("compare", rich_help_panel="Look at a run")(compare)


def compare(
    first: Path = RUN,
    second: Path | None = SECOND,
    csv: Path | None = typer.Option(None, help="Write the effects to this file (CSV)."),
    as_json: bool = JSON,
) -> None:
    """Compare two finished runs: settings that differ, effects by arm, verdicts.

    Differences are second minus first; their 95 % intervals treat the runs as independent.

    Example: untrain compare runs/seed-1 runs/seed-2
    """
    from untrain.core.errors import InputError
    from untrain.core.files import write_csv
    from untrain.core.targets import check_file_target
    from untrain.report.tables import compared_runs as tables
    from untrain.runs.find import find_run

    if csv:
        check_file_target(csv)
    if second is None:
        raise InputError(
            "compare needs two runs, found one; "
            "for the stage of that name: untrain run FILE --until compare"
        )
    folders = find_run(first), find_run(second)
    if csv:
        check_file_target(csv, folders)
    found = tables.compare_runs(*folders)
    if csv:
        write_csv(csv, found.effects)
    if as_json:
        print_json(found.to_dict())
        return
    console = Printer()
    if len(found.settings):
        console.print(tables.settings_table(found))
    else:
        console.print("no setting differs")
    console.print(tables.effects_table(found))
    console.print(tables.verdicts_table(found))
    if len(found.changed):
        console.print(tables.changed_table(found, console.width))
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    if csv:
        console.print(f"table: {escape(str(csv))}", soft_wrap=True)

"""``untrain report``: write the report of a finished run again."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli.options import JSON, RUN
from untrain.cli.output import print_json
from untrain.core.printing import say


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("report", rich_help_panel="Look at a run")(report)


def report(
    run: Path = RUN,
    training_images: bool = typer.Option(
        True,
        "--training-images/--no-training-images",
        help="Show training images, or only their ids and captions if they must not be shown: "
        "that page is written beside the full one, as report-public.html.",
    ),
    replace: bool = typer.Option(
        False,
        "--replace",
        help="With --no-training-images: replace report.html, now and whenever it is written.",
    ),
    as_json: bool = JSON,
) -> None:
    """Write the report, tables and figures of a finished run again, without computing anything.

    Example: untrain report runs/demo --no-training-images
    """
    from untrain.report.page.rewrite import write_page, write_public
    from untrain.runs.find import find_run

    folder = find_run(run)
    public = not training_images and not replace
    page = write_public(folder) if public else write_page(folder, training_images)
    if as_json:
        results = folder / "results"
        figures = sorted(map(str, (results / "figures").iterdir()))
        print_json({"page": page, "summary": results / "summary.md", "figures": figures})
        return
    without = "" if training_images else " (without training images)"
    say(f"report: {page}{without}")

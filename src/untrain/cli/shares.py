"""``untrain shares``: what each group of training images is worth to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli import completion
from untrain.cli.options import JSON, RUN
from untrain.cli.output import print_json
from untrain.core.printing import Printer, say

if TYPE_CHECKING:
    from untrain.runs.shares import Shares


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("shares", rich_help_panel="Compare attributors")(shares)


BY = typer.Option(
    "",
    "--by",
    help="What makes the groups: an attribute of the catalogue such as brand, folder, or a CSV "
    "file of image ids and groups.",
    show_default=False,
)
LEAST = typer.Option(1, "--least", help="Pool groups with fewer images than this.")


def shares(
    run: Path = RUN,
    by: str = BY,
    least: int = LEAST,
    from_scores: str = typer.Option(
        "",
        "--from-scores",
        help="Also estimate the shares by this attributor, such as leverage: no training.",
        autocompletion=completion.attributors,
        show_default=False,
    ),
    calibration: Path = typer.Option(
        None,
        "--calibration",
        help="What its scores are worth (untrain calibrate); without it they give proportions.",
        show_default=False,
    ),
    baseline: str = typer.Option(
        "untrained",
        help="What nothing is: untrained (the model before training) or uniform (all codes alike).",
    ),
    prompt: str = typer.Option("", help="Print the shares of this prompt.", show_default=False),
    as_json: bool = JSON,
) -> None:
    """Show what share each group of training images has in what the model learnt.

    Needs a bank of groups (untrain bank FILE --by brand), or with --from-scores a fitted model
    only. Writes results/shares-<attribute> as Parquet, CSV, JSON and Markdown with a figure, and
    updates an existing report.

    Example: untrain shares runs/demo --by brand --from-scores leverage
    """
    from untrain.banks.groups.results import find_shares
    from untrain.report.page.rewrite import write_again
    from untrain.runs.find import find_run
    from untrain.runs.run import open_run

    opened = open_run(find_run(run))
    with opened.lock():
        found = find_shares(opened, by, least, from_scores or None, calibration, baseline)
    page = write_again(opened.folder)
    show(found, opened.folder, prompt, as_json)
    if page and not as_json:
        say(f"report: {page}")


def show(found: Shares, folder: Path, prompt: str = "", as_json: bool = False) -> None:
    """Print shares, and where their files are."""
    from untrain.core.errors import InputError, did_you_mean
    from untrain.core.schema import records
    from untrain.report.tables.shares import facts, shares_table

    known = list(found.table["prompt_id"].dropna().unique())
    if prompt and prompt not in known:
        raise InputError(f"there is no prompt '{prompt}'{did_you_mean(prompt, known)}")
    scope = "prompt" if prompt else "overall"
    if as_json:
        means = found.table[found.table["prompt_id"].isna()]
        print_json(records(found.of(scope, prompt) if prompt else means))
        return
    console = Printer()
    console.print(shares_table(found, scope, prompt or None, console.width))
    for line in facts(found):
        console.print(line, markup=False, soft_wrap=True)
    place = folder / "results" / f"shares-{found.key}.md"
    say(f"shares: {place}")

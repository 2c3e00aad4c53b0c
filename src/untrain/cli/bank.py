"""``untrain bank``: paired models, each trained without a random subset of the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from untrain.cli.options import ALL, takes_experiment
from untrain.cli.output import lines_table
from untrain.cli.run import Read
from untrain.cli.shares import BY, LEAST, show
from untrain.core.printing import Printer, say

if TYPE_CHECKING:
    import pandas as pd

    from untrain.runs.run import Run


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("bank", rich_help_panel="Compare attributors")(bank)


@takes_experiment(*(option for option in ALL if option != "strict"))
def bank(
    read: Read,
    file: Path,
    models: int = typer.Option(
        None,
        "--models",
        help="Number of models for each share (default: 64; with --by 16, or enough for four a "
        "group).",
        show_default=False,
    ),
    share: list[float] = typer.Option(
        [],
        "--share",
        help="Share of the data, or of the groups, to remove (0 to 1); repeat the option for "
        "several shares (default: 0.5; with --by 0.1, 0.3, 0.5, 0.7 and 0.9).",
        show_default=False,
    ),
    by: str = BY,
    least: int = LEAST,
    leave_one_out: int = typer.Option(
        0,
        "--leave-one-out",
        help="With --by: number of groups, from the largest to the smallest, that also leave by "
        "themselves, as a check.",
    ),
    plan: bool = typer.Option(False, "--plan", help="Estimate the cost and stop."),
) -> None:
    """Train paired models without random subsets of the data, for `untrain leaderboard`.

    Each model is trained without a random half of the images. With several --share it also
    estimates how many random images have the same effect as the chosen ones. With --by whole groups
    leave, such as brands, and it says what share each has in what the model learnt (untrain
    shares). Run it again to continue after an interruption, or with more --models to add to the
    bank. An existing report is updated.

    Example: untrain bank experiment.yaml --models 64
    """
    from untrain.core.errors import InputError
    from untrain.runs.run import Run

    run = Run(read(file))
    if by:
        _of_groups(run, by, models, share, leave_one_out, least, plan)
        return
    if leave_one_out or least != 1:
        raise InputError(
            "--leave-one-out and --least are of groups: name what makes them with --by"
        )
    models, share = 64 if models is None else models, share or [0.5]
    if plan:
        from untrain.banks.plan import plan_bank

        lines = plan_bank(run, models, share).lines()
        Printer().print(lines_table(f"Plan of the bank of {run.config.name}", lines))
        return
    from untrain.banks.bank import keep_equivalent, train_bank
    from untrain.report.page.rewrite import write_again

    found = train_bank(run, models, share)
    say(f"bank: {_counted(found.models)}, in {run.folder / 'bank'}")
    rows = keep_equivalent(run, found)
    if rows:
        Printer().print(_equivalent(rows, run.unit))
        say(f"figure: {run.folder / 'results' / 'figures' / 'equivalent.svg'}")
    if page := write_again(run.folder):
        say(f"report: {page}")


def _of_groups(
    run: Run,
    by: str,
    models: int | None,
    share: list[float],
    leave_one_out: int,
    least: int,
    plan: bool,
) -> None:
    """Train the bank of groups and print their shares, or only plan it."""
    from untrain.banks.groups.bank import folder_of, train_group_bank
    from untrain.banks.groups.draws import SHARES
    from untrain.banks.groups.plan import plan_group_bank
    from untrain.banks.groups.results import keep_shares
    from untrain.banks.groups.shares import shares_of
    from untrain.report.page.rewrite import write_again

    shares = share or list(SHARES)
    if plan:
        lines = plan_group_bank(run, by, models, shares, leave_one_out, least).lines()
        Printer().print(lines_table(f"Plan of the bank of groups of {run.config.name}", lines))
        return
    bank = train_group_bank(run, by, models, shares, leave_one_out, least)
    say(f"bank: {len(bank.models)} models, in {folder_of(run.folder, bank.groups)}")
    found = shares_of(run, bank)
    with run.lock():
        keep_shares(run, found)
    page = write_again(run.folder)
    show(found, run.folder)
    if page:
        say(f"report: {page}")


def _counted(models: pd.DataFrame) -> str:
    counts = models["share"].value_counts(sort=False)
    shares = [f"{n} without {share:.3g} of the data" for share, n in counts.items() if share]
    everything = ["1 on all data"] if 0 in counts.index else []
    return f"{len(models)} models ({', '.join(shares + everything)})"


def _equivalent(rows: list[dict[str, Any]], unit: str) -> Table:
    from untrain.evaluation.measurement import spoken

    table = Table("removed", title="Equivalent random removal", title_justify="left")
    for column in ("images", f"{spoken(unit)} worse", "random images with the same effect"):
        table.add_column(column, justify="right")
    for row in rows:
        arm = row["arm"].replace("_", " ")
        table.add_row(arm, f"{row['removed']:.0f}", f"{row['effect']:.3f}", row["words"])
    return table

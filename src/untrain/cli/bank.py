"""``untrain bank``: paired models, each trained without a random subset of the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from untrain.cli.options import ALL, takes_experiment
from untrain.cli.output import lines_table
from untrain.cli.run import Read

if TYPE_CHECKING:
    import pandas as pd


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("bank", rich_help_panel="Compare attributors")(bank)


@takes_experiment(*(option for option in ALL if option != "strict"))
def bank(
    read: Read,
    file: Path,
    models: int = typer.Option(64, "--models", help="Number of models for each share."),
    share: list[float] = typer.Option(
        [0.5],
        "--share",
        help="Share of the data to remove (0 to 1); repeat the option for several shares.",
    ),
    plan: bool = typer.Option(False, "--plan", help="Estimate the cost and stop."),
) -> None:
    """Train paired models without random subsets of the data, for `untrain leaderboard`.

    Each model is trained without a random half of the images. With several --share it also
    estimates how many random images have the same effect as the chosen ones. Run it again to
    continue after an interruption, or with more --models to add to the bank. An existing report is
    updated.

    Example: untrain bank experiment.yaml --models 64
    """
    from untrain.runs.run import Run

    run = Run(read(file))
    if plan:
        from untrain.banks.plan import plan_bank

        lines = plan_bank(run, models, share).lines()
        Console().print(lines_table(f"Plan of the bank of {run.config.name}", lines))
        return
    from untrain.banks.bank import keep_equivalent, train_bank
    from untrain.report.page.rewrite import write_again

    found = train_bank(run, models, share)
    typer.echo(f"bank: {_counted(found.models)}, in {run.folder / 'bank'}")
    rows = keep_equivalent(run, found)
    if rows:
        Console().print(_equivalent(rows, run.unit))
        typer.echo(f"figure: {run.folder / 'results' / 'figures' / 'equivalent.svg'}")
    if page := write_again(run.folder):
        typer.echo(f"report: {page}")


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

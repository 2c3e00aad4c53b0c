"""``untrain bank``: paired models, each trained without a random share of the data."""

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
    app.command("bank", rich_help_panel="Who knows best")(bank)


@takes_experiment(*(option for option in ALL if option != "strict"))
def bank(
    read: Read,
    file: Path,
    models: int = typer.Option(64, "--models", help="How many of each share."),
    share: list[float] = typer.Option(
        [0.5], "--share", help="Share of the data to take out; may be given often."
    ),
    plan: bool = typer.Option(False, "--plan", help="Say what it would cost and stop."),
) -> None:
    """Train paired models without random subsets of the data, for `untrain leaderboard`.

    Each lacks a random half of the images. With several --share it also says how many random images
    do as much harm as those that were chosen. Run it again to continue after a stop, or with more
    --models to add some. The page of the run, where there is one, is written again.

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
    everything = ["1 with everything"] if 0 in counts.index else []
    return f"{len(models)} models ({', '.join(shares + everything)})"


def _equivalent(rows: list[dict[str, Any]], unit: str) -> Table:
    from untrain.evaluation.measurement import spoken

    table = Table("taken out", title="Equivalent random removal", title_justify="left")
    for column in ("images", f"{spoken(unit)} worse", "random images that do as much"):
        table.add_column(column, justify="right")
    for row in rows:
        arm = row["arm"].replace("_", " ")
        table.add_row(arm, f"{row['removed']:.0f}", f"{row['effect']:.3f}", row["words"])
    return table

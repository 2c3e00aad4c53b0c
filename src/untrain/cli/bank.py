"""``untrain bank``: paired models, each trained without a random share of the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from untrain.cli.run import (
    AddressOption,
    EngineOption,
    FileArgument,
    NameOption,
    RunsOption,
    SeedOption,
    SetOption,
    WorkersOption,
    engine_of,
)

if TYPE_CHECKING:
    import pandas as pd


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("bank")(bank)


def bank(
    file: Path = FileArgument,
    models: int = typer.Option(64, "--models", help="How many of each share."),
    share: list[float] = typer.Option(
        [0.5], "--share", help="Share of the data to take out; may be given often."
    ),
    seed: int | None = SeedOption,
    name: str | None = NameOption,
    runs: Path | None = RunsOption,
    settings: list[str] = SetOption,
    engine: str | None = EngineOption,
    address: str | None = AddressOption,
    workers: int | None = WorkersOption,
    plan: bool = typer.Option(False, "--plan", help="Say what it would cost and stop."),
) -> None:
    """Train paired models without random parts of the data, for `untrain leaderboard`.

    Each lacks a random half of the images. With several --share it also says how many random images
    do as much harm as those that were chosen. Run it again to continue after a stop, or with more
    --models to add some.

    Example: untrain bank experiment.yaml --models 64
    """
    from untrain.experiment.config import load_config
    from untrain.experiment.run import Run

    where = engine_of(engine, address)
    changes = {"seed": seed, "name": name, "runs": runs, "engine": where, "workers": workers}
    run = Run(load_config(file, settings, **changes))
    if plan:
        from untrain.experiment.parts_plan import plan_bank

        Console().print(_plan(run.config.name, plan_bank(run, models, share)))
        return
    from untrain.experiment.parts import keep_equivalent, train_bank

    found = train_bank(run, models, share)
    typer.echo(f"bank: {_counted(found.models)}, in {run.folder / 'bank'}")
    rows = keep_equivalent(run, found)
    if rows:
        Console().print(_equivalent(rows))
        typer.echo(f"figure: {run.folder / 'results' / 'figures' / 'equivalent.svg'}")


def _plan(name: str, lines: list[tuple[str, str]]) -> Table:
    table = Table(title=f"Plan of the bank of {name}", show_header=False, title_justify="left")
    for label, value in lines:
        table.add_row(label, escape(value))
    return table


def _counted(models: pd.DataFrame) -> str:
    counts = models["share"].value_counts(sort=False)
    shares = [f"{n} without {share:.3g} of the data" for share, n in counts.items() if share]
    everything = ["1 with everything"] if 0 in counts.index else []
    return f"{len(models)} models ({', '.join(shares + everything)})"


def _equivalent(rows: list[dict[str, Any]]) -> Table:
    table = Table("taken out", title="Equivalent random removal", title_justify="left")
    for column in ("images", "bits a token worse", "random images that do as much"):
        table.add_column(column, justify="right")
    for row in rows:
        arm = row["arm"].replace("_", " ")
        table.add_row(arm, f"{row['removed']:.0f}", f"{row['effect']:.3f}", row["words"])
    return table

"""``untrain ladder``: every method of unlearning at every budget, against exact retraining."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from untrain.cli import completion
from untrain.cli.options import JSON, RUN
from untrain.cli.output import lines_table, print_json
from untrain.core.printing import Printer, escape

if TYPE_CHECKING:
    import pandas as pd


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("ladder", rich_help_panel="Unlearn")(ladder)


def ladder(
    run: Path = RUN,
    methods: list[str] = typer.Option(
        [],
        "--methods",
        "-m",
        help="Method of unlearning, with options after a colon (npo:beta=0.2); repeatable. "
        "Default: all methods.",
        autocompletion=completion.unlearning_methods,
    ),
    budgets: str = typer.Option(
        "0.005,0.01,0.02,0.05,0.1,0.2,0.5",
        "--budgets",
        "-b",
        help="Budgets, shares of one training above 0 and at most 1, separated by commas.",
    ),
    seeds: int = typer.Option(2, "--seeds", help="Number of models, each of another seed."),
    dear: float = typer.Option(
        0.05,
        "--dear",
        help="Budgets above this are tried on the first model only, on one set of each kind.",
    ),
    targeted: int = typer.Option(
        2, "--targeted", help="Number of prompts whose best-ranked images are forgotten."
    ),
    random: int = typer.Option(1, "--random", help="Number of random sets, as large."),
    family: int = typer.Option(
        1, "--family", help="Number of whole families, or of planted items with all their copies."
    ),
    sets: list[Path] = typer.Option(
        [],
        "--sets",
        help="Own sets instead: a text file with an image id on each line, or a table (CSV, "
        "Parquet) with the columns set_id and image_id; repeatable.",
    ),
    plan: bool = typer.Option(False, "--plan", help="Estimate the cost and stop."),
    as_json: bool = JSON,
) -> None:
    """Hold every method of unlearning against exact retraining, at every budget.

    Trains models and, for each forget set, their exact twins without it; has each method forget the
    set within each budget; and measures how near it comes to the twin on the forgotten images, the
    generated pictures, retained and held-out pairs. Run it again to continue after an interruption,
    or with further methods, budgets or sets to add to it. An existing report is updated.

    Example: untrain ladder runs/demo --budgets 0.01,0.05
    """
    from untrain.banks.ladder.asked import Asked, numbers
    from untrain.banks.ladder.ladder import climb_ladder, plan_ladder
    from untrain.runs.find import find_run
    from untrain.runs.run import open_run

    asked = Asked(
        methods=tuple(methods),
        budgets=numbers(budgets),
        seeds=seeds,
        dear=dear,
        targeted=targeted,
        random=random,
        family=family,
        sets=tuple(sets),
    )
    asked.check()
    opened = open_run(find_run(run))
    if plan:
        lines = plan_ladder(opened, asked).lines()
        Printer().print(lines_table(f"Plan of the ladder of {opened.config.name}", lines))
        return
    from untrain.banks.ladder.results import keep_fidelity
    from untrain.report.page.rewrite import write_again
    from untrain.report.tables.unlearning import answer
    from untrain.runs.fidelity import read_fidelity

    found = climb_ladder(opened, asked)
    table = keep_fidelity(opened, found)
    page = write_again(opened.folder)
    if as_json:
        print_json(table.to_dict("records"))
        return
    console = Printer()
    console.print(_rho(table))
    for sentence in answer(read_fidelity(opened.folder)):
        console.print(sentence, markup=False)
    where = opened.path("results", "fidelity.md")
    console.print(f"Fidelity: [bold]{escape(str(where))}[/]", soft_wrap=True)
    if page:
        console.print(f"Report: [bold]{escape(str(page))}[/]", soft_wrap=True)


def _rho(table: pd.DataFrame) -> Table:
    """Return rho on forgotten images and queries, a row a method, a column a budget."""
    overall = table[table["kind"].isna()]
    budgets = sorted(overall["budget"].unique())
    shown = Table("method", title="rho: forgotten images / queries", title_justify="left")
    for budget in budgets:
        shown.add_column(f"{budget:.1%}", justify="right")
    for method in overall["method"].unique():
        own = overall[overall["method"] == method].set_index(["group", "budget"])["rho"]
        cells = [
            " / ".join(_number(own.get((group, budget))) for group in ("forget", "query"))
            if ("forget", budget) in own.index
            else ""
            for budget in budgets
        ]
        shown.add_row(escape(method), *cells)
    return shown


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.2f}"

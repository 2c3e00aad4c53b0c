"""``untrain unlearn``: a model of a run without some of its training images, by a cheap method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from untrain.cli import completion
from untrain.cli.options import JSON, RUN
from untrain.cli.output import lines_table, print_json
from untrain.core.printing import Printer, escape
from untrain.core.vocabulary import UNLEARNING


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("unlearn", rich_help_panel="Unlearn")(unlearn)


def _list(asked: bool) -> None:
    if asked:
        from untrain.unlearning.registry import METHODS, summary_of

        lines = [(name, summary_of(name)) for name in METHODS]
        Printer().print(lines_table("Methods of unlearning", lines))
        raise typer.Exit


def unlearn(
    run: Path = RUN,
    ids: Path = typer.Option(
        ...,
        "--ids",
        help="A text file with the id of a training image to forget on each line.",
        show_default=False,
    ),
    method: str = typer.Option(
        UNLEARNING,
        "--method",
        "-m",
        help="Method, with options after a colon (npo:beta=0.2,rate=0.05); --list has all.",
        autocompletion=completion.unlearning_methods,
    ),
    budget: float = typer.Option(
        0.05, "--budget", "-b", help="Share of one training to spend, above 0 and at most 1."
    ),
    model: str = typer.Option(
        "A", help="Model that is to forget: A, another of the run by its id, or a model's folder."
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="New folder for the model (default: in RUN/unlearned)."
    ),
    seed: int | None = typer.Option(
        None, "--seed", help="Decides the order of the data (default: the run's seed)."
    ),
    list_methods: bool = typer.Option(
        False, "--list", callback=_list, is_eager=True, help="List the methods and stop."
    ),
    as_json: bool = JSON,
) -> None:
    """Have a model forget training images without training it again.

    Writes a new model, which serves wherever a model's folder does (untrain attribute --model), a
    record of what was done (unlearned.json), and pictures by both models from the same noise. How
    near a method comes to exact retraining, untrain ladder measures.

    Example: untrain unlearn runs/demo --ids takedown.txt --budget 0.05
    """
    from untrain.core.targets import check_folder_target
    from untrain.runs.find import find_run
    from untrain.runs.inputs import read_lines
    from untrain.runs.run import open_run
    from untrain.runs.unlearned import SHEET, Asked, read_unlearned, unlearn_in_run

    if out is not None:
        check_folder_target(out)
    wanted = read_lines(ids, "image id")
    opened = open_run(find_run(run))
    asked = Asked(wanted, method, budget, seed=seed, named=model, out=out)
    folder = unlearn_in_run(opened, asked)
    record = read_unlearned(folder)
    if as_json:
        print_json({"folder": str(folder), **record})
        return
    console = Printer()
    if record["losses"]:
        console.print(_losses(record))
    spent = record["spent"]
    count = len(record["forget"])
    console.print(
        f"{count} {'image' if count == 1 else 'images'} by {escape(record['method'])}: "
        f"{spent['share']:.2%} of a training in {spent['seconds']:.1f} s. The nearer the loss of "
        "forgotten images comes to that of held-out ones, the more they are as if never seen; "
        "untrain ladder measures it against exact retraining.",
        soft_wrap=True,
    )
    console.print(f"Model: [bold]{escape(str(folder))}[/]", soft_wrap=True)
    console.print(f"Pictures: [bold]{escape(str(folder / SHEET))}[/]", soft_wrap=True)


def _losses(record: dict[str, Any]) -> Table:
    table = Table("pairs", title="Mean training loss", title_justify="left")
    for name in ("looked at", "before", "after"):
        table.add_column(name, justify="right")
    words = {"forget": "to forget", "retained": "retained", "held_out": "held out"}
    for group, row in record["losses"].items():
        cells = (f"{row[name]:.4g}" for name in ("before", "after"))
        table.add_row(words[group], str(row["pairs"]), *cells)
    return table

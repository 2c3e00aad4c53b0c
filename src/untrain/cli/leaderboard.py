"""``untrain leaderboard``: every attributor compared on a bank of random halves."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli import completion
from untrain.cli.options import FEW, JSON, takes_experiment
from untrain.cli.output import print_json
from untrain.cli.run import Read
from untrain.core.printing import Printer, escape


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("leaderboard", rich_help_panel="Compare attributors")(leaderboard)


@takes_experiment(*FEW)
def leaderboard(
    read: Read,
    file: Path,
    k: int = typer.Option(10, "--k", help="Number of top images whose removal is measured."),
    ranking: list[str] = typer.Option(
        [],
        "--ranking",
        help="A further ranking, such as scores:influence.parquet; repeatable.",
        autocompletion=completion.rankings,
    ),
    encoder: list[str] = typer.Option(
        [],
        "--encoder",
        help="A further encoder, for the cosine of its features; repeatable.",
        autocompletion=completion.encoders,
    ),
    candidates: int = typer.Option(
        5000,
        help="Number of images compared with the pictures of each prompt; others rank last.",
    ),
    as_json: bool = JSON,
) -> None:
    """Compare rankings of training images with what models do without those images.

    Needs a finished run and its bank of models trained on random halves of the data (untrain bank).
    Scores captions, each metric, each ranking, your own scores and chance by how well they predict
    the models (LDS), and by the effect of removing the images ranked first. Writes
    results/leaderboard as Parquet, CSV, Markdown and SVG, and updates an existing report.

    Example: untrain leaderboard experiment.yaml --ranking scores:influence.parquet
    """
    from untrain.banks.bank import read_bank
    from untrain.banks.leaderboard import keep_leaderboard
    from untrain.banks.leaderboard import leaderboard as board_of
    from untrain.report.page.rewrite import write_again
    from untrain.report.tables.leaderboard import leaderboard_table
    from untrain.runs.run import Run

    run = Run(read(file))
    bank = read_bank(run.folder)
    with run.lock():
        board = board_of(run, bank, k, ranking, encoder, candidates)
        keep_leaderboard(run, board)
    write_again(run.folder)
    if as_json:
        print_json(board.table.to_dict("records"))
        return
    console = Printer()
    console.print(leaderboard_table(board, console.width))
    path = run.path("results", "leaderboard.md")
    console.print(f"Leaderboard: [bold]{escape(str(path))}[/]", soft_wrap=True)

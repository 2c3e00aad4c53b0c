"""What the command line shows at the end of a run: the answer, and a table to hold it against."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from untrain.report.folder import read_run
from untrain.report.groups import group_rows
from untrain.report.tables import answer, overall_rows, overall_table

COLUMNS = ("Trained without", "k", "effect", "95 % interval", "p", "naive", "naive interval")


def answer_and_table(folder: Path) -> tuple[str, Table]:
    """Return the answer in a sentence or two, and the overall effects by arm."""
    run = read_run(folder)
    table = Table(
        title="How much worse at the pictures, in bits a token",
        caption="effect: between paired models of another seed, at random with and without; "
        "naive: against the model that drew the pictures, which flatters every removal",
        title_justify="left",
        caption_justify="left",
    )
    for column in COLUMNS:
        numeric = column in ("k", "effect", "p", "naive")
        table.add_column(column, justify="right" if numeric else "left")
    for row in overall_rows(overall_table(run.effects)) + group_rows(run.groups):
        table.add_row(*row)
    return answer(run.effects, run.verdicts), table

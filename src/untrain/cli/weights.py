"""``untrain weights``: fit the weights of a ranking to measured effects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from untrain.cli import completion
from untrain.core.printing import Printer, escape, say

if TYPE_CHECKING:
    from untrain.search.rank.weights import Weights

DEFAULT = Path("weights.json")
USEFUL = 0.1  # of the variance of effects, least; weights fitted on noise have about nothing


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("weights", rich_help_panel="Compare attributors")(weights)


def weights(
    runs: list[Path] = typer.Argument(
        help="Folders of finished runs, or their names in ./runs.", autocompletion=completion.runs
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help=f"JSON file to write (default: {DEFAULT})."
    ),
) -> None:
    """Fit weights of the metrics to the measured effects of forget sets.

    Use them with ranking: {method: "fitted:weights.json"} in an experiment file. Before you rely on
    them, test them on runs that they were not fitted to.

    Example: untrain weights runs/seed-1 runs/seed-2 --out weights.json
    """
    from untrain.attribution.fitting import fit_weights
    from untrain.core.targets import check_default_target, check_file_target
    from untrain.runs.examples import read_examples
    from untrain.runs.find import find_run
    from untrain.search.rank.weights import Weights

    def check(sources: Sequence[Path] = ()) -> None:
        if out is None:
            check_default_target(DEFAULT, Weights.load, sources)
        else:
            check_file_target(out, sources)

    check()
    folders = [find_run(run) for run in runs]
    check(folders)
    fitted = fit_weights([read_examples(folder) for folder in folders])
    fitted.save(out or DEFAULT)
    console = Printer()
    console.print(_table(fitted))
    for line in _summary(fitted):
        console.print(escape(line), soft_wrap=True)
    say(f"weights: {out or DEFAULT}")


def _table(fitted: Weights) -> Table:
    table = Table("metric", title="added to the score for each standard deviation nearer")
    table.add_column("weight", justify="right")
    for metric, weight in sorted(fitted.weights.items(), key=lambda item: -item[1]):
        table.add_row(metric, f"{weight:.4f}")
    return table


def _summary(fitted: Weights) -> list[str]:
    about = fitted.about
    quality = about["cross_validation"]
    lines = [
        f"fitted on {about['sets']} sets of {about['prompts']} prompts in "
        f"{len(about['runs'])} runs: {', '.join(run['name'] for run in about['runs'])}",
        f"target: rise of {about['measure']} ({about['unit']}) for each image removed; "
        f"ridge strength {about['ridge']:.3g}",
        f"on prompts left out: R² {quality['r2']:.2f}, rank correlation "
        f"{_number(quality['spearman'])}; ranking fusion: {_number(quality['spearman_of_fusion'])}",
        "rank correlation within "
        + ", ".join(f"{arm} {_number(r)}" for arm, r in quality["spearman_by_arm"].items()),
    ]
    if quality["r2"] < USEFUL:
        lines.append(f"R² below {USEFUL}: these weights predict almost nothing; do not use them")
    for key, words in (("without_weight", "zero weight"), ("left_out", "not in all runs")):
        if about[key]:
            lines.append(f"{words}: {', '.join(about[key])}")
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"

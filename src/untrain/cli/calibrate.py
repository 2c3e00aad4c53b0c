"""``untrain calibrate``: what the scores of an attributor are worth in the unit of the effects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from untrain.cli import completion
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape, say
from untrain.core.vocabulary import ATTRIBUTOR

if TYPE_CHECKING:
    from untrain.attribution.calibrating import Coverage
    from untrain.attribution.calibration import Calibration


DEFAULT = Path("calibration.json")


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("calibrate", rich_help_panel="Compare attributors")(calibrate)


def calibrate(
    runs: list[Path] = typer.Argument(
        None,
        help="Finished runs or runs with a bank: folders, or names in ./runs. Without any, the "
        "file of --out is read and checked.",
        autocompletion=completion.runs,
    ),
    method: str = typer.Option(
        ATTRIBUTOR, "--method", "-m", help="The attributor.", autocompletion=completion.attributors
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help=f"JSON file to write (default: {DEFAULT})."
    ),
    source: str = typer.Option(
        "", help="trial (forget sets; default where there is one) or bank (random halves)."
    ),
    scale: str = typer.Option(
        "", help="linear (through zero) or isotonic; default: chosen by cross-validation."
    ),
    check: list[Path] = typer.Option(
        [],
        help="A run that it was not fitted on, to measure how many effects lie in their "
        "intervals; repeatable.",
        autocompletion=completion.runs,
    ),
    as_json: bool = JSON,
) -> None:
    """Fit what the removal of images costs to the sum of their scores, on measured removals.

    Use it with untrain attribute --calibration FILE on runs of the same recipe that it was not
    fitted on.

    Example: untrain calibrate runs/seed-1 runs/seed-2 --method dtrak --check runs/seed-3
    """
    from untrain.api.calibration import calibrate as fit
    from untrain.api.calibration import coverage_on
    from untrain.attribution.calibration import Calibration
    from untrain.core.errors import InputError
    from untrain.core.targets import check_default_target, check_file_target
    from untrain.runs.find import find_run

    file = out or DEFAULT
    check_file_target(file)
    folders = [find_run(run) for run in runs or []]
    checked = [find_run(run) for run in check]
    if not folders and not checked:
        raise InputError("name runs to fit a calibration on, or with --check one to check it on")
    if folders:
        sources = [*folders, *checked]
        if out is None:
            check_default_target(file, Calibration.load, sources)
        check_file_target(file, sources)
        found = fit(folders, method, source or None, scale or None)
        found.save(file)
    else:
        found = Calibration.load(file)
    covered = coverage_on(found, checked, source or None) if checked else None
    if as_json:
        print_json({**vars(found), "coverage": vars(covered) if covered else None})
        return
    console = Printer()
    for line in _summary(found):
        console.print(escape(line), soft_wrap=True)
    if covered is not None:
        console.print(_coverage(covered, found.unit, checked))
    if folders:
        say(f"calibration: {file}")


def _summary(found: Calibration) -> list[str]:
    about = found.about
    names = ", ".join(run["name"] for run in about["runs"])
    lines = [
        f"{found.method}, fitted on {about['sets']} sets of {about['prompts']} prompts in "
        f"{len(about['runs'])} runs ({', '.join(_sources(about['runs']))}): {names}",
        f"scale: {found.scale} ({about['chosen_by']})",
    ]
    for scale, quality in about["cross_validation"].items():
        if scale != "folds":
            order = quality["spearman"]
            lines.append(
                f"on prompts left out, {scale}: off by {quality['mean_absolute_error']:.3g} "
                f"{found.unit} on average, rank correlation "
                f"{'–' if order is None else f'{order:.2f}'}"
            )
    lines.append(
        f"intervals ({found.confidence:.0%}): ± {found.reach:.2f} × "
        f"√({found.absolute:.3g}² + ({found.relative:.0%} of the effect)²)"
    )
    return lines


def _sources(runs: Sequence[dict]) -> list[str]:
    return sorted({source for run in runs for source in run["sources"]})


def _coverage(found: Coverage, unit: str, checked: Sequence[Path]) -> Table:
    names = ", ".join(folder.name for folder in checked)
    table = Table("", title=f"checked on {escape(names)}", title_justify="left")
    table.add_column("sets", justify="right")
    table.add_column(f"inside ({found.confidence:.0%} expected)", justify="right")
    for arm, (sets, inside) in found.by_arm.items():
        table.add_row(arm, str(sets), f"{inside:.0%}")
    table.add_row("all, prompts alike", str(found.sets), f"{found.inside:.0%}", style="bold")
    order = "–" if found.spearman is None else f"{found.spearman:.2f}"
    table.caption = (
        f"off by {found.mean_error:.3g} {escape(unit)} on average; measured on predicted: slope "
        f"{found.slope:.2f}, rank correlation {order}"
    )
    table.caption_justify = "left"
    return table

"""``untrain demo``, ``run``, ``plan`` and one command for each stage."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli.options import ALL, FEW, JSON, takes_experiment
from untrain.cli.output import lines_table, print_json
from untrain.core.printing import Printer, escape, say
from untrain.runs.stage_names import STAGE_HELP

if TYPE_CHECKING:
    from untrain.settings.config import Config

Read = Callable[[Path], "Config"]
STAGES = "Stages, one at a time (see also: untrain run FILE --until STAGE)"
TAKEN = ("compare", "report")  # they look at runs
PRESETS = ("demo", "micro")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file except the stages."""
    app.command("plan", rich_help_panel="Start")(plan)
    app.command("run", rich_help_panel="Start")(run)
    app.command("demo", rich_help_panel="Start")(demo)


def add_stages(app: typer.Typer) -> None:
    """Add a command for each stage whose name no other command has."""
    for name, says in STAGE_HELP.items():
        if name not in TAKEN:
            told = f"{says[0].upper()}{says[1:]}."
            app.command(name, rich_help_panel=STAGES, help=_help(name, told), short_help=told)(
                _stage_command(name)
            )


PicturesOption = typer.Option(
    True,
    "--pictures/--no-pictures",
    help="Show pictures in the terminal and write them into the run folder, as they come.",
)


@takes_experiment(*FEW, file=False)
def demo(
    read: Read,
    preset: str = typer.Option(
        "demo",
        help="demo (minutes) or micro (seconds).",
        autocompletion=lambda incomplete: [p for p in PRESETS if p.startswith(incomplete)],
    ),
    pictures: bool = PicturesOption,
) -> None:
    """Run the whole experiment on pictures that untrain renders itself.

    Trains 9 small models on 1,728 rendered product pictures and shows which training images the
    generated pictures depend on. Needs no data and no network; takes minutes on two cores. The
    first pictures are shown within a minute: in a terminal with 24-bit colour as they are,
    otherwise the paths of files.

    Example: untrain demo --seed 3 --set design.models=16
    """
    from untrain.core.errors import InputError, did_you_mean

    if preset not in PRESETS:
        raise InputError(f"unknown demo preset '{preset}'{did_you_mean(preset, PRESETS)}")
    with as_file(files("untrain.settings") / f"{preset}.yaml") as path:
        _run(read(path), pictures=pictures)


UntilOption = typer.Option(
    "report",
    "--until",
    metavar="STAGE",
    help="Stop after this stage, such as retrieve.",
    autocompletion=lambda incomplete: [s for s in STAGE_HELP if s.startswith(incomplete)],
)
AgainOption = typer.Option(False, "--again", help="Repeat the last stage even if it is done.")


@takes_experiment(*ALL)
def run(
    read: Read,
    file: Path,
    until: str = UntilOption,
    again: bool = AgainOption,
    pictures: bool = PicturesOption,
) -> None:
    """Run an experiment; run it again to continue after an interruption.

    Stages that are done and whose settings have not changed are skipped, and trained models are
    reused. Messages are kept in log.txt of the run folder.

    Example: untrain run experiment.yaml --set generations=3
    """
    _run(read(file), until, again, pictures)


@takes_experiment(*FEW, "workers", "threads")
def plan(
    read: Read,
    file: Path,
    noise: float | None = typer.Option(
        None,
        "--noise",
        help="Noise of one query between paired models, in the run's unit, for the power.",
    ),
    as_json: bool = JSON,
) -> None:
    """Estimate what a run will cost and which effects it can detect.

    Models to train, minutes, memory and disk; and the smallest effects detected with 80 % power.

    Example: untrain plan experiment.yaml
    """
    from untrain.experiment.plan import plan as plan_of

    found = plan_of(read(file), noise)
    if as_json:
        print_json(found.to_dict())
    else:
        Printer().print(lines_table(f"Plan of {found.name}", found.lines()))


def _help(name: str, told: str) -> str:
    return (
        f"{told}\n\nRuns earlier stages first where they are not done."
        f"\n\nExample: untrain {name} experiment.yaml"
    )


def _stage_command(stage: str) -> Callable[..., None]:
    @takes_experiment(*ALL)
    def command(read: Read, file: Path, again: bool = AgainOption) -> None:
        _run(read(file), stage, again)

    return command


def _run(
    config: Config, until: str = "report", again: bool = False, pictures: bool = False
) -> None:
    """Run up to a stage; after a whole run, print the answer and its main table."""
    from untrain.experiment.pipeline import run_stages
    from untrain.experiment.telling import Telling
    from untrain.runs.run import Run

    run = Run(config)
    folder = run_stages(run, until, again, Telling(run, pictures))
    if until != "report":
        say(f"{until}: done, in {folder}")
        return
    from untrain.report.tables.terminal import answer_and_table

    console = Printer()
    answer, rows = answer_and_table(folder, console.width)
    console.print()
    console.print(answer, markup=False)
    console.print(rows)
    console.print(f"More in the terminal: untrain show {escape(str(folder))}", soft_wrap=True)
    console.print(f"Report: [bold]{escape(str(folder / 'report.html'))}[/]", soft_wrap=True)

"""``untrain demo``, ``run``, ``plan`` and one command for each stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

FileArgument = typer.Argument(help="The experiment file (YAML).", show_default=False)
SeedOption = typer.Option(None, "--seed", help="Replaces the file's seed.")
NameOption = typer.Option(None, "--name", help="Replaces the file's name: the run folder.")
RunsOption = typer.Option(None, "--runs", help="Folder for run folders (default: ./runs).")
SetOption = typer.Option(
    [], "--set", help="Replaces one setting, such as data.path=photos; may be given often."
)
EngineOption = typer.Option(
    None, "--engine", help="What trains models: local, or ray (pip install untrain[ray])."
)
AddressOption = typer.Option(
    None, "--address", help="The Ray cluster: auto, host:port or ray://host:port."
)
WorkersOption = typer.Option(None, "--workers", help="How many models to train at once.")
StrictOption = typer.Option(False, "--strict", help="One bad image is an error.")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("demo")(demo)
    app.command("run")(run)
    app.command("plan")(plan)
    from untrain.experiment.names import STAGE_HELP

    for name, says in STAGE_HELP.items():
        app.command(name, rich_help_panel="Stages, one at a time", help=_stage_help(name, says))(
            _stage_command(name)
        )


def demo(
    preset: str = typer.Option("demo", help="demo (minutes) or micro (seconds)."),
    seed: int | None = SeedOption,
    name: str | None = NameOption,
    runs: Path | None = RunsOption,
) -> None:
    """Run the whole chain on pictures that untrain renders itself.

    Trains 9 small models on 1,728 rendered product pictures and shows which training images its
    pictures lean on, and what happens without them. Needs nothing; takes minutes on two cores.

    Example: untrain demo --seed 3
    """
    from untrain.errors import InputError, did_you_mean

    presets = ("demo", "micro")
    if preset not in presets:
        raise InputError(f"unknown demo preset '{preset}'{did_you_mean(preset, presets)}")
    with as_file(files("untrain.experiment") / f"{preset}.yaml") as path:
        _run(path, "report", {"seed": seed, "name": name, "runs": runs})


def run(
    file: Path = FileArgument,
    seed: int | None = SeedOption,
    name: str | None = NameOption,
    runs: Path | None = RunsOption,
    settings: list[str] = SetOption,
    engine: str | None = EngineOption,
    address: str | None = AddressOption,
    workers: int | None = WorkersOption,
    strict: bool = StrictOption,
) -> None:
    """Run an experiment from its file; run it again to continue after a stop.

    Stages that are done and whose settings did not change are skipped; models are found again by
    what they were trained on.

    Example: untrain run examples/fashion-small.yaml
    """
    where = engine_of(engine, address)
    changes = {"seed": seed, "name": name, "runs": runs, "engine": where, "workers": workers}
    _run(file, "report", changes, settings, strict)


def plan(
    file: Path = FileArgument,
    name: str | None = NameOption,
    runs: Path | None = RunsOption,
    settings: list[str] = SetOption,
    noise: float | None = typer.Option(
        None, "--noise", help="Noise of a query between paired models, bits a token, for the power."
    ),
) -> None:
    """Say what a run would cost, and what it could find, before it starts.

    Trainings, minutes, disk; and the smallest effects that the trial finds with 80 %.

    Example: untrain plan experiment.yaml
    """
    from untrain.experiment.config import load_config
    from untrain.experiment.plan import plan as lines_of

    config = load_config(file, settings, name=name, runs=runs)
    table = Table(title=f"Plan of {config.name}", show_header=False, title_justify="left")
    for label, value in lines_of(config, noise):
        table.add_row(label, escape(value))
    Console().print(table)


def _stage_help(name: str, says: str) -> str:
    return (
        f"{says[0].upper()}{says[1:]} (and run what must come before, where it is not done)."
        f"\n\nExample: untrain {name} experiment.yaml"
    )


def _stage_command(stage: str) -> Callable[..., None]:
    def command(
        file: Path = FileArgument,
        seed: int | None = SeedOption,
        name: str | None = NameOption,
        runs: Path | None = RunsOption,
        settings: list[str] = SetOption,
        engine: str | None = EngineOption,
        address: str | None = AddressOption,
        workers: int | None = WorkersOption,
        strict: bool = StrictOption,
        again: bool = typer.Option(False, "--again", help="Run this stage even if it is done."),
    ) -> None:
        where = engine_of(engine, address)
        changes = {"seed": seed, "name": name, "runs": runs, "engine": where, "workers": workers}
        _run(file, stage, changes, settings, strict, again)

    return command


def engine_of(name: str | None, address: str | None) -> str | dict[str, str] | None:
    """Return the setting ``engine`` that two options stand for; an address alone means Ray."""
    return {"name": name or "ray", "address": address} if address else name


def _run(
    file: Path,
    until: str,
    changes: dict[str, Any],
    settings: Sequence[str] = (),
    strict: bool = False,
    again: bool = False,
) -> None:
    from untrain.experiment.config import load_config
    from untrain.experiment.pipeline import run_stages
    from untrain.experiment.run import Run

    config = load_config(file, settings, **changes)
    if strict:
        config = config.model_copy(update={"data": config.data.model_copy(update={"strict": True})})
    folder = run_stages(Run(config), until, again)
    if until == "report":
        _show(folder)
    else:
        typer.echo(f"{until}: done, in {folder}")


def _show(folder: Path) -> None:
    """Print the answer and the table that a newcomer understands."""
    from untrain.report.terminal import answer_and_table

    console = Console()
    answer, rows = answer_and_table(folder)
    console.print()
    console.print(answer, markup=False)
    console.print(rows)
    console.print(f"Report: [bold]{escape(str(folder / 'report.html'))}[/]", soft_wrap=True)

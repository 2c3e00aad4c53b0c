"""``untrain init``: a commented experiment file to begin with, and prompts for it."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from untrain.cli import completion
from untrain.cli.output import print_json
from untrain.core.printing import say

if TYPE_CHECKING:
    from untrain.catalogs import Catalog

INFLUENCE, REMOVAL, GROUPS, LIKENESS = "influence", "removal", "groups", "likeness"
WANTS = {
    INFLUENCE: "which training images a picture depends on, and whether that is more than chance",
    REMOVAL: "what is different without images that I list",
    GROUPS: "whose images a model learnt from (a brand, an artist, a member …)",
    LIKENESS: "only which images are most like a picture (no model is trained)",
}
KNOW_HELP = "; ".join(f"{name}, {words}" for name, words in WANTS.items())
MINUTES = 60.0
RENDERED = "rendered"
IDS = "remove.txt"


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("init", rich_help_panel="Start")(init)


def _wants(incomplete: str) -> list[str]:
    return [name for name in WANTS if name.startswith(incomplete)]


def init(
    path: Path = typer.Argument(
        Path("experiment.yaml"),
        help="File to write, or a folder in which to write experiment.yaml.",
    ),
    data: Path | None = typer.Option(
        None, "--data", help="Your images: a folder, a table, a zip or shards."
    ),
    format: str = typer.Option(
        "",
        help="Format of the data: folder, fashion, csv, …; guessed from --data if left out.",
        autocompletion=completion.formats,
    ),
    know: str = typer.Option(
        "",
        "--know",
        metavar="|".join(WANTS),
        help=f"What you want to know: {KNOW_HELP}. Default: {INFLUENCE}.",
        autocompletion=_wants,
    ),
    minutes: float | None = typer.Option(
        None,
        min=1.0,
        help="How long it may take: preset, passes and models are chosen to fit, by steps that "
        "are timed here. Default: the settings' own defaults.",
    ),
    name: str = typer.Option("", "--name", help="Name of the run; default: that of the file."),
    generator: Path | None = typer.Option(
        None,
        "--generator",
        metavar="FILE.py",
        help="Write a generator of your own to begin with, in PyTorch, to this file; nothing else.",
    ),
    schema: bool = typer.Option(
        False, "--schema", help="Print the JSON schema of experiment files and write nothing."
    ),
) -> None:
    """Write an experiment file that lists and explains every setting.

    Without arguments, in a terminal, it asks three questions: where the pictures are, what you want
    to know, how long it may take. With data of your own it also writes prompts.txt, drawn from
    their captions, to be edited. A JSON schema is written beside the file, with which editors
    complete and check the settings. Existing files are not replaced.

    Example: untrain init mine.yaml --data photos/ --minutes 60

    Example: untrain init --generator my_model.py
    """
    from untrain.core.errors import InputError, did_you_mean
    from untrain.settings import template

    if generator is not None:
        _write_generator(generator)
        return
    if schema:
        print_json(template.schema())
        return
    given = bool(data or format or know or minutes or name or path != Path("experiment.yaml"))
    if not given and _at_a_terminal():
        data, know, minutes = _ask()
    if know and know not in WANTS:
        raise InputError(f"unknown --know '{know}'{did_you_mean(know, WANTS)}")
    _write(path, data, format, know or INFLUENCE, minutes, name)


def _write_generator(path: Path) -> None:
    """Write the template of a generator where there is no file yet."""
    from importlib import resources

    from untrain.core.errors import InputError
    from untrain.core.files import write_text
    from untrain.core.targets import check_file_target

    if path.suffix != ".py":
        raise InputError(f"cannot write {path}: expected the name of a Python file (.py)")
    if check_file_target(path).exists():
        raise InputError(f"{path} exists: give another name; files of yours are not replaced")
    text = resources.files("untrain.generators").joinpath("template.py").read_text("utf-8")
    write_text(path, text.replace("THIS_FILE.py", path.name))
    say(f"written: {path}, a model in PyTorch to change into your own")
    say(f"1. python {path}    checks that models of it can be compared")
    say(f"2. in the experiment file: generator: {{name: '{path.name}:MyModel'}}")


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask() -> tuple[Path | None, str, float]:
    """Ask three questions; Enter takes the default."""
    say("Three questions; Enter takes what stands in brackets.\n")
    while True:
        told = typer.prompt("Where are your pictures? A folder, a table, a zip", RENDERED)
        data = None if told == RENDERED else Path(told.strip("'\" ")).expanduser()
        if data is None or data.exists():
            break
        say(f"{data} does not exist.")
    say("\nWhat do you want to know?")
    for number, words in enumerate(WANTS.values(), 1):
        say(f"  {number}  {words}")
    know = list(WANTS)[int(_number("Answer", 1, 1, len(WANTS))) - 1]
    if know == LIKENESS:
        return data, know, MINUTES
    say("")
    return data, know, _number("How long may it take, in minutes?", MINUTES, 1, math.inf)


def _number(words: str, default: float, low: float, high: float) -> float:
    """Ask for a number until it is one of those that can be."""
    while True:
        found = float(typer.prompt(words, f"{default:g}", type=float))
        if low <= found <= high:
            return found
        say(f"Give {low:g} or more." if math.isinf(high) else f"Give {low:g} to {high:g}.")


def _write(
    path: Path, data: Path | None, format: str, know: str, minutes: float | None, name: str
) -> None:
    """Write the files, and print what to do next."""
    from untrain.catalogs import guess_format
    from untrain.core.errors import InputError
    from untrain.settings import template

    kind = format or (guess_format(data) if data and data.exists() else "")
    if know == LIKENESS:
        where = data or RENDERED
        _steps([f"untrain trace picture.png --catalog {where}", f"untrain serve --catalog {where}"])
        return
    if data is None:
        chosen = _wanted(know, {})
        if minutes is not None and kind in ("", RENDERED):
            chosen |= _fitting(minutes)
        kind = kind or RENDERED
        written = template.write_template(path, kind, name, None, chosen)
        say(f"written: {written}, and its schema for editors")
        first = [] if kind == RENDERED else ["set data.path and prompts.file in it to your own"]
        _steps([*first, *_after(know, written, None)])
        return
    if not data.exists():
        raise InputError(f"{data} does not exist; expected the folder or zip of your images")
    from untrain.experiment.planned import in_words
    from untrain.quickstart.experiments import write_experiment
    from untrain.quickstart.looking import has_captions, open_pictures

    target = template.check_template_target(path)
    try:
        catalog, settings = open_pictures(data, kind, {})
    except InputError as error:  # a table whose columns must be named first, say
        written = template.write_template(path, kind, name, data, _wanted(know, {}))
        say(f"written: {written}, and its schema for editors")
        say(f"no prompts yet: {error}")
        _steps(["set what is missing under data, and prompts.file", *_after(know, written, None)])
        return
    if not has_captions(catalog):
        raise InputError(
            f"{data}: these pictures have no captions, and without them a model cannot be asked "
            "for anything; write each into a file beside its picture (photo.jpg, photo.txt). "
            f"Without captions, `untrain quickstart {data}` says what can be said"
        )
    had = target.with_name("prompts.txt").exists()
    settings = settings | {"path": template.beside(target, data)}
    size = write_experiment(
        target, catalog, settings, minutes, further=_wanted(know, settings), name=name
    )
    say(f"written: {target}, and its schema for editors")
    kept = "kept as it was" if had else "drawn from your captions: edit it, a prompt a line"
    say(f"prompts: {target.with_name('prompts.txt')}, {kept}")
    if size and minutes and size.seconds > 60 * minutes:
        say(
            f"note: even the smallest trial takes about {in_words(size.seconds)} here, as busy as "
            "this machine is now"
        )
    _steps(_after(know, target, catalog))


def _wanted(know: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a question needs, by dotted name."""
    if know == REMOVAL:
        arms = ["targeted", "random_uniform", "random_candidate", "ids"]
        return {"removal.arms": arms, "removal.ids": IDS}
    return {}


def _fitting(minutes: float) -> dict[str, Any]:
    """Return how many models of the demo fit into a time."""
    from untrain.quickstart.experiments import models_of_demo

    return {"design.models": models_of_demo(minutes)}


def _after(know: str, file: Path, catalog: Catalog | None) -> list[str]:
    """Return what to do next."""
    steps = [f"untrain plan {file}    estimates the cost, and what can be found"]
    if know == REMOVAL:
        words = f"write the ids of those images into {file.with_name(IDS)}, one a line"
        return [words, *steps, f"untrain run {file}"]
    if know == GROUPS:
        columns = list(map(str, catalog.attributes.columns)) if catalog is not None else []
        column = columns[0] if columns else "COLUMN"
        steps += [f"untrain bank {file} --by {column}", f"untrain shares {file}"]
        known = f"; columns of your data: {', '.join(columns)}" if columns else ""
        steps[1] += f"    models that whole groups have left{known}"
        return steps
    return [*steps, f"untrain run {file}"]


def _steps(steps: list[str]) -> None:
    for number, step in enumerate(steps, 1):
        say(f"{number}. {step}")

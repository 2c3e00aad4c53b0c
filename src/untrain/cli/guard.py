"""``untrain guard``: the copy test as a gate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from untrain.cli import completion
from untrain.cli.data_options import DataOptions, takes_data
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape, say_json

if TYPE_CHECKING:
    from untrain.api.guard import Checked, Guard

VARIANT = "copy_or_variant"
TOO_NEAR = 1
"""The exit code if any picture is too near; 2 stands for bad input."""


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("guard", rich_help_panel="Start")(guard)


@takes_data()
def guard(
    images: list[Path] = typer.Argument(
        None, help="Pictures to check, in any format that Pillow reads."
    ),
    run: Path | None = typer.Option(
        None, "--run", help="Guard the training images of this run.", autocompletion=completion.runs
    ),
    catalog: str = typer.Option(
        "", "--catalog", "-c", help="Or these images: a folder, a file, or 'rendered'."
    ),
    *,
    data: DataOptions,
    mode: str = typer.Option(
        "fast", help="fast: whole pictures, also mirrored; thorough: parts and turned ones too."
    ),
    threshold: float | None = typer.Option(
        None, help="Greatest distance that is too near, 0 to 1; default: as it was measured with."
    ),
    variants: bool = typer.Option(
        False, "--variants", help="Also hold back what is a copy except for its colours or a print."
    ),
    lines: bool = typer.Option(
        False,
        "--lines",
        help="Stay open: read paths from standard input, answer each with a line of JSON.",
    ),
    calibrate: bool = typer.Option(
        True, help="State how often other pictures are flagged, measured once on these data."
    ),
    as_json: bool = JSON,
) -> None:
    """Say whether pictures are too near to a training image to be let out.

    The exit code is 0 if none is, 1 if one is, and 2 for bad input. The first call prepares the
    images and measures how often the guard errs on them; both are kept in the cache.

    Example: untrain guard picture.png --run runs/demo
    """
    from untrain.api.guard import Guard
    from untrain.core.errors import InputError
    from untrain.runs.find import find_run

    if bool(catalog) == (run is not None):
        raise InputError("give the training images once: either --run or --catalog")
    if bool(images) == lines:
        raise InputError(
            "give pictures to check, or --lines to read their paths from standard input, not both"
        )
    source: Any = find_run(run) if run is not None else None
    if source is None:
        source = data.named(catalog)
    opened = Guard(source, mode, variants, threshold, calibrate)
    if lines:
        near = _serve(opened)
    else:
        checked = [opened.check(path, str(path)) for path in images]
        near = any(each.too_near for each in checked)
        if as_json:
            pictures = [each.to_dict() for each in checked]
            print_json({**opened.to_dict(), "too_near": near, "pictures": pictures})
        else:
            _print(opened, checked)
    if near:
        raise typer.Exit(TOO_NEAR)


def _serve(opened: Guard) -> bool:
    """Answer each path on standard input with a line of JSON; a path in error does not end it."""
    from untrain.core.errors import InputError

    near = False
    say_json({"ready": True, **opened.to_dict()}, None)
    for line in sys.stdin:
        path = line.rstrip("\r\n")
        if not path:
            continue
        try:
            checked = opened.check(path, path)
            near, answer = near or checked.too_near, checked.to_dict()
        except InputError as error:
            answer = {"name": path, "error": str(error)}
        say_json(answer, None)
        sys.stdout.flush()
    return near


def _print(opened: Guard, checked: list[Checked]) -> None:
    from untrain.report.edited import finds

    console = Printer()
    for each in checked:
        told = f"distance {each.distance:.3f}, threshold {each.threshold:.3f}"
        if each.too_near:
            how = f" ({', '.join(each.kinds)})" if each.kinds else ""
            more = f", and to {len(each.copies) - 1} others" if len(each.copies) > 1 else ""
            line = f"[bold red]too near[/] to {escape(each.nearest)}{how}{more}; {told}"
        else:
            close = ", but for its colours or a print the same" * (each.verdict == VARIANT)
            line = f"no copy found; nearest {escape(each.nearest)}{close}, {told}"
        console.print(f"{escape(each.name)}: {line}", soft_wrap=True)
    console.print(f"{escape(in_words(opened))}", soft_wrap=True)
    console.print(escape(finds(opened.mode)), soft_wrap=True)
    if not opened.tells_apart:
        console.print(
            "[yellow]note:[/] these images are so alike that being flagged says little",
            soft_wrap=True,
        )


def in_words(opened: Guard) -> str:
    """Say what was looked for, and how often other pictures are flagged."""
    parts = "; parts of images need --mode thorough" if opened.mode == "fast" else ""
    text = f"{len(opened.catalog):,} images of {opened.catalog.name}, mode {opened.mode}{parts}"
    wrong = opened.false_positives
    if not wrong or wrong["rate"] is None:
        return f"{text}; how often other pictures are flagged was not measured"
    return (
        f"{text}; of {wrong['pictures']:,} {wrong['of']}, {wrong['flagged']:,} are flagged "
        f"({wrong['rate']:.1%}, 95 % interval {wrong['low']:.1%} to {wrong['high']:.1%})"
    )

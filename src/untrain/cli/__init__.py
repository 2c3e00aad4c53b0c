"""The command line: one file a group of sub-commands, no logic of its own."""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import typer

from untrain.cli import (
    attribute,
    bank,
    benchmark,
    cache,
    calibrate,
    compare,
    data,
    doctor,
    export,
    guard,
    index,
    init,
    ladder,
    leaderboard,
    quickstart,
    report,
    run,
    serve,
    shares,
    show,
    sign,
    status,
    takedown,
    trace,
    trust,
    unlearn,
    verify,
    weights,
)
from untrain.cli.group import Main
from untrain.cli.stops import STOPPED, stopped, stopping_on_signals
from untrain.core import commands
from untrain.core.cache import deletion_told
from untrain.core.errors import UntrainError, machine_fault
from untrain.core.printing import Printer, escape, say
from untrain.core.progress import console
from untrain.core.trust import trust_all

NOT_WRITABLE = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)

ABOUT = (
    "Which training images is a generated picture made of, and what happens when they are gone?\n\n"
    "untrain trains a text-to-image model, draws pictures, finds the training images behind them, "
    "trains again without them, and measures, against random removals, whether they mattered."
)
START = """
To start:

  [bold]untrain demo[/]          the whole chain on pictures that it renders itself (minutes)
  [bold]untrain quickstart FOLDER[/]  a first answer about your own pictures in five minutes
  [bold]untrain init[/]          an experiment file for your own data; it asks three questions
  [bold]untrain run FILE[/]      run it; [bold]untrain plan FILE[/] estimates the cost

The training images nearest to a picture, without any training:

  [bold]untrain trace PICTURE --catalog FOLDER[/]

All commands: [bold]untrain --help[/]. Help on one: [bold]untrain run --help[/].
"""

app = typer.Typer(
    name="untrain",
    cls=Main,
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"{ABOUT}\n\nExample: untrain demo",
)
quickstart.add_to(app)
init.add_to(app)
run.add_to(app)
trace.add_to(app)
serve.add_to(app)
attribute.add_to(app)
guard.add_to(app)
takedown.add_to(app)
verify.add_to(app)
for room in (status, show, report, compare, sign):
    room.add_to(app)
for room in (bank, shares, leaderboard, weights, calibrate):
    room.add_to(app)
unlearn.add_to(app)
ladder.add_to(app)
app.add_typer(benchmark.app, name="benchmark", rich_help_panel="Compare attributors")
export.add_to(app)
app.add_typer(data.app, name="data", rich_help_panel="Data, files and this machine")
index.add_to(app)
app.add_typer(cache.app, name="cache", rich_help_panel="Data, files and this machine")
doctor.add_to(app)
trust.add_to(app)
run.add_stages(app)


def _version(asked: bool) -> None:
    if asked:
        from untrain import __version__

        say(f"untrain {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print only errors."),
    verbose: bool = typer.Option(
        False,
        "--verbose",
        "-v",
        help="Keep finished progress bars and show the tracebacks of errors.",
    ),
    trusting: bool = typer.Option(
        False,
        "--trust",
        help="Run code of its own that a run folder names; otherwise see `untrain trust`.",
    ),
    version: bool = typer.Option(
        False, "--version", "-V", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    console.quiet = quiet
    console.verbose = verbose
    trust_all(trusting)
    if context.invoked_subcommand is None:
        Printer().print(f"{ABOUT}\n{START}", end="")


def main() -> None:
    """Run the command line; errors of the user end it with 2, others with 1, Ctrl-C with 130.

    Signals that end a process (SIGTERM, SIGHUP) stop it as Ctrl-C does, and end it with 128 more
    than their number.
    """
    # Each process trains one model; nested threads would only compete for cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    console.verbose = False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has not all letters shows "?"
    commands.typed(sys.argv[1:])
    try:
        with stopping_on_signals():
            _run()
    finally:
        commands.typed(())


def _run() -> NoReturn:
    try:
        # Typer turns Ctrl-C into a code, and returns codes where it does not end the process.
        code = app(prog_name="untrain", standalone_mode=False)
        if code == STOPPED:
            raise KeyboardInterrupt
        sys.stdout.flush()  # here, where a full disk can still be told of
        sys.exit(code)
    except UntrainError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail(*stopped())
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        _write_no_more()
        sys.exit(1)
    except Exception as error:
        name = getattr(error, "filename", None)
        if told := machine_fault(error, Path(name).parent if isinstance(name, str) else None):
            if name is None:  # it may be standard output that cannot be written
                _write_no_more()
            _fail(told, 1)
        if told := deletion_told(error):
            _fail(told, 1)
        if isinstance(error, NOT_WRITABLE):
            _fail(f"cannot write {error.filename}: {error.strerror}", 2)
        show_itself = getattr(error, "show", None)  # as errors of usage can
        if show_itself is None:
            _fail(_unexpected(error), 1)
        usage = io.StringIO()
        show_itself(usage)
        say(usage.getvalue().rstrip("\n"), err=True)
        sys.exit(getattr(error, "exit_code", 2))


def _write_no_more() -> None:
    """Let what is still to be printed go nowhere, so that Python ends quietly."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unexpected(error: Exception) -> str:
    """Say what to do about a bug, after its traceback where --verbose asks for it."""
    if console.verbose:
        say("".join(traceback.format_exception(error)), err=True)
    logged = getattr(error, "__notes__", [])
    where = logged[-1] if logged else "run it again with --verbose for the traceback"
    return (
        f"this should not have happened: {type(error).__name__}: {error}\n"
        f"{where[0].upper()}{where[1:]}. Please report it with the traceback, the command, "
        "and what `untrain doctor` prints."
    )


def _fail(message: str, code: int) -> NoReturn:
    console.quiet = False
    # Further lines stand back, so that none of them looks like another message.
    words = "\n  ".join(escape(line) for line in message.split("\n"))
    console.print(f"[bold red]untrain:[/] {words}", soft_wrap=True)
    sys.exit(code)

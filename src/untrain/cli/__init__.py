"""The command line: one file a group of sub-commands, no logic of its own."""

from __future__ import annotations

import os
import sys

import typer
from rich.markup import escape

from untrain.cli import bank, cache, data, export, leaderboard, run, trace, weights
from untrain.errors import UntrainError, is_disk_full
from untrain.progress import console

NOT_WRITABLE = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)

STOPPED = 130  # by Ctrl-C, as shells have it

app = typer.Typer(
    name="untrain",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "Which training images is a generated picture made of, and what happens when they are "
        "gone?\n\n"
        "untrain trains a text-to-image model, draws pictures, finds the training images behind "
        "them, takes those out, trains again, and says with a control whether it mattered.\n\n"
        "[bold]To start:[/]\n\n"
        "  untrain demo                     the whole chain on pictures it renders itself\n\n"
        "  untrain plan experiment.yaml     what a run would cost, before it starts\n\n"
        "  untrain run experiment.yaml      your own data\n\n"
        "  untrain trace picture.png --catalog photos/    the images behind a picture; no training"
    ),
)
run.add_to(app)
trace.add_to(app)
app.add_typer(data.app, name="data")
bank.add_to(app)
leaderboard.add_to(app)
weights.add_to(app)
export.add_to(app)
app.add_typer(cache.app, name="cache")


@app.callback()
def _options(
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say only what went wrong."),
) -> None:
    console.quiet = quiet


def main() -> None:
    """Run the command line; errors of the user end it with 2, others of ours with 1, Ctrl-C 130."""
    # One model a process is the unit of parallel work; nested threads would only fight over cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        # Typer turns Ctrl-C into a code, and returns codes where it does not end the process.
        code = app(standalone_mode=False)
        if code == STOPPED:
            raise KeyboardInterrupt
        sys.exit(code)
    except UntrainError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped; run the same command again to continue where it was", STOPPED)
    except Exception as error:
        if is_disk_full(error):
            _fail("the disk is full: free some space and run the same command again", 1)
        if isinstance(error, NOT_WRITABLE):
            _fail(f"cannot write {error.filename}: {error.strerror}", 2)
        show = getattr(error, "show", None)  # click's own usage errors know how to show themselves
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))


def _fail(message: str, code: int) -> None:
    console.quiet = False
    console.print(f"[bold red]untrain:[/] {escape(message)}", soft_wrap=True)
    sys.exit(code)

"""``untrain trust``: let the code run that a run folder names."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli.options import RUN
from untrain.core.printing import Printer


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("trust", rich_help_panel="Data, files and this machine")(trust)


def trust(
    run: Path = RUN,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
) -> None:
    """Let the code run that a run folder names: a generator, an encoder, a Ray cluster.

    A run folder is data and may be anybody's, so that what it names runs only where it ran before,
    or after this command. It shows what would run, and asks. When the code changes, it asks again.

    Example: untrain trust runs/from-a-colleague
    """

    from untrain.api.trusting import code_of
    from untrain.api.trusting import trust as remember

    out = Printer(soft_wrap=True)
    code = code_of(run)
    if not code:
        out.print("Nothing to trust: this run names no code of its own that has not run here.")
        return
    for name, place in code.items():
        out.print(f"  {name}  ({place or 'not found here'})", markup=False)
    if not yes:
        typer.confirm("Let it run on this machine?", abort=True)
    remember(run)
    out.print("Trusted, until it changes.")

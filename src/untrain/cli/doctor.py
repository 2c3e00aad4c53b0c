"""``untrain doctor``: what is installed, and whether it works."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from untrain.cli import completion
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape

SIGNS = {"ok": ("✓", "green"), "note": ("–", "yellow"), "broken": ("✗", "bold red")}


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("doctor", rich_help_panel="Data, files and this machine")(doctor)


def doctor(
    encoder: str = typer.Option(
        "",
        "--encoder",
        help="Also try this encoder: a name, a model's folder or hub id, or module:function.",
        autocompletion=completion.encoders,
    ),
    runs: Path = typer.Option(Path("runs"), help="Folder that holds the runs."),
    as_json: bool = JSON,
) -> None:
    """Check the installation: packages, threads, memory, disk, GPU and encoders.

    Nothing is downloaded. The exit code is 1 if something is broken.

    Example: untrain doctor --encoder google/mobilenet_v2_1.0_224
    """
    from untrain.doctor import BROKEN, examine

    found = examine(encoder, runs)
    broken = [finding for finding in found if finding.state == BROKEN]
    if as_json:
        print_json({"ok": not broken, "findings": [finding.to_dict() for finding in found]})
        raise typer.Exit(bool(broken))
    console = Printer()
    for group in dict.fromkeys(finding.group for finding in found):
        console.print(f"[bold]{group}[/]")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
        for finding in found:
            if finding.group == group:
                remedy = f": {finding.remedy}" if finding.remedy else ""
                told = escape(f"{finding.found}{remedy}")
                table.add_row(Text(*SIGNS[finding.state]), escape(finding.name), told)
        console.print(table)
    verdict = f"[bold red]{len(broken)} broken[/]" if broken else "[green]all works[/]"
    console.print(verdict)
    raise typer.Exit(bool(broken))

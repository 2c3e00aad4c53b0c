"""``untrain data``: look at a catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

app = typer.Typer(no_args_is_help=True, help="Look at an image–caption data set.")


@app.callback()
def _group() -> None:
    """Keep ``inspect`` a sub-command of its own."""


@app.command()
def inspect(
    path: Path | None = typer.Argument(None, help="Folder or zip; none for 'rendered'."),
    format: str = typer.Option(
        "", help="rendered, folder or fashion; guessed from the path if left out."
    ),
    sheet: Path | None = typer.Option(None, help="Write a contact sheet (PNG) here."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    strict: bool = typer.Option(False, "--strict", help="One bad image is an error."),
) -> None:
    """Count images, sizes, captions, unreadable files, empty captions and exact duplicates.

    Example: untrain data inspect photos/ --sheet sheet.png
    """
    from untrain.catalogs import inspect as summarise
    from untrain.catalogs import inspect_sheet, load_catalog
    from untrain.errors import InputError

    name = format or _guess(path)
    if name != "rendered" and path is None:
        raise InputError(f"a catalogue of format '{name}' needs a path")
    if name == "rendered" and path is not None:
        raise InputError("the rendered catalogue takes no path")
    options = {} if path is None else {"path": path}
    catalog = load_catalog(name, strict=strict, **options)
    summary = summarise(catalog)
    if as_json:
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        _print(summary)
    if sheet:
        inspect_sheet(catalog, sheet)
        typer.echo(f"contact sheet: {sheet}")


def _guess(path: Path | None) -> str:
    if path is None:
        return "rendered"
    is_fashion = path.suffix == ".zip" or any(path.glob("**/styles.csv"))
    return "fashion" if is_fashion else "folder"


def _print(summary: dict, indent: int = 0) -> None:
    console = Console(highlight=False)
    for key, value in summary.items():
        label = " " * indent + escape(str(key)).replace("_", " ")
        if value in ({}, []):
            console.print(f"{label}: none")
        elif isinstance(value, dict):
            console.print(f"[bold]{label}[/]")
            _print(value, indent + 2)
        elif isinstance(value, list):
            shown = ", ".join(map(str, value[:8]))
            more = f", … ({len(value)})" if len(value) > 8 else ""
            console.print(f"{label}: {escape(shown)}{more}", soft_wrap=True)
        else:
            console.print(f"{label}: {escape(str(value))}", soft_wrap=True)

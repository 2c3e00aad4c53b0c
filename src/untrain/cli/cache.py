"""``untrain cache``: list and prune what runs share."""

from __future__ import annotations

import time

import typer
from rich.table import Table

from untrain.cli.group import Group
from untrain.cli.options import JSON
from untrain.core.cache import KINDS, Entry, cache_folder, entries, remove
from untrain.core.errors import InputError, did_you_mean
from untrain.core.printing import Printer, escape, say, say_json

DAY = 86_400

app = typer.Typer(
    cls=Group,
    invoke_without_command=True,
    help="Show and prune what runs share: features, catalogues, indexes.\n\nExample: untrain cache",
)


@app.callback()
def _show_by_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show(as_json=False)


@app.command()
def show(as_json: bool = JSON) -> None:
    """List the entries of the cache: kind, images, size and when each was last used.

    Example: untrain cache show --json
    """
    found = entries()
    if as_json:
        rows = [
            {
                "kind": entry.kind,
                "name": entry.folder.name,
                "description": entry.description,
                "rows": entry.rows,
                "bytes": entry.size,
                "last_used": entry.used,
            }
            for entry in found
        ]
        say_json({"folder": str(cache_folder()), "entries": rows})
        return
    console = Printer()
    if found:
        table = Table("kind", "name", "description", box=None, header_style="bold", pad_edge=False)
        for column in ("images", "size", "last used"):
            table.add_column(column, justify="right", no_wrap=True)
        for entry in found:
            images = "" if entry.rows is None else f"{entry.rows:,}"
            name, words = escape(entry.folder.name[:12]), escape(entry.description)
            table.add_row(entry.kind, name, words, images, _megabytes(entry.size), _ago(entry.used))
        console.print(table)
    total = _megabytes(sum(entry.size for entry in found))
    console.print(f"{_count(found)}, {total} in {escape(str(cache_folder()))}", soft_wrap=True)


@app.command()
def prune(
    everything: bool = typer.Option(False, "--all", help="Delete everything in the cache."),
    older_than: float | None = typer.Option(
        None,
        "--older-than",
        min=0,
        metavar="DAYS",
        help="Delete entries not used for this many days.",
    ),
    kind: str | None = typer.Option(
        None, help=f"Delete entries of this kind only: {', '.join(KINDS)}."
    ),
) -> None:
    """Delete entries of the cache; those needed again are recomputed.

    Example: untrain cache prune --older-than 30 --kind features
    """
    if not everything and older_than is None and kind is None:
        raise InputError("nothing to prune was named; give --older-than DAYS, --kind KIND or --all")
    if kind is not None and kind not in KINDS:
        raise InputError(f"unknown kind '{kind}'{did_you_mean(kind, KINDS)}")
    before = time.time() - DAY * (older_than or 0)
    gone = []
    for entry in entries((kind,) if kind else KINDS):
        if entry.used <= before:
            try:
                remove(entry)
            except InputError as error:  # somebody has put a file of their own into it
                say(f"kept: {error}", err=True)
            else:
                gone.append(entry)
    say(f"{_count(gone)}, {_megabytes(sum(entry.size for entry in gone))} freed")


def _count(found: list[Entry]) -> str:
    return "1 entry" if len(found) == 1 else f"{len(found)} entries"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _ago(used: float) -> str:
    days = int((time.time() - used) / DAY)
    return "today" if days < 1 else "yesterday" if days == 1 else f"{days:,} days ago"

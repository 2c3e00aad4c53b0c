"""What commands print: JSON that any program reads, and tables that fit the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from untrain.core.printing import escape, say_json


def print_json(value: Any) -> None:
    """Print JSON on standard output; what is not a finite number becomes null."""
    say_json(_plain(value))


def lines_table(title: str, lines: Iterable[tuple[str, str]]) -> Table:
    """Return labels and what belongs to them, as a table."""
    table = Table(title=escape(title), show_header=False, title_justify="left")
    for label, value in lines:
        table.add_row(escape(label), escape(value))
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)

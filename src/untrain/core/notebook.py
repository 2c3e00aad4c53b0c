"""What objects show in a notebook: a line, facts, a table; everything escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from untrain.core.text import html_text, visible

if TYPE_CHECKING:
    import pandas as pd

LEFT = ' style="text-align: left; vertical-align: top"'
ROWS = 40  # of a table that are shown


def line_html(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{html_text(text)}</p>" if text else ""


def code_html(text: str) -> str:
    """Return text escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html_text(text))


def facts_html(facts: Iterable[tuple[str, str]]) -> str:
    """Return terms and what they are, a row each."""
    rows = "".join(
        f"<tr><th{LEFT}>{html_text(term)}</th><td{LEFT}>{html_text(what)}</td></tr>"
        for term, what in facts
    )
    return f"<table><tbody>{rows}</tbody></table>"


def notes_html(notes: Sequence[str]) -> str:
    """Return what a reader must know before believing what is shown."""
    items = "".join(f"<li>{code_html(note)}</li>" for note in notes)
    if not items:
        return ""
    return f"<details open><summary>Before believing it</summary><ul>{items}</ul></details>"


def table_html(table: pd.DataFrame, columns: Sequence[str] = ()) -> str:
    """Return a table, or some of its columns; numbers with four figures."""
    shown = table[list(columns)] if columns else table
    return visible(
        shown.to_html(
            index=False,
            border=0,
            justify="left",
            max_rows=ROWS,
            float_format=lambda value: f"{value:.4g}",
            na_rep="",
        )
    )

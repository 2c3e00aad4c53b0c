"""The marked numbers of a takedown's page, held against its record."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from untrain.report.takedown import shown, value_at


def marked_numbers(page: str) -> list[tuple[str, str, str]]:
    """Return of each marked number its place in the record, its format and what is shown."""
    reader = _Numbers()
    reader.feed(page)
    return reader.found


class _Numbers(HTMLParser):
    """Collects the marked numbers of a page: place in the record, format, what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self._open: tuple[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "data":
            of = dict(attrs)
            self._open = (of.get("data-of") or "", of.get("data-as") or "")

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.found.append((*self._open, data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "data":
            self._open = None


def agrees(record: Mapping[str, Any], of: str, how: str, text: str) -> bool:
    """Tell whether a number of the page is the one that the record has at that place."""
    try:
        return shown(value_at(record, of), how) == text
    except (KeyError, IndexError, TypeError, ValueError):
        return False

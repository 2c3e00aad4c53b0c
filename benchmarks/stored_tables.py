"""Tables of pages that are made of stored data, or held against it (see ``results.py``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DATA = DOCS / "results"
MINUS = "−"
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")

Row = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """Tables that are made whole of stored data: ``make`` returns Markdown with one or several."""

    make: Callable[[], str]

    def faults(self, text: str) -> Iterator[str]:
        """Yield what of them does not stand in a page."""
        for table in tables_in(self.make()):
            found = find(text, table[0])
            if found is None:
                yield f"has no table that begins with {table[0][:60]}"
            elif found != table:
                row = next((r for r in table if r not in found), "its rows are in another order")
                yield f"is out of step, first: {row[:100]}"

    def put(self, text: str) -> str:
        """Return a page with these tables in their places."""
        for table in tables_in(self.make()):
            if (found := find(text, table[0])) is not None:
                text = text.replace("\n".join(found), "\n".join(table))
        return text


@dataclass(frozen=True)
class Checked:
    """A table whose numbers must be those of the rows of a CSV.

    Attributes
    ----------
    begins : str
        What its first line begins with.
    data : str
        A CSV in docs/results.
    cells : dict of str to function
        By heading, what a row of the data must have there.
    key : function, optional
        From a row of the data to the first cell of its row on the page, where that is given by it.
    """

    begins: str
    data: str
    cells: dict[str, Callable[[Row], str]]
    key: Callable[[Row], str] | None = None

    def faults(self, text: str) -> Iterator[str]:
        """Yield each row of the page that no row of the data is like."""
        found = find(text, self.begins)
        if found is None:
            yield f"has no table that begins with {self.begins}"
            return
        heads = cells_of(found[0])
        if lost := [head for head in self.cells if head not in heads]:
            yield f"has a table without the column {lost[0]}"
            return
        rows = pd.read_csv(DATA / self.data).to_dict("records")
        known = [self._wanted(row) for row in rows]
        for line in found[2:]:
            cells = dict(zip(heads, cells_of(line), strict=True))
            own = tuple(plain(cells[head]) for head in self.cells)
            if self.key is not None:
                own = (plain(cells[heads[0]]), *own)
            if not any(all(map(alike, own, each)) for each in known):
                yield f"says what {self.data} does not: {line[:100]}"

    def put(self, text: str) -> str:
        """Return the page as it is: labels are a person's."""
        return text

    def _wanted(self, row: Row) -> tuple[str, ...]:
        numbers = tuple(plain(cell(row)) for cell in self.cells.values())
        return numbers if self.key is None else (plain(self.key(row)), *numbers)


@dataclass(frozen=True)
class Page:
    """A page, or a part of one.

    Attributes
    ----------
    name : str
    page : str
        From the root of the repository.
    minutes : str
        What the commands take.
    commands : tuple of str
        That measure anew and store.
    tables : tuple of Written or Checked
        None: unstored.
    note : str
    """

    name: str
    page: str
    minutes: str
    commands: tuple[str, ...]
    tables: tuple[Written | Checked, ...] = ()
    note: str = ""

    @property
    def text(self) -> str:
        """What stands there."""
        return (ROOT / self.page).read_text(encoding="utf-8")

    @property
    def kind(self) -> str:
        """What can be done with it."""
        if not self.tables:
            return "unstored"
        whole = all(isinstance(table, Written) for table in self.tables)
        return "written" if whole else "checked"


def tables_in(text: str) -> list[list[str]]:
    """Return the tables of a text in Markdown, as lines."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append(line)
        inside = line.startswith("|")
    return found


def find(text: str, begins: str) -> list[str] | None:
    """Return the table of a page whose first line begins so, as lines."""
    return next((table for table in tables_in(text) if table[0].startswith(begins)), None)


def cells_of(line: str) -> list[str]:
    """Return the cells of a row.

    Examples
    --------
    >>> cells_of("| a | 1.0 |")
    ['a', '1.0']
    """
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def plain(cell: str) -> str:
    """Return a cell without marks of emphasis and code, and with a minus of one kind."""
    return cell.replace("*", "").replace("`", "").replace(MINUS, "-").strip()


def alike(first: str, second: str) -> bool:
    """Tell whether two cells are one, if their last digits were rounded twice.

    Examples
    --------
    >>> alike("98.7 %", "98.8 %"), alike("98.7 %", "98.9 %"), alike("3 (2 to 4)", "3 (2 to 4)")
    (True, False, True)
    """
    if first == second:
        return True
    one, other = (NUMBER.split(cell) for cell in (first, second))
    numbers, others = (NUMBER.findall(cell) for cell in (first, second))
    if one != other or len(numbers) != len(others):
        return False
    steps = [10.0 ** -len(number.partition(".")[2]) for number in numbers]
    pairs = zip(numbers, others, steps, strict=True)
    return all(abs(float(a) - float(b)) < 1.01 * step for a, b, step in pairs)

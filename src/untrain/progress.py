"""One way to show progress: bars on a terminal, plain lines elsewhere, silence when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")
Advance = Callable[[int], None]

console = Console(stderr=True, highlight=False)


@contextmanager
def bar(label: str, total: int) -> Iterator[Advance]:
    """Show a progress bar for ``total`` units of work; yield the function that advances it."""
    if console.quiet:
        yield lambda n: None
        return
    if not console.is_terminal:
        done, shown = 0, 0

        def advance_plainly(n: int) -> None:
            nonlocal done, shown
            done += n
            quarter = 4 * done // max(total, 1)
            if quarter > shown:
                shown = quarter
                console.print(f"  {label}: {done}/{total}")

        yield advance_plainly
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda n: progress.advance(task, n)


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` behind a progress bar."""
    with bar(label, total) as advance:
        for item in items:
            yield item
            advance(1)

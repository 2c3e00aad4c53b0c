"""One way to show progress: bars on a terminal, plain lines elsewhere, silence when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
Advance = Callable[[int], None]

console = Console(stderr=True, highlight=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_rate(task.finished_speed or task.speed or 0), style="progress.percentage")


def _rate(speed: float) -> str:
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s" if speed else ""


@contextmanager
def bar(label: str, total: int) -> Iterator[Advance]:
    """Show a progress bar for ``total`` units of work; yield the function that advances it."""
    if console.quiet:
        yield lambda n: None
        return
    if not console.is_terminal:
        done, shown, start = 0, 0, time.monotonic()

        def advance_plainly(n: int) -> None:
            nonlocal done, shown
            done += n
            quarter = 4 * done // max(total, 1)
            if quarter > shown:
                shown = quarter
                rate = _rate(done / max(time.monotonic() - start, 1e-3))
                console.print(f"  {label}: {done}/{total}, {rate}")

        yield advance_plainly
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        _Rate(),
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

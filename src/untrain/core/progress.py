"""One way to show progress: bars on a terminal, plain lines elsewhere, silence when asked.

What is said is also written to the log of the run that is at work, if one is (`log_to`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from untrain.core.errors import UntrainError
from untrain.core.printing import Printer
from untrain.core.text import visible

T = TypeVar("T")
Advance = Callable[[int], None]
Watch = Callable[[str, int, int], None]
"""Told of the label of a bar, how far it is, and its end."""

_watching: ContextVar[Watch | None] = ContextVar("watching", default=None)

BRIEF, LONG = 2.0, 60.0  # seconds between two plain lines, at least and about at most


class Said(Printer):
    """Standard error for people; what is printed there goes to the log of the run, too.

    Attributes
    ----------
    verbose : bool
        Finished bars stay on the terminal.
    """

    verbose = False

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, and log what is text: `rich` also prints what moves the cursor for its bars."""
        super().print(*objects, **options)
        if _log is not None and objects and isinstance(objects[0], str):
            plain = options.get("markup") is False
            _log.write(objects[0] if plain else Text.from_markup(objects[0]).plain)


class _Log:
    """Appends to a file, from when another file is there that says that there is a run."""

    def __init__(self, path: Path, witness: Path) -> None:
        self.path = path
        self._witness = witness
        self._waiting: list[str] = []

    def write(self, text: str, now: bool = False) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        lines = visible(text).split("\n")
        self._waiting += [f"{stamp}  {line}".rstrip() for line in lines if line.strip()]
        if now or self._witness.exists():
            # A full disk has its own message; the log must not stand before it.
            with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in self._waiting)
                self._waiting.clear()


console = Said(stderr=True)
_log: _Log | None = None


@contextmanager
def log_to(path: Path, witness: Path) -> Iterator[None]:
    """Append what is said in the block to a file, with the time, and how the block ended.

    An unexpected error is written with its traceback, and told where that is (a note of it).

    Parameters
    ----------
    path : Path
        The log.
    witness : Path
        Before this file exists nothing is written: what is refused leaves no log behind.
    """
    global _log
    before, _log = _log, _Log(path, witness)
    _log.write(f"process {os.getpid()}: {' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}")
    try:
        yield
    except UntrainError as error:
        _log.write(f"error: {error}")
        raise
    except KeyboardInterrupt:
        _log.write("stopped")
        raise
    except Exception as error:
        _log.write("".join(traceback.format_exception(error)), now=True)
        error.add_note(f"the traceback is in {path}")
        raise
    finally:
        _log = before


def note(text: str) -> None:
    """Write something to the log of the run that is at work, if one is; with --verbose say it."""
    if console.verbose and text:
        console.print(text, markup=False, soft_wrap=True)
    elif _log is not None:
        _log.write(text)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_rate(task.finished_speed or task.speed or 0), style="progress.percentage")


def _rate(speed: float) -> str:
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s" if speed else ""


class _Lines:
    """A line a quarter of the work, and one a minute, with rate and time left; one of the whole."""

    def __init__(self, label: str, total: int, say: Callable[[str], None]) -> None:
        self.label, self.total, self.say = label, total, say
        self.done = self.quarter = 0
        self.start = self.last = time.monotonic()

    def advance(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        quarter = 4 * self.done // max(self.total, 1)
        since = now - self.last
        if (quarter > self.quarter and (quarter == 4 or since > BRIEF)) or since > LONG:
            self.quarter, self.last = quarter, now
            spent = max(now - self.start, 1e-3)
            rate = self.done / spent
            rest = self.total - self.done
            ahead = f", {clock(rest / rate)} left" if rest > 0 and rate else f" in {clock(spent)}"
            self.say(f"  {self.label}: {self.done}/{self.total}, {_rate(rate)}{ahead}")


def clock(seconds: float) -> str:
    """Return a time as a log shows it: 12 s, 3:05 min, 1:02 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 100 else f"{minutes // 60}:{minutes % 60:02} h"


def _bars_move() -> bool:
    """Tell whether bars can be drawn over: on a terminal, or in a notebook that has widgets."""
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return console.is_interactive and console.file.isatty()


@contextmanager
def watched(by: Watch) -> Iterator[None]:
    """Tell of every bar that this thread shows in the block."""
    token = _watching.set(by)
    try:
        yield
    finally:
        _watching.reset(token)


@contextmanager
def bar(label: str, total: int) -> Iterator[Advance]:
    """Show a progress bar for ``total`` units of work; yield the function that advances it."""
    watch, done = _watching.get(), 0
    with _bar(label, total) as shown:

        def advance(n: int) -> None:
            nonlocal done
            done += n
            shown(n)
            if watch:
                watch(label, done, total)

        yield advance


@contextmanager
def _bar(label: str, total: int) -> Iterator[Advance]:
    if console.quiet or not _bars_move():
        yield _Lines(label, total, lambda line: console.print(line, markup=False)).advance
        return
    lines = _Lines(label, total, lambda line: _log.write(line) if _log else None)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None if console.width < 100 else 40),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(
        *columns, console=console, transient=not console.verbose, expand=console.width < 100
    ) as progress:
        task = progress.add_task(label, total=total)

        def advance(n: int) -> None:
            progress.advance(task, n)
            lines.advance(n)

        yield advance


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` behind a progress bar."""
    with bar(label, total) as advance:
        for item in items:
            yield item
            advance(1)

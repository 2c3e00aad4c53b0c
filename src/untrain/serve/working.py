"""Long work, one after another, each in a process of its own that can be stopped."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from untrain.core.errors import InputError

WAITING = 20
"""That may wait at once, with what is being worked on."""
PATIENCE = 5.0
"""Seconds that work has to end after it was told to."""


class Line:
    """Work that waits in a line; the first is being done.

    Parameters
    ----------
    work : callable
        Of the module that it is in, so that another process finds it.
    """

    def __init__(self, work: Callable[..., None]) -> None:
        self._work, self._one = work, threading.Lock()
        self._names: list[str] = []
        self._process: BaseProcess | None = None
        self._arguments: dict[str, tuple[str, ...]] = {}
        self._closed = False

    def before(self, name: str) -> int | None:
        """Return how many are done before this one; None if it does not wait at all."""
        names = list(self._names)
        return names.index(name) if name in names else None

    @property
    def full(self) -> bool:
        """Whether no more can wait."""
        return len(self._names) >= WAITING

    def add(self, name: str, arguments: tuple[str, ...], prepare: Callable[[], None]) -> None:
        """Do some work when what is before it is done; ``prepare`` is called at once.

        Raises
        ------
        InputError
            It waits already, or the line is full.
        """
        with self._one:
            if name in self._names:
                raise InputError(f"{name} is being worked on")
            if self.full:
                raise InputError(f"{WAITING} requests are being worked on: try when some are done")
            prepare()
            self._names.append(name)
            self._arguments[name] = arguments
            self._next()

    def settle(self, name: str) -> None:
        """Wait until a process has ended that said that it is done."""
        process = self._process
        if process is not None and self.before(name) == 0:
            self._ended(name, process)

    def stop(self, name: str) -> None:
        """Stop some work, or have it not begin."""
        with self._one:
            process = self._process if self.before(name) == 0 else None
            if process is None and name in self._names:
                self._names.remove(name)
        if process is not None:
            process.terminate()
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
            self._ended(name, process)

    def close(self) -> None:
        """Stop all work, the last first, so that none begins."""
        self._closed = True
        for name in reversed(self._names.copy()):
            self.stop(name)

    def _next(self) -> None:
        """Begin with the first, if nothing is being done; the lock is held."""
        if self._process is not None or not self._names or self._closed:
            return
        name = self._names[0]
        spawn = multiprocessing.get_context("spawn")
        process = spawn.Process(target=self._work, args=self._arguments[name], daemon=False)
        process.start()
        self._process = process
        following = threading.Thread(target=self._ended, args=(name, process), daemon=True)
        following.start()

    def _ended(self, name: str, process: BaseProcess) -> None:
        """Wait for the end of a process, then begin with the next; once, whoever waits."""
        process.join()
        with self._one:
            if self._process is process:
                self._process = None
                self._names.remove(name)
                self._next()

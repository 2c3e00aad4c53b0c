"""Lanes: how much work of a kind is done at once, and how many may wait for it.

Without them forty people who ask would hold all threads, and nobody could turn a page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread
from starlette.requests import Request

T = TypeVar("T")


class Busy(Exception):
    """More wait than a lane takes."""


class Gone(Exception):
    """Whoever asked did not wait for the answer."""


class Lane:
    """Work in threads: some at once, some more that wait, the rest is refused.

    Parameters
    ----------
    at_once : int
        Threads.
    waiting : int
        How many may wait for one of them.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once, self._most, self._inside = at_once, at_once + waiting, 0
        self._turn: anyio.Semaphore | None = None
        self._threads: anyio.CapacityLimiter | None = None

    @property
    def inside(self) -> int:
        """How much work is done or waits."""
        return self._inside

    async def run(self, work: Callable[[], T], request: Request | None = None) -> T:
        """Return what work returns, in its turn.

        Parameters
        ----------
        request : Request, optional
            Whose work it is: not begun if it was given up meanwhile. Its body has been read, or it
            has none.

        Raises
        ------
        Busy, Gone
        """
        if self._inside >= self._most:
            raise Busy
        if self._turn is None or self._threads is None:  # they belong to a loop that runs
            self._turn = anyio.Semaphore(self._at_once)
            self._threads = anyio.CapacityLimiter(self._at_once)
        self._inside += 1
        try:
            async with self._turn:
                if request is not None and await request.is_disconnected():
                    raise Gone
                return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)
        finally:
            self._inside -= 1

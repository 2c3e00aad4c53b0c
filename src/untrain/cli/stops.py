"""Signals that end a command: it stops as after Ctrl-C, with a line that says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = 130  # by Ctrl-C, as shells have it
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""From `kill`, a batch system or the system's shutdown; from a terminal that was closed."""

_received: list[int] = []


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn signals that end a process into `KeyboardInterrupt`, so that the block tidies up.

    One that is ignored already, as after ``nohup``, stays so.
    """
    _received.clear()
    ours = []
    if threading.current_thread() is threading.main_thread():
        ours = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def stopped() -> tuple[str, int]:
    """Return the closing line and the exit code of a command that was stopped."""
    why = f" ({signal.Signals(_received[0]).name})" if _received else ""
    code = 128 + _received[0] if _received else STOPPED
    return f"stopped{why}; run the same command again to continue from here", code


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt

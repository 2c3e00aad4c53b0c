"""How busy the machine is with the work of others: whoever measures a speed has to know."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
IDLE = (3, 4)  # of the numbers in its first line: idle, and waiting for a disk
GUEST = 8  # from here on what is counted under user already
UNCERTAIN = 0.05  # seconds: processors are counted in hundredths, each by itself


def seconds_of_processors(stat: Path = STAT) -> float | None:
    """Return how long all processors together have computed since the machine was started.

    Time that a virtual machine waited for its host counts, too. None where the system does not
    say (all but Linux).
    """
    try:
        words = stat.read_text(encoding="ascii").partition("\n")[0].split()[1:]
        ticks = sum(int(n) for at, n in enumerate(words[:GUEST]) if at not in IDLE)
        return ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None


def load_average() -> float | None:
    """Return how many threads wanted a processor over the last minute, one's own among them."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):  # Windows has none
        return None


@dataclass(frozen=True)
class Clocks:
    """What a measurement reads; tests give others.

    Attributes
    ----------
    wall, own, machine : callable
        Seconds that have passed, that this process has computed, and that all processors have.
    waiting : callable
        The load average, where ``machine`` gives None.
    """

    wall: Callable[[], float] = time.perf_counter
    own: Callable[[], float] = time.process_time
    machine: Callable[[], float | None] = seconds_of_processors
    waiting: Callable[[], float | None] = load_average

    def now(self) -> Moment:
        """Return what they show."""
        return Moment(self.wall(), self.own(), self.machine())

    def others_since(self, start: Moment) -> float:
        """Return how many processors others kept busy on average since a moment; 0 if unknown."""
        end = self.now()
        wall = max(end.wall - start.wall, 1e-9)
        own = end.own - start.own
        if start.machine is not None and end.machine is not None:
            busy = end.machine - start.machine
            if busy > own / 2:  # some containers show a file that stands still
                return max(0.0, (busy - own - UNCERTAIN) / wall)
        return max(0.0, (self.waiting() or 0.0) - own / wall)


@dataclass(frozen=True)
class Moment:
    """What `Clocks` showed: seconds."""

    wall: float
    own: float
    machine: float | None

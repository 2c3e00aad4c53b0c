"""What every benchmark shares: median seconds, peak memory, and one line of output a measurement.

Seconds differ between machines and with what else runs on them: compare figures of one run only.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of ``work`` over ``repeats`` calls, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def peak_memory() -> tuple[float, float]:
    """Return the most memory held so far, MiB: by this process, and by the largest ended child.

    It never falls, so it belongs to all that ran before, not to the last line alone; and on Linux
    a child counts at least what its parent held when it was started.
    """
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own, children = (
        resource.getrusage(who).ru_maxrss / unit
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own, children


def memory() -> str:
    """Return peak memory in words."""
    own, children = peak_memory()
    return f"peak {own:6.0f} MiB" + (f" (largest child {children:.0f})" if children else "")


def report(what: str, took: float, items: float, unit: str, note: str = "") -> None:
    """Print one line: seconds, items, items a second, a note, peak memory."""
    rate = items / took
    decimals = 0 if rate >= 100 else 2
    print(
        f"{what:<30} {took:9.4f} s for {items:9.0f} {unit:<8} {rate:12,.{decimals}f}/s | "
        f"{note + ' | ' if note else ''}{memory()}",
        flush=True,
    )

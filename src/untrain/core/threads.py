"""How many threads there are to use, and how they wait for each other.

torch computes with OpenMP, whose threads by default spin between two parallel loops: they keep
their core busy while they do nothing. Next to another computation, threads that spin keep those
that work off the cores, and every loop waits for its slowest thread. Threads that sleep at once
wake slowly, which costs a small model by itself much of its speed. So they spin for a moment and
then sleep (figures in docs/performance.md, by `benchmarks/bench_side_by_side.py`). How long a turn
takes depends on the processor. OpenMP reads these variables once, when torch is
loaded, so ``untrain/__init__.py`` imports this module first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

WAITING = {
    "GOMP_SPINCOUNT": "500",  # GNU OpenMP, which torch for Linux brings: turns before sleeping
    "KMP_BLOCKTIME": "0",  # LLVM's and Intel's: milliseconds
}
"""Environment variables by which threads soon sleep while they wait."""

POLICY = "OMP_WAIT_POLICY"
"""The standard's own variable, coarser: whoever sets it, or one of the others, is obeyed."""

CGROUP = Path("/sys/fs/cgroup/cpu.max")
"""The share of time that a container gets: microseconds of ``quota period``, or ``max period``."""


def sleep_while_waiting() -> None:
    """Have OpenMP's threads soon sleep between loops, here and in processes started from here."""
    if POLICY not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)


def cores(quota: Path = CGROUP) -> int:
    """Return how many cores this process may use: by its affinity, and by a container's limit."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    try:
        time, period = quota.read_text(encoding="ascii").split()
        return max(1, min(allowed, round(int(time) / int(period))))
    except (OSError, ValueError):  # no container, no limit, or another way of saying it
        return allowed


def default_threads() -> int:
    """Return how many threads a computation by itself gets: torch's choice, at most `cores`.

    It does not follow what else runs at the moment, since the number of threads decides rounding.
    """
    import torch

    return min(torch.get_num_threads(), cores())


@contextlib.contextmanager
def threads_set(threads: int) -> Iterator[None]:
    """Have torch use so many threads for a while."""
    import torch

    before = torch.get_num_threads()
    if threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads != before:
            torch.set_num_threads(before)


def one_thread_a_product() -> contextlib.AbstractContextManager[object]:
    """Have NumPy's matrix products use one thread for a while: for work that has its own threads.

    Its threads meet at every product. Beside other work, where one of them has to wait for its
    core, small products take twenty times as long on two threads as on one.
    """
    return _libraries().limit(limits=1, user_api="blas")


@cache
def _libraries() -> ThreadpoolController:
    """Return what limits the threads of the loaded libraries; finding them takes a while."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

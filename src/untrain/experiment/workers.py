"""Training several models at once: one single-threaded process a core."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from untrain.errors import UntrainError
from untrain.progress import bar

_counter: Any = None

Job = Callable[..., float]


def default_workers() -> int:
    """Return how many models to train at once: one a core, or one where there is a GPU."""
    from untrain.generators.hardware import device

    return 1 if device().type == "cuda" else max(1, len(os.sched_getaffinity(0)))


def run_jobs(job: Job, arguments: Sequence[tuple], workers: int, label: str, work: int) -> None:
    """Run ``job(*arguments[i])`` for every i in spawned processes of one thread each.

    Single-threaded processes side by side train more models an hour than one process with all
    the threads, and one thread makes training repeatable to the bit. A job reports its progress
    through `report`; ``work`` is the total. The first failure ends the others and is raised.
    """
    if not arguments:
        return
    context = mp.get_context("spawn")
    counter = context.Value("q", 0)
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(arguments)),
        mp_context=context,
        initializer=_start,
        initargs=(counter, os.getpid()),
    )
    try:
        pending: set[Future] = {pool.submit(job, *a) for a in arguments}
        with bar(label, work) as advance:
            shown = 0
            while pending:
                done, pending = wait(pending, timeout=0.3, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                now = counter.value
                advance(now - shown)
                shown = now
    except BrokenProcessPool:
        raise UntrainError(
            "a training process died (out of memory?); run the same command again to continue, "
            "with fewer workers if it happens again"
        ) from None
    finally:
        for process in list((pool._processes or {}).values()):
            if pool._pending_work_items or not _idle(pool):
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _idle(pool: ProcessPoolExecutor) -> bool:
    return not pool._pending_work_items


def report(n: int) -> None:
    """Tell the parent that ``n`` more units of work are done."""
    with _counter.get_lock():
        _counter.value += n


def _start(counter: Any, parent: int) -> None:
    """Prepare a worker: one thread, deaf to Ctrl-C (the parent ends it), gone with its parent."""
    global _counter
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    import torch

    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

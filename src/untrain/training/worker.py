"""Training several models at once: one single-threaded process per core.

Not by joblib: workers of loky 3.6, its back end, were still training twelve seconds after their
parent was killed (SIGKILL), and a job cannot report progress. Ours notice within a second that
their parent is gone, ignore Ctrl-C, which the parent handles, and share a counter.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from untrain.core.errors import UntrainError
from untrain.core.progress import bar, console, note
from untrain.core.threads import cores
from untrain.training.hearing import NO_MEMORY, heard_in, kept_aside, words_of

Job = Callable[..., object]


def _nowhere(n: int) -> None:
    """Ignore a report of progress."""


_advance: Callable[[int], None] = _nowhere  # where `report` goes in this process


def default_workers() -> int:
    """Return how many models to train at once: one per core, or one if there is a GPU."""
    from untrain.core.hardware import device

    if device().type == "cuda":
        return 1
    return cores()


def run_jobs(
    job: Job, arguments: Sequence[tuple], workers: int, threads: int, label: str, work: int
) -> None:
    """Run ``job(*arguments[i])`` for every i, in spawned processes where there are several.

    Single-threaded processes side by side train more models per hour than one process with
    all the threads. A job reports its progress through `report`; ``work`` is the total. The first
    failure stops the others and is raised.
    """
    if not arguments:
        return
    if workers == 1 or len(arguments) == 1:
        _run_here(job, arguments, threads, label, work)
    else:
        _run_in_processes(job, arguments, workers, threads, label, work)


def _run_here(job: Job, arguments: Sequence[tuple], threads: int, label: str, work: int) -> None:
    global _advance
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with bar(label, work) as _advance:
            for each in arguments:
                job(*each)
    finally:
        torch.set_num_threads(before)


def _run_in_processes(
    job: Job, arguments: Sequence[tuple], workers: int, threads: int, label: str, work: int
) -> None:
    with _held_back(signal.SIGHUP):  # a terminal that closes must not end the tracker before us
        resource_tracker.ensure_running()
    context = mp.get_context("spawn")
    counter = context.Value("q", 0)
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(arguments)),
        mp_context=context,
        initializer=_start,
        initargs=(counter, os.getpid(), threads),
    )
    started: list[BaseProcess] = []
    with kept_aside() as said:
        try:
            # The workers, started here, ignore Ctrl-C too: the parent ends them.
            with _held_back(signal.SIGINT), _without_main(), heard_in(said):
                pending: set[Future] = {pool.submit(job, *a) for a in arguments}
            started = list((pool._processes or {}).values())
            with bar(label, work) as advance:
                shown = 0
                while pending:
                    done, pending = wait(pending, timeout=0.3, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    now = counter.value
                    advance(now - shown)
                    shown = now
        except BaseException as error:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            # Its thread asks for exit codes as well.
            pool.shutdown(wait=True, cancel_futures=True)
            words = words_of(said)
            note(words)
            if isinstance(error, BrokenProcessPool):
                raise UntrainError(
                    f"a training process {_end_of(started, words)}; run the same command again to "
                    "continue, with fewer workers if it happens again"
                ) from None
            raise
        pool.shutdown(wait=True)
        if words := words_of(said):
            console.print(words, markup=False, soft_wrap=True)


def _end_of(processes: Iterable[BaseProcess], said: str = "") -> str:
    """Return what one of some processes died of; the others were then ended by `SIGTERM`.

    ``said`` is what they printed.
    """
    if NO_MEMORY.search(said):
        return "ran out of memory"
    codes = [process.exitcode for process in processes]
    died = [code for code in codes if code not in (None, 0, -signal.SIGTERM)]
    if not died or died[0] == -signal.SIGKILL:
        return "was killed (out of memory?)"
    if died[0] > 0:
        return f"ended with exit code {died[0]}"
    if died[0] == -signal.SIGABRT:  # as C++ does where it cannot even say why
        return "died (SIGABRT; out of memory?)"
    try:
        return f"died ({signal.Signals(-died[0]).name})"
    except ValueError:  # a signal without a name
        return f"died (signal {-died[0]})"


@contextmanager
def _held_back(number: int) -> Iterator[None]:
    """Hold a signal back until the block ends; processes started in it ignore it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the user's script from processes started in the block, which would each run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def report(n: int) -> None:
    """Report that ``n`` more steps of work are done."""
    _advance(n)


def _start(counter: Any, parent: int, threads: int) -> None:
    """Prepare a worker: set its threads, and end it when its parent ends."""
    global _advance

    def count(n: int) -> None:
        with counter.get_lock():
            counter.value += n

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    _advance = count
    threading.Thread(target=watch, daemon=True).start()

    import torch

    torch.set_num_threads(threads)

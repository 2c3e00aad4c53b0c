"""Training processes that die: what is said of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from untrain.core.errors import UntrainError
from untrain.training.worker import run_jobs


def die_of(number: int) -> None:
    os.kill(os.getpid(), number)


def leave(code: int) -> None:
    os._exit(code)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "argument", "told"),
    [
        (die_of, signal.SIGKILL, r"was killed \(out of memory\?\)"),
        (die_of, signal.SIGSEGV, r"died \(SIGSEGV\)"),
        (leave, 3, "ended with exit code 3"),
    ],
)
def test_it_is_said_of_what_a_process_died(
    job: Callable[[int], None], argument: int, told: str
) -> None:
    with pytest.raises(UntrainError, match=f"a training process {told}; run the same command"):
        run_jobs(job, [(argument,), (argument,)], 2, 1, "training", 2)

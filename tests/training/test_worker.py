"""Training processes that die: what is said of them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from untrain.core.errors import UntrainError
from untrain.core.progress import console
from untrain.training.worker import run_jobs


def die_of(number: int) -> None:
    os.kill(os.getpid(), number)


def leave(code: int) -> None:
    os._exit(code)


def want_memory(words: str) -> None:
    print("Traceback (most recent call last):", words, sep="\n", file=sys.stderr, flush=True)
    os._exit(1)


def warn(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "argument", "told"),
    [
        (die_of, signal.SIGKILL, r"was killed \(out of memory\?\)"),
        (die_of, signal.SIGSEGV, r"died \(SIGSEGV\)"),
        (leave, 3, "ended with exit code 3"),
        (want_memory, "MemoryError", "ran out of memory"),
    ],
)
def test_it_is_said_of_what_a_process_died(
    job: Callable[[Any], None], argument: Any, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UntrainError, match=f"a training process {told}; run the same command"):
        run_jobs(job, [(argument,), (argument,)], 2, 1, "training", 2)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_what_processes_say_that_end_well_is_passed_on(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "quiet", False)
    run_jobs(warn, [("one thing",), ("and another",)], 2, 1, "training", 2)
    said = capfd.readouterr().err
    assert "one thing" in said and "and another" in said

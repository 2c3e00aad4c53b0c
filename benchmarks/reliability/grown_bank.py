"""A bank that grows by a model a step, killed on the way, beside one made at once."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from pathlib import Path

from many_runs import micro_run
from watching import Outcome, copied_run, digests, equal

LONGEST = 120.0  # seconds of a step that is not killed


def bank(place: Path, count: int) -> Outcome:
    """Grow a bank of random halves to ``count + 1`` models, a model a step.

    In each step a process that trains is killed at a random moment, and the step done again. Models
    are found again by what they were trained on, in no other folder: the bank that is made at once
    has its own.
    """
    finished = micro_run(place / "base", "micro", 0)
    grown = copied_run(finished, place / "grown" / "micro")
    whole = copied_run(finished, place / "whole" / "micro")
    chance, killed, left, codes = random.Random(17), 0, 0, list[int]()
    begun = time.monotonic()
    codes.append(_forked(whole, count + 1, LONGEST * count))
    pace = (time.monotonic() - begun) / (count + 1)
    for models in range(2, count + 2):
        code = _forked(grown, models, chance.uniform(0.05, 2) * max(pace, 0.2))
        killed += code == -signal.SIGKILL
        left += any(grown.rglob("*.untrain-tmp"))
        codes.append(_forked(grown, models, LONGEST))
    outcome = Outcome()
    outcome.rows.append(["steps, to models", f"{count}, {count + 1}"])
    outcome.rows.append(["steps in which the process was killed (SIGKILL) before its end", killed])
    outcome.rows.append(["kills that left a half-made file behind", left])
    outcome.count("calls afterwards that ended well", codes.count(0), count + 1)
    patterns = ("bank/*", "models/**/*")
    right, of, other = equal(digests(grown, patterns), digests(whole, patterns))
    outcome.count("files with the bytes of a bank made at once", right, of)
    if other:
        outcome.faults.append(f"{other} differs")
    outcome.zero("half-made files at the end", len(list(grown.rglob("*.untrain-tmp"))))
    return outcome


def _forked(folder: Path, models: int, seconds: float) -> int:
    """Train a bank in a process of its own, killed after some seconds; return how it ended."""
    pid = os.fork()  # has torch imported, on one thread: a start costs nothing
    if not pid:
        try:
            from untrain.banks.bank import train_bank
            from untrain.runs.inputs import run_config
            from untrain.runs.run import Run

            os.setpgid(0, 0)
            train_bank(Run(run_config(folder)), models)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

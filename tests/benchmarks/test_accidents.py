"""Accidents of a run, each for real: a sentence, nothing left behind, then the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability" / "accidents.py"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]


@pytest.mark.parametrize(
    ("count", "kinds"),
    [
        (2, ["the run's folder is deleted", "models/ is deleted", "the cache is deleted"]),
        (1, ["a training process has no memory", "may write no large file"]),
        (1, ["SIGHUP to all", "two runs", "same folder", "(ENOLCK)"]),
    ],
)
def test_an_accident_costs_no_bytes(count: int, kinds: list[str]) -> None:
    command = [sys.executable, str(SCRIPT), "--count", str(count), "--only", *kinds]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

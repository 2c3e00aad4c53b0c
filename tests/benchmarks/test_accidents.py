"""Accidents of a run, each for real: a sentence, nothing left behind, then the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability" / "accidents.py"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]


@pytest.mark.parametrize("kind", ["process", "deleted", "two runs", "same folder"])
def test_an_accident_costs_no_bytes(kind: str) -> None:
    command = [sys.executable, str(SCRIPT), "--only", kind]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

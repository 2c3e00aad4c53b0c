"""The harnesses of kills and of a failing disk, in miniature."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]


def rows_of(out: Path, script: str, *options: str) -> dict[str, object]:
    """Run a harness and return its rows; it ends with 0 if all were as they must be."""
    command = [sys.executable, str(SCRIPTS / script), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(out.read_text())["rows"])


def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "kills.json", "kills.py", "--count", "4", "--seed", "7")
    assert rows["runs with the same bytes after the same command"] == "4 of 4"


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_failing_disk_costs_no_bytes(tmp_path: Path) -> None:
    options = ("--count", "12", "--stages", "fit", "generate", "rank")
    rows = rows_of(tmp_path / "faults.json", "faults.py", *options)
    assert rows["a message or success, then the same bytes"] == "12 of 12"

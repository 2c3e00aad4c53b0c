"""Terminals and devices that cannot take what is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

UNTRAIN = [sys.executable, "-c", "from untrain.cli import main; main()"]


HELP, WRONG = ("run", "--help"), ("show", "nowhere…")


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        *(("ascii", HELP), ("ascii", WRONG), ("cp1252", HELP)),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in [("cp1252", WRONG)]),
        *(pytest.param("latin-1", each, marks=pytest.mark.slow) for each in (HELP, WRONG)),
    ],
)
def test_a_terminal_without_all_letters(encoding: str, arguments: tuple[str, ...]) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "LANG": "C", "COLUMNS": "80"}
    said = subprocess.run(
        [*UNTRAIN, *arguments], env=environment, capture_output=True, check=False, timeout=60
    )
    assert said.returncode == (0 if "--help" in arguments else 2)
    assert b"Traceback" not in said.stderr
    assert b"UnicodeEncodeError" not in said.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device_on_standard_output() -> None:
    with Path("/dev/full").open("w") as full:
        said = subprocess.run(
            [*UNTRAIN, "run", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert said.returncode == 1
    assert b"the disk is full" in said.stderr
    assert b"Exception ignored" not in said.stderr

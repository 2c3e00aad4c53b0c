"""What is said when a process is ended from below."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal
from untrain.core.last_words import last_words

with last_words("run it again"):
    {end}
"""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os._exit(1)", "run it again"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "run it again"),
        ("pass", ""),
        ("raise SystemExit", ""),
    ],
)
def test_they_are_said_only_where_a_process_is_ended(end: str, said: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(end=end)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.strip() == said

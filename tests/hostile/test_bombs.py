"""Bombs of every kind, in a process that may take one more gigabyte of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import bombs
from tests.helpers.hostile import NEVER

MEMORY = ("MemoryError", "out of memory", "allocate", "malloc")
MAY_END_WELL = ("ids of 5,000 digits",)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
def test_bombs_end_in_a_sentence_in_little_memory(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, bombs.__file__],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    assert found.returncode == 0, found.stderr[-2000:]
    ended = json.loads(found.stdout.splitlines()[-1])
    assert ended.keys() == bombs.BOMBS.keys()
    for name, each in ended.items():
        told = f"{name}: {each['code']} {each['said'][-600:]}"
        assert each["code"] in ((0, 2) if name in MAY_END_WELL else (2,)), told
        assert len(each["said"].split()) > 3, told
        assert not any(word in each["said"] for word in (*NEVER, *MEMORY)), told
        assert each["seconds"] < 60, told

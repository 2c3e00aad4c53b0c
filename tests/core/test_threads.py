"""Threads sleep while they wait, and there are as many as the process may have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from untrain.core.threads import POLICY, WAITING, cores, default_threads, threads_set


def settings_of(code: str, **given: str) -> list[str]:
    """Return what OpenMP's variables are at the end of some code, in a process of its own."""
    free = {k: v for k, v in os.environ.items() if k not in (*WAITING, POLICY)}
    tell = f"import os; print(*(os.environ.get(name) for name in {list(WAITING)}))"
    return subprocess.run(
        [sys.executable, "-c", f"{code}; {tell}"],
        env=free | given,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_importing_the_package_has_threads_sleep_while_they_wait() -> None:
    assert settings_of("import untrain") == list(WAITING.values())
    assert settings_of("import untrain.core.files") == list(WAITING.values())


def test_whoever_chose_a_way_of_waiting_is_obeyed() -> None:
    assert settings_of("import untrain", OMP_WAIT_POLICY="ACTIVE") == ["None", "None"]
    assert settings_of("import untrain", GOMP_SPINCOUNT="5")[0] == "5"


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None), ("", None), ("3", None)],
)
def test_a_container_counts_by_its_quota(quota: str, expected: int | None, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{quota}\n")
    assert cores(file) == (expected or cores(tmp_path / "none"))


def test_threads_are_set_for_a_while() -> None:
    import torch

    before = torch.get_num_threads()
    with threads_set(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert 1 <= default_threads() <= cores()

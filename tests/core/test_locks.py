"""File systems that cannot lock: what is said, and by whom."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from untrain.core.errors import UntrainError, machine_faults_told
from untrain.core.growing import GrowingTable
from untrain.core.locks import acquire, locked
from untrain.runs.status import is_running


def refuse(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let no file be locked."""

    def nothing(*given: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", nothing)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, None])
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    none = OSError(number, os.strerror(number)) if number else NotImplementedError("no flock")
    refuse(monkeypatch, none)
    with pytest.raises(UntrainError) as caught, machine_faults_told(tmp_path / "runs" / "x"):
        GrowingTable(tmp_path / "cache", {"a": ("<f2", 1)}, {}, dict).add(
            np.zeros((1, 4), np.uint64), {"a": np.zeros((1, 1))}
        )
    told = str(caught.value)
    assert f"the file system of {tmp_path / 'cache'} cannot lock files" in told
    assert "UNTRAIN_CACHE" in told


def test_other_faults_of_a_lock_are_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path / "lock"), pytest.raises(Timeout):
        acquire(FileLock(tmp_path / "lock", is_singleton=False), timeout=0)
    refuse(monkeypatch, PermissionError(errno.EACCES, "not yours"))
    with pytest.raises(PermissionError), locked(tmp_path / "lock"):
        pass


def test_a_lock_that_is_a_link_leaves_its_target_as_it_is(tmp_path: Path) -> None:
    """A run folder of a stranger may have one; filelock emptied the target before 3.20.1."""
    mine = tmp_path / "mine.txt"
    mine.write_text("my words")
    (tmp_path / ".lock").symlink_to(mine)
    with pytest.raises(OSError, match=r"\.lock"), locked(tmp_path / ".lock"):
        pass
    assert not is_running(tmp_path)
    assert mine.read_text() == "my words"

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from untrain.core.errors import (
    InputError,
    UntrainError,
    did_you_mean,
    is_disk_full,
    machine_faults_told,
)


def test_did_you_mean_suggests_a_close_name_else_lists_them_all() -> None:
    assert did_you_mean("K", ["arms", "k"]) == " — did you mean 'k'?"
    assert did_you_mean("targted", ["random", "targeted"]) == " — did you mean 'targeted'?"
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"


def test_exit_codes() -> None:
    assert UntrainError("ours").exit_code == 1
    assert InputError("theirs").exit_code == 2
    assert issubclass(InputError, UntrainError)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (SafetensorError("I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("a bug"), False),
    ],
)
def test_a_full_disk_is_known_whoever_reports_it(error: Exception, full: bool) -> None:
    assert is_disk_full(error) is full


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EROFS, "Read-only file system"), "file system of runs/a is read-only"),
        (SafetensorError("I/O error: Input/output error (os error 5)"), "the disk of runs/a"),
        (OSError("Failed to write [Errno 122] Disk quota exceeded"), "quota of disk space"),
        (OSError(errno.EFBIG, "File too large"), "ulimit -f"),
        (MemoryError(), "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "of memory"),
        (OSError(errno.ENOENT, "No such file or directory"), None),
        (ValueError("a bug"), None),
    ],
)
def test_a_fault_of_the_machine_is_told(error: Exception, told: str | None) -> None:
    if told is None:
        with pytest.raises(type(error)), machine_faults_told(Path("runs/a")):
            raise error
    else:
        with pytest.raises(UntrainError, match=told) as raised, machine_faults_told(Path("runs/a")):
            raise error
        assert raised.value.exit_code == 1
        assert "run the same command again" in str(raised.value)

from __future__ import annotations

import errno

import pytest
from safetensors import SafetensorError

from untrain.core.errors import InputError, UntrainError, did_you_mean, is_disk_full


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

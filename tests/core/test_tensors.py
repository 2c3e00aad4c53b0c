"""Arrays are written whole, with the mode of other files, and nothing is left of what was not."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, numpy

from untrain.core.errors import Damaged
from untrain.core.tensors import read_array, read_arrays, read_rows, write_array, write_arrays


def test_arrays_come_back_in_a_file_that_others_may_read_as_any_other(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(True)}
    write_arrays(tmp_path / "a.safetensors", arrays)
    found = read_arrays(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found["a"], arrays["a"])
    assert found["b"].shape == () and found["b"]
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "plain"]


def test_what_is_not_written_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(arrays: object, path: Path) -> None:
        path.with_name(".tmpAbC123").write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(numpy, "save_file", full)
    with pytest.raises(OSError, match="No space") as failure:
        write_arrays(tmp_path / "a.safetensors", {"a": np.zeros(3)})
    assert failure.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_an_array_is_mapped_or_read_and_one_that_was_cut_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(path, np.arange(10))
    assert isinstance(read_array(path), np.memmap)
    assert read_array(path, mapped=False).tolist() == list(range(10))
    np.save(tmp_path / "b.npy", np.arange(10))
    assert path.read_bytes() == (tmp_path / "b.npy").read_bytes()
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(Damaged, match=r"a\.npy is damaged"):
        read_array(path)


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    array = np.arange(24).reshape(6, 2, 2)
    numpy.save_file({"a": array, "b": array + 1}, tmp_path / "x.safetensors")
    for rows in ([4, 0, 4], [], list(range(6))):
        found = read_rows(tmp_path / "x.safetensors", "a", rows)
        np.testing.assert_array_equal(found, array[rows])
        assert found.shape == (len(rows), 2, 2)

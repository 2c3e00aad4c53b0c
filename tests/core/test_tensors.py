"""Rows of a stored array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from untrain.core.tensors import read_rows


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    array = np.arange(24).reshape(6, 2, 2)
    save_file({"a": array, "b": array + 1}, tmp_path / "x.safetensors")
    for rows in ([4, 0, 4], [], list(range(6))):
        found = read_rows(tmp_path / "x.safetensors", "a", rows)
        np.testing.assert_array_equal(found, array[rows])
        assert found.shape == (len(rows), 2, 2)

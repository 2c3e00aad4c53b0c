from __future__ import annotations

import numpy as np

from untrain.encoders.float16 import widen


def test_every_finite_half_becomes_the_same_number() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    np.testing.assert_array_equal(widen(finite), finite.astype(np.float32))
    assert np.signbit(widen(np.array([-0.0], np.float16)))[0]


def test_shapes_and_other_precisions_are_kept() -> None:
    rows = np.arange(12, dtype=np.float16).reshape(3, 4)
    out = np.empty((3, 4), np.float32)
    assert widen(rows, out) is out
    np.testing.assert_array_equal(out, rows)
    single = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(widen(single), single)
    assert widen(rows[:0]).shape == (0, 4)

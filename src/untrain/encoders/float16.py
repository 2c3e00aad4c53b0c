"""Half precision, in which features are stored, back to single precision, fast."""

from __future__ import annotations

import numpy as np

SIGN_EXPONENT_FRACTION = np.int32(0x8FFFE000 - 2**32)  # of a half shifted by 13 bits
AT_ONCE = 1 << 18  # numbers widened at a time: they stay in the processor's cache


def widen(stored: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return ``stored`` in float32: half precision by moving its bits, many times NumPy's speed.

    Sign and exponent go to their places in single precision, whose exponent has another origin:
    hence the factor. Right for all finite numbers, which are all that a store holds.
    """
    block = np.empty(stored.shape, np.float32) if out is None else out
    if stored.dtype != np.float16:
        block[...] = stored
        return block
    step = max(1, AT_ONCE // max(1, stored[:1].size))
    for start in range(0, len(stored), step):
        part = block[start : start + step]
        bits = part.view(np.int32)
        half = stored[start : start + step].view(np.int16)
        np.left_shift(half, 13, out=bits, dtype=np.int32, casting="unsafe")
        np.bitwise_and(bits, SIGN_EXPONENT_FRACTION, out=bits)
        np.multiply(part, np.float32(2.0**112), out=part)
    return block

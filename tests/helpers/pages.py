"""What tests of the page share."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

HOST = "127.0.0.1:8808"


def png(pixels: np.ndarray) -> bytes:
    """Return a picture as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()

"""Pictures within a page, so that it is whole in one file."""

from __future__ import annotations

import base64
import io

from PIL import Image


def data_uri(image: Image.Image, side: int) -> str:
    """Return a picture as a data URI, at most ``side`` pixels a side; PNG if small, else JPEG."""
    image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    kind = "PNG" if max(image.size) <= 96 else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"

"""Folders with the pictures of a takedown request."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from untrain.catalogs.base import Catalog

LETTER = "from: Jane Doe\nreceived: 2026-11-20\nreference: 2026-17\nasks: Please remove them.\n"


def stranger(seed: int = 0) -> bytes:
    """Return a picture that is in no catalogue."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_request(folder: Path, files: Mapping[str, bytes], letter: str = LETTER) -> Path:
    """Write the folder of a request."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    if letter:
        (folder / "request.yaml").write_text(letter)
    return folder


def pictures_of(catalog: Catalog, count: int) -> dict[str, bytes]:
    """Return the first images of a catalogue as files, by names of their own."""
    return {f"mine-{n}.png": catalog.read(i) for n, i in enumerate(catalog.ids[:count])}

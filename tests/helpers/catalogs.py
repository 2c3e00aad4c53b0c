"""Small catalogues, pictures, and the files of Fashion Product Images."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.catalogs.formats.fashion import COLUMNS


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def small_catalog(files: dict[str, bytes]) -> Catalog:
    return Catalog(
        name="small",
        ids=tuple(files),
        captions=tuple(f"caption of {i}" for i in files),
        hashes=tuple(hashlib.sha256(data).hexdigest() for data in files.values()),
        read=files.__getitem__,
        attributes=pd.DataFrame({"n": range(len(files))}),
    )


def picture(seed: int, format: str = "JPEG", size: tuple[int, int] = (12, 16)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


HEADER = ",".join(COLUMNS)

ROWS = (
    "11,Men,Apparel,Topwear,Tshirts,White,Fall,2011,Casual,Provogue Men White Tshirt",
    "9,Women,Footwear,Shoes,Heels,Navy Blue,Summer,2012,Formal,Catwalk Heels, Size 4, Blue",
    '12,Girls,Apparel,Topwear,Tops,Pink,,,NA,"Gini 3.5"" Top, Pink"',
    "13,Boys,Apparel,Topwear,Tops,Red,Fall,2011,Casual,A row without an image",
)

FILES = {
    "styles.csv": "\n".join((HEADER, *ROWS)).encode(),
    "images/11.jpg": picture(11),
    "images/9.jpg": picture(9),
    "images/12.jpg": picture(12),
}


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path

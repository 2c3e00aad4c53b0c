"""Pictures as people hand them over: paths, Pillow images, arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from untrain.core.errors import InputError
from untrain.core.images import in_rgb, read_image


def pixels_of(picture: Any) -> np.ndarray:
    """Return one picture as uint8 height × width × 3, RGB, upright, transparency over white.

    Parameters
    ----------
    picture
        A path or ``file://`` address, a Pillow image, or an array: uint8, or floats from 0 to 1,
        height × width × 3 or grey.

    Raises
    ------
    InputError
        It is none of these, or cannot be read.
    """
    if isinstance(picture, (str, Path)):
        return read_image(local_path(picture))
    if isinstance(picture, Image.Image):
        return np.asarray(in_rgb(picture))
    array = np.asarray(picture)
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        array = np.round(array * 255).astype(np.uint8)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise InputError(
            f"expected a picture: a path, a Pillow image, or an array height × width × 3 of uint8 "
            f"(or of floats from 0 to 1); found {type(picture).__name__} of shape {array.shape}, "
            f"{array.dtype}"
        )
    return array


def local_path(given: str | Path) -> Path:
    """Return the path of a file, which may be a ``file://`` address.

    Raises
    ------
    InputError
        It is an address on the network: nothing is fetched.
    """
    text = str(given)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    if text.startswith(("http://", "https://")):
        raise InputError(f"{text} is on the network: save the file and give its path")
    return Path(given)

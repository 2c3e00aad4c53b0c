"""Pictures: the one place that decodes them, with limits, and that writes them.

Whatever is wrong with a picture, and whichever decoder says so, it is one `InputError` that names
it. The number of pixels is looked at before any are decoded. Formats that Pillow hands to another
program (`LEFT_OUT`) are not opened.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from untrain.core.errors import Damaged, InputError
from untrain.core.files import write_bytes
from untrain.core.manifest import check, not_as_written
from untrain.core.outside import read_bytes

VARIABLE = "UNTRAIN_MAX_PIXELS"
"""Millions of pixels that a picture may have; Pillow's own limit, of 89, if it is not set."""
LEFT_OUT = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
FIRST = ("JPEG", "PNG", "GIF", "BMP", "PPM")


@contextmanager
def opened(data: bytes, name: str, formats: Sequence[str] | None = None) -> Iterator[Image.Image]:
    """Open a picture, of which only the header is read yet; decode it inside the block.

    Parameters
    ----------
    data : bytes
        Of the file.
    name : str
        For messages.
    formats : sequence of str, optional
        As Pillow calls them: others are not taken for pictures.

    Raises
    ------
    InputError
        It is in no format that is read, has too many pixels, or is damaged; also what Pillow
        raises inside the block.
    """
    most = most_pixels()
    try:
        with _open(data, formats) as image:
            _check_size(image, name, most)
            yield image
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"image '{name}' is too large to be decoded safely ({error})") from None
    except UnidentifiedImageError:
        raise InputError(f"image '{name}' is not in an image format that Pillow can read") from None
    except Exception as error:  # on broken files Pillow raises nearly anything
        fault = str(error) or type(error).__name__
        raise InputError(f"image '{name}' cannot be decoded ({fault})") from None


def _open(data: bytes, formats: Sequence[str] | None) -> Image.Image:
    if formats is not None:
        return Image.open(io.BytesIO(data), formats=list(formats))
    try:
        return Image.open(io.BytesIO(data), formats=FIRST)  # without loading all of Pillow
    except UnidentifiedImageError:
        Image.init()
        others = [each for each in Image.ID if each not in LEFT_OUT]
        return Image.open(io.BytesIO(data), formats=others)


def most_pixels() -> int | None:
    """Return how many pixels a picture may have; None if any number."""
    given = os.environ.get(VARIABLE, "")
    if not given.isdecimal():
        return Image.MAX_IMAGE_PIXELS
    most = int(given) * 1_000_000
    if Image.MAX_IMAGE_PIXELS is not None and most > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = most  # Pillow would refuse what is twice its own limit
    return most


def _check_size(image: Image.Image, name: str, most: int | None) -> None:
    if most is not None and image.width * image.height > most:
        raise InputError(
            f"image '{name}' is too large to be decoded safely ({image.width} × {image.height} "
            f"pixels, and {most:,} is the most; {VARIABLE}=… allows more, in millions)"
        )


def decode(data: bytes, name: str) -> Image.Image:
    """Decode an image to RGB, upright, transparency over white; `InputError` if it cannot be."""
    with opened(data, name) as stored:
        image = in_rgb(stored)
        return image.copy() if image is stored else image


def in_rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB, upright, transparency over white; itself, if it is that."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip, not scale
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(canvas, rgba).convert("RGB")


def read_image(path: Path | str) -> np.ndarray:
    """Return a picture file of any format that Pillow reads as uint8 (height, width, 3), RGB.

    Upright, transparency over white; of an animation its first frame.

    Raises
    ------
    InputError
        There is no such file, or it holds no whole picture.
    """
    path = Path(path).expanduser()
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a picture (JPEG, PNG, …)") from None
    except OSError as error:
        fault = "is a folder" if path.is_dir() else f"cannot be read ({error.strerror})"
        raise InputError(f"{path} {fault}; expected a picture (JPEG, PNG, …)") from None
    if not data:
        raise InputError(f"{path} is empty; expected a picture (JPEG, PNG, …)")
    return np.array(decode(data, str(path)))


def open_picture(path: Path) -> Image.Image:
    """Read a PNG that untrain wrote, in RGB.

    Raises
    ------
    FileNotFoundError, PermissionError
        As they are.
    Damaged
        It is none, or not what was written.
    """
    try:
        check(path)
        with opened(read_bytes(path), path.name, ["PNG"]) as image:
            return image.convert("RGB")
    except (FileNotFoundError, PermissionError, Damaged):
        raise
    except (OSError, InputError) as error:
        raise not_as_written(path, getattr(error, "strerror", None) or error) from error


def read_picture(path: Path) -> np.ndarray:
    """Read a PNG that untrain wrote as uint8 height × width × 3."""
    return np.asarray(open_picture(path))


def write_png(path: Path, picture: Image.Image | np.ndarray, told: PngInfo | None = None) -> None:
    """Write a picture (uint8 height × width × 3, or Pillow's) as PNG, whole or not at all."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=told)
    write_bytes(path, buffer.getvalue())

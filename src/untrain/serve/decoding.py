"""Pictures from outside, decoded in a process that may die: a hostile file ends it, not the server.

What comes back is plain pixels. Sizes are looked at before anything is allocated.
"""

from __future__ import annotations

import io
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from untrain.core.errors import InputError

BYTES = 32 * 2**20
"""Of a file, at most."""
PIXELS = 50_000_000
"""Of a picture, at most: 150 MB when decoded."""
SIDE = 2000
"""Pixels a side that are kept: more shows nothing that a metric looks at."""
SECONDS = 20.0
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class Decoder:
    """Decodes pictures one after another in a process of its own; made again when it dies."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._one = threading.Lock()

    def __call__(self, content: bytes) -> np.ndarray:
        """Return a picture, uint8 height × width × 3: upright, transparency over white.

        Raises
        ------
        InputError
            It is too large, of no format that is known, damaged, or takes too long.
        """
        if len(content) > BYTES:
            raise InputError(f"the file is larger than {BYTES >> 20} MiB: save it smaller")
        with self._one:
            if self._pool is None:
                spawn = multiprocessing.get_context("spawn")  # has nothing of this process
                self._pool = ProcessPoolExecutor(1, mp_context=spawn)
            try:
                shape, pixels = self._pool.submit(decode, content).result(SECONDS)
            except (TooSlow, BrokenProcessPool):
                self._end()
                raise InputError("decoding the file took too long or too much: skip it") from None
        return np.frombuffer(pixels, np.uint8).reshape(shape)

    def close(self) -> None:
        """End the process."""
        with self._one:
            self._end()

    def _end(self) -> None:
        if self._pool is None:
            return
        for process in list((self._pool._processes or {}).values()):
            process.kill()  # it may hang
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None


def decode(content: bytes) -> tuple[tuple[int, ...], bytes]:
    """Return shape and bytes of a picture's pixels; runs in the other process."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # this limit is checked here, and says what it is
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > PIXELS:
                raise InputError(
                    f"the picture has {width} × {height} pixels; expected at most "
                    f"{PIXELS // 1_000_000} million"
                )
            image.draft("RGB", (SIDE, SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except UnidentifiedImageError:
        raise InputError(f"this is no picture in {', '.join(FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InputError(f"the picture is damaged: {error}") from None
    upright.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", upright.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
    return pixels.shape, pixels.tobytes()

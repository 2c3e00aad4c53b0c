"""Pictures from outside, decoded in a process that may die: a hostile file ends it, not the server.

What comes back is plain pixels. Sizes are looked at before anything is allocated.
"""

from __future__ import annotations

import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from concurrent.futures.process import BrokenProcessPool
from queue import LifoQueue

import numpy as np

from untrain.core.errors import InputError
from untrain.serve.apart import confine, end_with_parent

BYTES = 32 * 2**20
"""Of a file, at most."""
PIXELS = 50_000_000
"""Of a picture, at most: 150 MB when decoded."""
SIDE = 2000
"""Pixels a side that are kept: more shows nothing that a metric looks at."""
SECONDS = 20.0
MEMORY = 1536 * 2**20
"""Bytes that decoding may take beside the program: three times what the largest picture needs."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class Decoder:
    """Decodes pictures, two at once, each in a process of its own; made again when one dies."""

    def __init__(self, processes: int = 2) -> None:
        # The one that was used last comes first: a second starts when two pictures come at once.
        self._free: LifoQueue[_Process] = LifoQueue()
        self._all = [_Process() for _ in range(processes)]
        for each in self._all:
            self._free.put(each)

    def __call__(self, content: bytes) -> np.ndarray:
        """Return a picture, uint8 height × width × 3: upright, transparency over white.

        Raises
        ------
        InputError
            It is too large, of no format that is known, damaged, or takes too long.
        """
        if len(content) > BYTES:
            raise InputError(f"the file is larger than {BYTES >> 20} MiB: save it smaller")
        process = self._free.get()
        try:
            shape, pixels = process.decode(content)
        finally:
            self._free.put(process)
        return np.frombuffer(pixels, np.uint8).reshape(shape)

    def close(self) -> None:
        """End the processes."""
        for each in self._all:
            each.end()


class _Process:
    """A process that decodes one picture after another."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def decode(self, content: bytes) -> tuple[tuple[int, ...], bytes]:
        for attempts_left in (1, 0):
            fresh = self._pool is None
            try:
                if self._pool is None:
                    spawn = multiprocessing.get_context("spawn")  # has nothing of this process
                    self._pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin)
                return self._pool.submit(decode, content).result(SECONDS)
            except TooSlow:
                self.end()
                raise InputError("decoding the file took too long: skip it") from None
            except (BrokenProcessPool, RuntimeError):  # it died, or was ended while this waited
                self.end()
                if fresh or not attempts_left:  # else somebody ended it before this picture came
                    raise InputError("decoding the file took too much: skip it") from None
        raise AssertionError  # the second attempt returned or raised

    def end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.kill()  # it may hang
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """Prepare the other process: what it needs is loaded, then what it may take is limited."""
    from PIL import Image

    Image.init()
    end_with_parent()
    confine(MEMORY)


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
            upright.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    except UnidentifiedImageError:
        raise InputError(f"this is no picture in {', '.join(FORMATS)}") from None
    except InputError:
        raise
    except MemoryError:
        raise InputError("decoding the picture takes too much memory: save it smaller") from None
    except Exception as error:  # readers of hostile files fail in any way there is
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"the picture is damaged: {words}") from None
    white = Image.new("RGBA", upright.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
    return pixels.shape, pixels.tobytes()

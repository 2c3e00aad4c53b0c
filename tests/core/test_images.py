"""Pictures are decoded in one place: whatever is wrong with one is one error, before it costs."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from untrain.core import images
from untrain.core.errors import Damaged, InputError
from untrain.core.images import decode, open_picture, opened, read_picture, write_png


def png(width: int, height: int) -> bytes:
    """A PNG that says a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) * 2


def saved(form: str, size: tuple[int, int] = (9, 7)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


def test_the_limit_of_pixels_is_looked_at_before_any_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"'x' is too large .* \(10000 × 9000 pixels, and 89,478"):
        decode(png(10_000, 9_000), "x")
    with pytest.raises(InputError, match="'x' is too large"):  # here Pillow says so itself
        decode(png(60_000, 60_000), "x")


def test_the_limit_can_be_set_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setenv(images.VARIABLE, "1")
    with pytest.raises(InputError, match="1,000,000 is the most; UNTRAIN_MAX_PIXELS=…"):
        decode(png(1001, 1000), "x")
    monkeypatch.setenv(images.VARIABLE, "400")
    with opened(png(19_000, 20_000), "x") as header:
        assert header.size == (19_000, 20_000)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of TIFF
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "TGA", "ICO"])
def test_whatever_is_cut_off_or_changed_is_decoded_or_refused(form: str) -> None:
    whole = saved(form, (32, 32) if form == "ICO" else (9, 7))
    assert decode(whole, "x").mode == "RGB"
    chance = np.random.default_rng(1)
    for at in range(60):
        data = bytearray(whole if at % 2 else whole[: chance.integers(1, len(whole))])
        for place in chance.integers(0, len(data), 3):
            data[place] ^= 1 << chance.integers(8)
        try:
            decode(bytes(data), "x")
        except InputError as error:
            assert str(error).startswith("image 'x' ")


def test_no_other_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(id) run\n%%EOF\n"
    with pytest.raises(InputError, match="not in an image format"):
        decode(script, "x")


def test_what_untrain_wrote_comes_back_and_is_damaged_if_it_does_not(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    path = tmp_path / "new" / "0.png"
    write_png(path, pixels)
    np.testing.assert_array_equal(read_picture(path), pixels)
    for data in (b"", path.read_bytes()[:-60], saved("JPEG"), b"words"):
        path.write_bytes(data)
        with pytest.raises(Damaged, match=r"0\.png is damaged"):
            open_picture(path)
    with pytest.raises(FileNotFoundError):
        open_picture(tmp_path / "none.png")

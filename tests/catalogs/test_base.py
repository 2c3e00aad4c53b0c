"""Decoding whatever people have to upright RGB, and the catalogue's own promises."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.catalogs import encoded, small_catalog
from untrain.catalogs.base import Catalog, fit_into
from untrain.core.errors import InputError
from untrain.core.images import decode, read_image

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def flat(colour: object, mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(encoded(flat(RED)), RED, id="rgb"),
        pytest.param(encoded(flat(77, "L")), (77, 77, 77), id="grey"),
        pytest.param(encoded(flat(1, "1")), (255, 255, 255), id="black-and-white"),
        pytest.param(encoded(flat(RED).quantize(4)), RED, id="palette"),
        pytest.param(encoded(flat((*BLUE, 255), "RGBA")), BLUE, id="opaque"),
        pytest.param(encoded(flat((*BLUE, 0), "RGBA")), (255, 255, 255), id="transparent"),
        pytest.param(encoded(flat((0, 0, 0, 128), "RGBA")), (127, 127, 127), id="half-transparent"),
        pytest.param(encoded(flat((60, 0), "LA")), (255, 255, 255), id="grey-transparent"),
        pytest.param(
            encoded(flat(RED).quantize(4), transparency=0), (255, 255, 255), id="palette-key"
        ),
        pytest.param(encoded(flat(RED), transparency=RED), (255, 255, 255), id="colour-key"),
    ],
)
def test_every_mode_becomes_rgb_over_white(data: bytes, expected: tuple[int, int, int]) -> None:
    image = decode(data, "x")
    assert image.mode == "RGB"
    assert image.size == (6, 4)
    assert {pixel for _, pixel in image.getcolors() or ()} == {expected}


@pytest.mark.parametrize("value", [0, 255, 256, 32768, 65535])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(value: int) -> None:
    data = encoded(Image.fromarray(np.full((4, 6), value, np.uint16)))
    assert decode(data, "x").getpixel((0, 0)) == (value // 256,) * 3


def test_cmyk_jpeg_keeps_its_colour() -> None:
    image = decode(encoded(flat(RED).convert("CMYK"), "JPEG", quality=95), "x")
    assert np.abs(np.asarray(image, int) - RED).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, None),
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_270),
        (8, Image.Transpose.ROTATE_90),
    ],
)
def test_a_photo_taken_sideways_is_upright(orientation: int, turn: Image.Transpose | None) -> None:
    stored = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3))
    exif = stored.getexif()
    exif[0x0112] = orientation
    upright = stored if turn is None else stored.transpose(turn)
    decoded = decode(encoded(stored, exif=exif), "x")
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(upright))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_image_are_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError, match="image 'x'"):
        decode(data, "x")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on broken EXIF
@given(st.data())
def test_a_damaged_image_decodes_or_is_an_input_error(data: st.DataObject) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0131] = 6, "a camera"
    content = bytearray(encoded(flat(RED), "JPEG", exif=exif))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        assert decode(bytes(content), "x").mode == "RGB"


def test_a_decompression_bomb_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="too large to be decoded safely"):
        decode(encoded(flat(RED, size=(20, 11))), "x")


def test_lengths_and_ids_are_checked() -> None:
    files = {"a": encoded(flat(RED))}
    with pytest.raises(ValueError, match="differ in length"):
        Catalog("c", ("a",), (), ("h",), files.__getitem__, pd.DataFrame(index=[0]))
    with pytest.raises(InputError, match="'a' occurs more than once"):
        Catalog(
            "c", ("a", "a"), ("x", "y"), ("h", "h"), files.__getitem__, pd.DataFrame(index=[0, 1])
        )


def test_fingerprint_is_of_the_content_and_not_of_the_name_or_attributes() -> None:
    files = {"a": encoded(flat(RED)), "b": encoded(flat(BLUE))}
    catalog = small_catalog(files)
    same = Catalog(
        "another name", catalog.ids, catalog.captions, catalog.hashes, catalog.read,
        pd.DataFrame(index=range(2)),
    )  # fmt: skip
    assert same.fingerprint == catalog.fingerprint
    assert small_catalog(files | {"b": encoded(flat(GREEN))}).fingerprint != catalog.fingerprint
    assert small_catalog(dict(reversed(files.items()))).fingerprint != catalog.fingerprint
    assert catalog.subset(["a"]).fingerprint != catalog.fingerprint


def test_subset_keeps_the_order_and_its_attributes() -> None:
    catalog = small_catalog({i: encoded(flat(n, "L")) for n, i in enumerate("abcd")})
    part = catalog.subset(["d", "b"])
    assert part.ids == ("b", "d")
    assert part.attributes["n"].tolist() == [1, 3]
    assert part.index == {"b": 0, "d": 1}
    with pytest.raises(InputError, match="no image with id 'z'"):
        catalog.subset(["a", "z"])


def test_duplicates_are_groups_of_equal_bytes() -> None:
    one, other, alone = (encoded(flat(c)) for c in (RED, BLUE, GREEN))
    catalog = small_catalog({"a": one, "b": other, "c": one, "d": alone, "e": other, "f": one})
    assert catalog.duplicates() == [("a", "c", "f"), ("b", "e")]


def test_pixels_keep_the_aspect_and_pad_with_white() -> None:
    catalog = small_catalog({"wide": encoded(flat((0, 0, 0), size=(8, 4)))})
    array = catalog.pixels((16, 16))
    assert array.shape == (1, 16, 16, 3) and array.dtype == np.uint8
    expected = np.full((16, 16, 3), 255)
    expected[4:12] = 0
    np.testing.assert_array_equal(array[0], expected)


def test_fitting_into_the_same_size_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_into(Image.fromarray(pixels), (4, 6)), pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (6, 4)])
def test_a_picture_of_any_format_is_read(
    tmp_path: Path, format: str, size: tuple[int, int]
) -> None:
    (tmp_path / "query").write_bytes(encoded(flat(RED, size=size), format))
    pixels = read_image(tmp_path / "query")
    assert pixels.shape == (size[1], size[0], 3) and pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert np.abs(pixels.astype(int) - RED).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK"])
def test_any_mode_is_read(tmp_path: Path, mode: str) -> None:
    image = flat(0, "I").convert(mode) if mode in ("I;16", "I", "F") else flat(RED).convert(mode)
    (tmp_path / "query.tif").write_bytes(encoded(image, "TIFF" if mode != "LA" else "PNG"))
    pixels = read_image(tmp_path / "query.tif")
    assert pixels.shape == (4, 6, 3)
    assert (pixels == pixels[0, 0]).all() or mode == "1"  # which is dithered


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, format: str) -> None:
    frames = [flat(BLUE), flat(RED)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
    (tmp_path / "moving").write_bytes(data)
    assert (read_image(tmp_path / "moving") == BLUE).all()


def test_a_rotated_photo_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photo.jpg").write_bytes(encoded(flat(RED, size=(6, 4)), "JPEG", exif=exif))
    assert read_image(str(tmp_path / "photo.jpg")).shape == (6, 4, 3)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise))
    files = {"empty.png": b"", "half.png": whole[: len(whole) // 2], "text.jpg": b"words"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    faults = {
        "nowhere.png": "does not exist",
        "": "is a folder",
        "empty.png": "is empty",
        "half.png": "cannot be decoded",
        "text.jpg": "not in an image format",
    }
    for name, fault in faults.items():
        with pytest.raises(InputError, match=fault) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)

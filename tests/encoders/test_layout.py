"""The layout descriptor is fixed, bounded, and sees what is where and in which colour."""

import numpy as np
import pytest
from PIL import Image

from untrain.core.errors import InputError
from untrain.encoders import load_encoder
from untrain.encoders.layout import LayoutEncoder


def disc(colour: tuple[int, int, int], x: int, y: int, size: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[0:size, 0:size]
    picture = np.full((size, size, 3), 255, np.uint8)
    picture[np.hypot(rows - y, columns - x) < size / 5] = colour
    return picture


def cosines(*pictures: np.ndarray) -> np.ndarray:
    features = LayoutEncoder().encode(list(pictures))
    return features @ features.T


def test_features_are_non_negative_and_of_length_one() -> None:
    encoder = load_encoder("layout")
    pictures = [
        np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8),
        disc((200, 30, 30), 30, 30),
        np.zeros((5, 5, 3), np.uint8),
    ]
    features = encoder.encode(pictures)
    assert features.shape == (3, 896)
    assert features.dtype == np.float32
    assert encoder.non_negative
    assert features.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(features[:2], axis=1), 1, rtol=1e-5)
    assert encoder.encode([]).shape == (0, 896)


def test_a_blank_picture_has_finite_features() -> None:
    assert np.isfinite(cosines(np.full((64, 64, 3), 255, np.uint8))).all()


def test_a_picture_is_encoded_alike_alone_and_among_others() -> None:
    pictures = [disc((200, 30, 30), x, 30) for x in (20, 30, 40)]
    together = LayoutEncoder().encode(pictures)
    for row, picture in enumerate(pictures):
        np.testing.assert_array_equal(LayoutEncoder().encode([picture])[0], together[row])


def test_place_and_colour_both_count_and_size_in_pixels_does_not() -> None:
    red = disc((200, 30, 30), 24, 24)
    moved, blue = disc((200, 30, 30), 44, 44), disc((30, 30, 200), 24, 24)
    larger = np.asarray(Image.fromarray(red).resize((128, 128), Image.Resampling.LANCZOS))
    same, elsewhere, other = cosines(red, larger, moved, blue)[0, 1:]
    assert same > 0.98
    assert elsewhere < 0.9
    assert other < 0.9


@pytest.mark.parametrize(("slope", "bin_"), [((1, 0), 0), ((1, 1), 2), ((0, 1), 4), ((-1, 1), 6)])
def test_a_slope_falls_into_the_bin_of_its_direction(slope: tuple[int, int], bin_: int) -> None:
    y, x = np.mgrid[0:32, 0:32]
    ramp = 128 + 2 * (slope[0] * (x - 16) + slope[1] * (y - 16))
    picture = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    gradients = LayoutEncoder().encode([picture])[0, 320:832].reshape(8, 8, 8)
    assert (gradients[2:6, 2:6].argmax(axis=-1) == bin_).all()


def test_unknown_names_and_options_are_explained() -> None:
    with pytest.raises(InputError, match="did you mean 'layout'"):
        load_encoder("layuot")
    with pytest.raises(InputError, match="its options: none"):
        load_encoder("layout", pooling="mean")
    with pytest.raises(InputError, match="path, pooling, layer, dtype, batch_size"):
        load_encoder("transformers")

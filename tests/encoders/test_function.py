"""A user's own function is an encoder that is known by what it does."""

from pathlib import Path

import numpy as np
import pytest

from untrain.core.errors import InputError
from untrain.encoders import ENCODERS, describe, encode_text, load_encoder, pooled
from untrain.encoders.function import BATCH, CallableEncoder

OWN = """
import numpy as np

def colour(images, scale=1.0, shift=0.0):
    return [scale * image.mean((0, 1)) + shift for image in images]

def flat(images):
    return np.zeros(len(images))

def broken(images):
    return images[0].no_such_thing

def nan(images):
    return np.full((len(images), 2), np.nan)

class Whole:
    non_negative = True

    def __init__(self, d=3):
        self.d = d
        self.fingerprint = f"whole{d}"

    def encode(self, images):
        return np.ones((len(images), self.d), np.float32)

whole = Whole(7)
number = 4
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the working folder."""
    (tmp_path / "own_encoders_of_a_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return "own_encoders_of_a_test"


def pictures() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in ((4, 5), (9, 7))]


def test_a_function_gives_its_own_numbers(own: str) -> None:
    encoder = load_encoder(f"{own}:colour", scale=2)
    features = encoder.encode(pictures())
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [2 * p.mean((0, 1)) for p in pictures()], rtol=1e-6)
    assert encoder.encode([]).shape == (0, 3)
    assert encoder.non_negative
    assert not load_encoder(f"{own}:colour", shift=-300).non_negative
    assert describe(encoder) == f"{own}:colour, 3 numbers"
    assert pooled(encoder) is encoder
    assert encode_text(encoder, ["a red shirt"]) is None


def test_the_fingerprint_follows_name_and_behaviour(own: str) -> None:
    first = load_encoder(f"{own}:colour").fingerprint
    assert load_encoder(f"{own}:colour").fingerprint == first
    assert load_encoder(f"{own}:colour", scale=1 + 1e-8).fingerprint == first  # rounding
    assert load_encoder(f"{own}:colour", scale=1.01).fingerprint != first

    def colour(images: list[np.ndarray]) -> list[np.ndarray]:
        return [image.mean((0, 1)) for image in images]

    assert CallableEncoder(colour).fingerprint != first
    assert CallableEncoder(colour, f"{own}:colour").fingerprint == first
    assert not CallableEncoder(colour, non_negative=False).non_negative


def test_a_class_and_an_instance_with_the_contract_will_do(own: str) -> None:
    assert load_encoder(f"{own}:Whole", d=5).encode(pictures()).shape == (2, 5)
    assert load_encoder(f"{own}:whole").fingerprint == "whole7"
    with pytest.raises(InputError, match="its options: d"):
        load_encoder(f"{own}:Whole", size=5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("colours", "did you mean 'colour'"),
        ("flat", r"shape \(3,\) for 3 pictures; expected \(3, d\)"),
        ("broken", "failed on 3 pictures.*no_such_thing"),
        ("nan", "NaN or infinity"),
        ("number", "of type int; expected a function"),
    ],
)
def test_what_is_no_encoder_is_refused(own: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_encoder(f"{own}:{name}")


def test_an_unknown_module_says_where_it_is_looked_for() -> None:
    with pytest.raises(InputError, match=r"no_such_module_at_all.*PYTHONPATH"):
        load_encoder("no_such_module_at_all.part:function")


def test_features_whose_length_depends_on_the_picture_are_refused() -> None:
    encoder = CallableEncoder(lambda images: [[1.0] * len(images)] * len(images), "odd")
    with pytest.raises(InputError, match="returned 2 numbers per picture, and 3 before"):
        encoder.encode(pictures())


def test_a_function_is_called_with_few_images_at_a_time() -> None:
    asked: list[int] = []

    def mean(images: list[np.ndarray]) -> list[np.ndarray]:
        asked.append(len(images))
        return [image.mean((0, 1)) for image in images]

    encoder = CallableEncoder(mean, "mean")
    many = [np.full((2, 2, 3), i, np.uint8) for i in range(2 * BATCH + 3)]
    features = encoder.encode(many)
    assert asked[1:] == [BATCH, BATCH, 3]
    np.testing.assert_array_equal(features[:, 0], range(len(many)))


def test_names_are_checked_without_importing() -> None:
    ENCODERS.check("no_such_module:function")
    ENCODERS.check("facebook/dino-vits16")
    for name in ("my module:function", "module:", ":function", "layuot"):
        with pytest.raises(InputError, match="unknown encoder"):
            ENCODERS.check(name)

"""Checks of pictures: their form, and that the noise decides them."""

from __future__ import annotations

import numpy as np

from untrain.testing.bench import (
    Bench,
)
from untrain.testing.shared import alike, disturb


def check_pictures(bench: Bench) -> None:
    """Pictures are uint8 of the size that was said; samples are numbers, one row a picture."""
    generator, found = bench.fitted()
    expected = (len(bench.prompts), *generator.image_size, 3)
    assert found.images.shape == expected and found.images.dtype == np.uint8, (
        f"generate gave pictures {found.images.shape} of {found.images.dtype}; expected "
        f"{expected} of uint8"
    )
    assert len(found.samples) == len(bench.prompts) and found.samples.dtype.kind in "iuf", (
        f"samples are {found.samples.shape} of {found.samples.dtype}; expected a row a picture, of "
        "integers or floats"
    )


def check_encode_and_decode(bench: Bench) -> None:
    """Pictures can be encoded as samples are, and decoded to pictures."""
    generator, found = bench.fitted()
    pixels = bench.catalog.pixels(generator.image_size, bench.catalog.ids[:3])
    encoded = generator.encode(pixels)
    assert encoded.shape[1:] == found.samples.shape[1:], (
        f"encode gives rows of {encoded.shape[1:]}, generate samples of "
        f"{found.samples.shape[1:]}: held-out and removed images are measured as samples are"
    )
    decoded = generator.decode(encoded)
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8, (
        f"decode gave {decoded.shape} of {decoded.dtype}; expected {pixels.shape} of uint8"
    )


def check_noise_decides(bench: Bench) -> None:
    """The same noise gives the same picture, whatever was drawn before; other noise another."""
    generator, found = bench.fitted()
    disturb()
    again = generator.generate(bench.prompts, bench.noise).images
    assert alike(again, found.images), (
        "the same prompts with the same noise gave other pictures: use the noise that is given, "
        "and draw none of your own"
    )
    other = generator.generate(bench.prompts, bench.noise[::-1].copy()).images
    assert not np.array_equal(other, found.images), (
        "other noise gives the same pictures: the pictures of a prompt would all be one"
    )


def check_pictures_do_not_depend_on_their_batch(bench: Bench) -> None:
    """Picture i depends only on prompt i and noise i."""
    generator, found = bench.fitted()
    turned = generator.generate(bench.prompts[::-1], bench.noise[::-1].copy()).images[::-1]
    alone = [
        generator.generate([prompt], bench.noise[i : i + 1]).images[0]
        for i, prompt in enumerate(bench.prompts)
    ]
    for images, how in ((turned, "in another order"), (np.stack(alone), "alone")):
        assert alike(images, found.images), (
            f"drawn {how}, the same prompts and noises give other pictures: those of two models "
            "could not be compared picture by picture. Index the noise by picture"
        )

"""The front door of unlearning, and the control that does nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.helpers.generators import silent
from tests.helpers.painter import Painter
from untrain.catalogs import Catalog, rendered
from untrain.core.errors import InputError
from untrain.unlearning import unlearn
from untrain.unlearning.base import copied


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=4, size_of_family=3, seed=1, resolution=16)


@pytest.fixture
def fitted(catalog: Catalog) -> Painter:
    painter = Painter()
    painter.fit(catalog, [], 0, silent)
    return painter


def test_nothing_is_the_same_model_and_another_object(fitted: Painter, catalog: Catalog) -> None:
    found = unlearn("nothing", fitted, catalog, catalog.ids[:2], 0.05, 0, silent)
    assert isinstance(found, Painter) and found is not fitted
    np.testing.assert_array_equal(found.weights, fitted.weights)
    found.weights += 1
    assert not np.array_equal(found.weights, fitted.weights)


def test_a_copy_draws_what_the_generator_draws(fitted: Painter, catalog: Catalog) -> None:
    noise = np.zeros((2, *fitted.noise.shape), np.float32)
    drawn = [each.generate(catalog.captions[:2], noise).images for each in (fitted, copied(fitted))]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "nothin"}, "unknown unlearning method 'nothin'.* did you mean 'nothing'"),
        ({"budget": 0.0}, "above 0 and at most 1, found 0"),
        ({"budget": 1.5}, "above 0 and at most 1, found 1.5"),
        ({"budget": float("nan")}, "above 0 and at most 1, found nan"),
        ({"forget": []}, "the forget set is empty"),
        ({"forget": ["nowhere"]}, "no such image"),
        ({"forget": "all"}, "holds all 12 images"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    fitted: Painter, catalog: Catalog, wrong: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"method": "nothing", "budget": 0.1, "forget": catalog.ids[:1]} | wrong
    if given["forget"] == "all":
        given["forget"] = catalog.ids
    with pytest.raises(InputError, match=words):
        unlearn(given["method"], fitted, catalog, given["forget"], given["budget"], 0, silent)

"""The front door of unlearning, and the control that does nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.helpers.generators import silent
from tests.helpers.painter import Painter
from untrain.catalogs import Catalog, rendered
from untrain.core.errors import InputError
from untrain.unlearning import Task, unlearn
from untrain.unlearning.base import copied
from untrain.unlearning.registry import make_method


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=4, size_of_family=3, seed=1, resolution=16)


@pytest.fixture
def fitted(catalog: Catalog) -> Painter:
    painter = Painter()
    painter.fit(catalog, [], 0, silent)
    return painter


def test_nothing_is_the_same_model_and_another_object(fitted: Painter, catalog: Catalog) -> None:
    found = unlearn("nothing", Task(fitted, catalog, catalog.ids[:2], 0.05, 0, silent))
    assert isinstance(found.generator, Painter) and found.generator is not fitted
    assert (found.method, found.options, found.spent.pairs) == ("nothing", {}, 0)
    np.testing.assert_array_equal(found.generator.weights, fitted.weights)
    found.generator.weights += 1
    assert not np.array_equal(found.generator.weights, fitted.weights)


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
        ({"method": "fine_tuning"}, "Painter gives no gradients"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    fitted: Painter, catalog: Catalog, wrong: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"method": "nothing", "budget": 0.1, "forget": catalog.ids[:1]} | wrong
    if given["forget"] == "all":
        given["forget"] = catalog.ids
    with pytest.raises(InputError, match=words):
        unlearn(given["method"], Task(fitted, catalog, given["forget"], given["budget"], 0, silent))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ascent:rat=1", "has no option 'rat'.*did you mean 'rate'"),
        ("ascent:rate", "options are written option=value, found 'rate'"),
        ("ascent:rate=fast", "'rate' of the method 'ascent' is of the kind float.*found 'fast'"),
        ("ascent:steps=1.5", "of the kind int"),
        ("nothing:rate=1", "has no option 'rate'; it has none"),
    ],
)
def test_options_that_there_are_not_are_refused(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_method(name)


def test_options_stand_in_the_name_or_beside_it() -> None:
    assert make_method("ascent:rate=0.5,steps=3") == make_method("ascent", rate=0.5, steps=3)
    assert make_method("ascent:rate=0.5", rate=0.25) == make_method("ascent", rate=0.25)

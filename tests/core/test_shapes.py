"""Shapes of records: what fits, and where something does not."""

from __future__ import annotations

from typing import Any

import pytest

from untrain.core.shapes import misfit

SHAPE = {
    "name": str,
    "stages": {"*": {"state": frozenset({"done", "running"}), "seconds": float}},
    "notes": [{"code!": str}],
    "told": (float, str),
    "anything": dict,
}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"name": None, "stages": None},
        {"stages": {"fit": {"state": "done", "seconds": 1}}, "later": [1]},
        {"notes": [{"code": "a", "more": 1}], "told": "a", "anything": {"a": [1]}},
        {"told": 0.5},
    ],
)
def test_what_fits(value: Any) -> None:
    assert misfit(value, SHAPE) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "it is []; expected a mapping"),
        ({"name": 1}, "name is 1; expected text"),
        ({"stages": {"fit": "done"}}, "stages.fit is 'done'; expected a mapping"),
        ({"stages": {"fit": {"state": "a"}}}, "stages.fit.state is 'a'; expected done or running"),
        ({"stages": {"fit": {"seconds": True}}}, "seconds is True; expected a number"),
        ({"notes": "a"}, "notes is 'a'; expected a list"),
        ({"notes": [{}]}, "notes[0].code is missing"),
        ({"notes": [{"code": "a"}, {"code": []}]}, "notes[1].code is []; expected text"),
        ({"told": []}, "told is []; expected a number"),
        ({"name": ["a" * 99]}, "…; expected text"),
    ],
)
def test_where_something_does_not_fit(value: Any, words: str) -> None:
    assert words in str(misfit(value, SHAPE))

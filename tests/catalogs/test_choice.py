"""Captions out of columns, filters, and that neither can do anything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrain.catalogs import rendered
from untrain.catalogs.choice import Choice, Template, Where
from untrain.catalogs.opening import load_catalog, refine
from untrain.core.errors import InputError

ROW = {"brand": "Acme", "colour": None, "article": "bag", "year": 2012, "price": "9.50", "on": True}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{brand} {colour} {article}", ["Acme bag"]),
        ("a {article} by {brand}, {year}", ["a bag by Acme, 2012"]),
        ("{{{brand}}}", ["{Acme}"]),
        ("a {colour} thing", []),
        ("brand", ["Acme"]),
        ("colour", []),
        ("nowhere", []),
    ],
)
def test_a_template_puts_columns_together(template: str, expected: list[str]) -> None:
    assert Template(template)(ROW) == expected


def test_a_column_may_hold_several_captions() -> None:
    row = {"captions": ["one ", "", None, "two"]}
    assert Template("captions")(row) == ["one", "two"]
    assert Template("x {captions}")(row) == ["x one two"]
    several = {s: Choice(caption="captions", captions=s).texts(row) for s in ("first", "all")}
    assert several == {"first": ["one"], "all": ["one", "two"]}
    assert Choice(caption="captions", captions="join").texts(row) == ["one two"]


@pytest.mark.parametrize(
    "template", ["{}", "{0!r}", "{brand!r}", "{brand:>9}", "{brand", "{{x}}", "brand}"]
)
def test_a_template_holds_names_and_nothing_else(template: str) -> None:
    with pytest.raises(InputError, match="caption template"):
        Template(template)


@pytest.mark.parametrize("name", ["brand.__class__", "brand[0]", "__import__('os')"])
def test_what_looks_like_an_expression_is_the_name_of_a_column(name: str) -> None:
    assert Template(f"{{{name}}}")({"brand": "x"}) == []
    assert Template(f"{{{name}}}")({name: "just a column"}) == ["just a column"]


@pytest.mark.parametrize(
    ("conditions", "passes"),
    [
        ({}, True),
        ({"brand": "Acme"}, True),
        ({"brand": ["X", "Acme"]}, True),
        ({"brand": ["X"]}, False),
        ({"brand": "Acme", "article": "hat"}, False),
        ({"year": 2012}, True),
        ({"year": "2012"}, True),
        ({"year": 2012.0}, True),
        ({"year": {"min": 2012, "max": 2012}}, True),
        ({"year": {"min": 2013}}, False),
        ({"price": {"max": 9.5}}, True),
        ({"price": {"max": 9.4}}, False),
        ({"price": 9.5}, True),
        ({"colour": {"min": 0}}, False),
        ({"colour": ""}, True),
        ({"colour": {"not": ""}}, False),
        ({"brand": {"not": ["X", "Y"]}}, True),
        ({"on": True}, True),
        ({"on": 1}, False),
    ],
)
def test_a_row_must_pass_every_column(conditions: dict[str, Any], passes: bool) -> None:
    assert Where(conditions)(ROW) is passes


@settings(deadline=None)
@given(st.integers(-5, 5) | st.floats(-5, 5), st.integers(-5, 5), st.integers(-5, 5))
def test_limits_are_numbers_in_text_too(value: float, low: int, high: int) -> None:
    where = Where({"n": {"min": low, "max": high}})
    assert where({"n": value}) is where({"n": str(value)}) is (low <= value <= high)


@pytest.mark.parametrize(
    "conditions", ["year > 2012", {"year": {"above": 1}}, {"year": {"min": "x"}}, {"year": {}}]
)
def test_anything_else_is_an_input_error(conditions: Any) -> None:
    with pytest.raises(InputError, match="where"):
        Where(conditions)


def test_any_catalogue_can_be_filtered_and_captioned_by_its_attributes() -> None:
    options: dict[str, Any] = {"families": 6, "size_of_family": 3, "resolution": 16}
    whole = rendered(**options)
    colour = whole.attributes["colour"][0]
    where = {"colour": colour}
    part = load_catalog("rendered", where=where, caption="{article}, {colour}", **options)
    rows = [i for i, c in enumerate(whole.attributes["colour"]) if c == colour]
    assert part.ids == tuple(whole.ids[row] for row in rows)
    assert part.captions == tuple(f"{whole.attributes['article'][row]}, {colour}" for row in rows)
    assert part.hashes == tuple(whole.hashes[row] for row in rows)
    assert load_catalog("rendered", where=where, **options).captions[0] == whole.captions[rows[0]]
    with pytest.raises(InputError, match=r"none of 18 rows passes where: 'colour' holds '"):
        load_catalog("rendered", where={"colour": "mauve"}, **options)
    with pytest.raises(InputError, match=r"names the column 'color', .* did you mean 'colour'\?"):
        refine(whole, Choice(caption="{color}"))

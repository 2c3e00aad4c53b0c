"""Columns over Arrow read like the tuples they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrain.catalogs import columns
from untrain.catalogs.columns import Ids, Lookup, Places, Texts, fingerprint_of, first_of_equals
from untrain.catalogs.reading import natural_bytes, natural_key
from untrain.core.files import fingerprint

TEXTS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=6), max_size=12)


@pytest.fixture(autouse=True, params=[3, 8192])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks smaller and larger than what is asked for."""
    monkeypatch.setattr(columns, "BLOCK", request.param)


def chunked(texts: list[str]) -> pa.ChunkedArray:
    """Return texts in chunks of four."""
    pieces = [texts[start : start + 4] for start in range(0, len(texts), 4)]
    return pa.chunked_array([pa.array(p, pa.large_string()) for p in pieces], pa.large_string())


def ids_of(texts: list[str]) -> Ids:
    data = chunked(texts)
    places, twice = Places.of(Texts(data))
    assert twice is None
    return Ids(data, places)


@settings(deadline=None)
@given(TEXTS, st.data())
def test_texts_are_a_tuple_to_those_who_use_them(texts: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([]))
    for found, expected in (
        (Texts(chunked(texts)), tuple(texts)),
        (Texts(chunked(texts)).take(np.array(rows)), tuple(texts[row] for row in rows)),
    ):
        assert len(found) == len(expected)
        assert found == expected and expected == found and list(found) == list(expected)
        assert found != (*expected, "x")
        first, last, step = (data.draw(st.integers(-14, 14)) for _ in range(3))
        assert found[first : last : step or 1] == expected[first : last : step or 1]
        for place in range(-len(expected), len(expected)):
            assert found[place] == expected[place] == found[np.int64(place)]
        with pytest.raises(IndexError):
            found[len(expected)]
        assert np.array(found, dtype=object).tolist() == list(expected)
        assert pd.Series(found, dtype=object).tolist() == list(expected)
        assert pd.DataFrame({"a": found})["a"].tolist() == list(expected)
        again = first_of_equals(found)
        assert again.tolist() == [expected.index(text) for text in expected]
        assert first_of_equals(expected).tolist() == again.tolist()


@settings(deadline=None)
@given(TEXTS.map(lambda texts: list(dict.fromkeys(texts))), st.data())
def test_ids_know_their_places(texts: list[str], data: st.DataObject) -> None:
    ids = ids_of(texts)
    rows = data.draw(st.sets(st.sampled_from(range(len(texts)))) if texts else st.just(set()))
    part = ids.take(np.array(sorted(rows), np.int64))
    smaller = part.take(np.arange(0, len(part), 2))
    for found in (ids, part, smaller):
        assert found.index_of == {text: place for place, text in enumerate(found)}
        assert {"not there", *found} - found.index_of.keys() == {"not there"} - set(found)
        frame = pd.Series(list(found), dtype=object)
        assert frame.map(found.index_of).tolist() == list(range(len(found)))
    table = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "id": chunked(texts)})
    lookup = Lookup(ids, table, ["id", "n"], lambda text, n: (text, n))
    assert dict(lookup) == {text: (text, place) for place, text in enumerate(texts)}


def test_digests_that_meet_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_digest", lambda text: len(text))
    ids = ids_of(["a", "b", "cc", "d"])
    assert [ids.index_of[text] for text in ("a", "b", "cc", "d")] == [0, 1, 2, 3]
    assert "e" not in ids.index_of and "ee" not in ids.index_of
    assert Places.of(Texts(chunked(["a", "b", "cc", "b"])))[1] == "b"


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_the_fingerprint_is_that_of_the_lists(a: list[str], b: list[str]) -> None:
    assert fingerprint_of(Texts(chunked(a)), tuple(b)) == fingerprint(a, b)


NAMES = st.text(st.sampled_from("ab019é/.#"), max_size=8)


@settings(deadline=None)
@given(st.lists(NAMES | st.text(st.characters(min_codepoint=1), max_size=5)))
def test_natural_bytes_are_in_natural_order(names: list[str]) -> None:
    assert sorted(names, key=natural_bytes) == sorted(names, key=natural_key)


def test_a_repr_is_short() -> None:
    assert repr(Texts(chunked([str(i) for i in range(999)]))) == "('0', '1', '2', … 999 texts)"

"""Rows that are added stay what they are, whoever adds them and whatever is cut off."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrain.core.cache import entries
from untrain.core.digests import digests_of_texts
from untrain.core.growing import GrowingTable


def table(folder: Path, version: int = 1) -> GrowingTable:
    return GrowingTable(
        folder / "rows",
        {"value": ("int32", 3), "root": ("float16", 1)},
        {"version": version},
        lambda: {"description": "numbers"},
    )


def add(to: GrowingTable, numbers: list[int]) -> None:
    values = np.array(numbers, np.int32)
    columns = {"value": np.repeat(values[:, None], 3, axis=1), "root": np.sqrt(values)}
    to.add(digests_of_texts(map(str, numbers)), columns)


def known(of: GrowingTable, numbers: list[int]) -> list[int]:
    """Return which of some numbers are there, after a look that each is what it was."""
    rows = of.find(digests_of_texts(map(str, numbers)))
    values, roots = of.column("value"), of.column("root")
    there = [n for n, row in zip(numbers, rows, strict=True) if row >= 0]
    for number, row in zip(numbers, rows, strict=True):
        if row >= 0:
            assert values[row].tolist() == [number] * 3
            assert roots[row, 0] == np.float16(np.sqrt(number))
    return there


numbers = st.lists(st.integers(0, 20), max_size=8)
steps = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 1), numbers),
    st.tuples(st.just("leave"), st.sampled_from(["value", "root", "hashes"]), st.binary()),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=8))
def test_two_that_add_and_what_a_kill_leaves_do_no_harm(done: list[tuple]) -> None:
    """A kill leaves bytes behind the rows that count; the next that adds cuts them off."""
    with TemporaryDirectory() as folder:
        both = table(Path(folder)), table(Path(folder))
        expected: set[int] = set()
        for what, which, more in done:
            if what == "add":
                add(both[which], more)
                expected |= set(more)
            elif expected:
                with (Path(folder) / "rows" / f"{which}.bin").open("ab") as file:
                    file.write(more[:7])  # less than a row of hashes, all of one of roots
        for each in (*both, table(Path(folder))):
            assert known(each, list(range(21))) == sorted(expected)
            assert len(each) == len(expected)


def test_many_at_once_write_each_row_once(tmp_path: Path) -> None:
    def work(start: int) -> None:
        own = table(tmp_path)
        for first in range(start, 60, 6):
            add(own, list(range(first, min(first + 12, 60))))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    found = table(tmp_path)
    assert known(found, list(range(60))) == list(range(60))
    assert len(found) == 60


def test_one_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    add(table(tmp_path), [1, 2])
    newer = table(tmp_path, version=2)
    assert known(newer, [1, 2]) == []
    add(newer, [2, 3])
    assert known(newer, [1, 2, 3]) == [2, 3]
    assert known(table(tmp_path), [1, 2, 3]) == []


@pytest.mark.parametrize("written", ["", "{", "null", '{"version": 1}'])
def test_one_whose_description_is_broken_is_begun_anew(tmp_path: Path, written: str) -> None:
    first = table(tmp_path)
    add(first, [1, 2])
    (tmp_path / "rows" / "meta.json").write_text(written)
    assert known(first, [1, 2]) == []
    add(first, [3])
    assert known(first, [1, 2, 3]) == [3]


def test_the_cache_says_how_many_rows_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    add(table(tmp_path / "checks"), [1, 2, 3])
    (entry,) = entries()
    assert (entry.rows, entry.description) == (3, "numbers")
    assert json.loads((entry.folder / "meta.json").read_text())["version"] == 1

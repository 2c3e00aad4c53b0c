from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrain.core.files import (
    atomic_path,
    discard_leftovers,
    fingerprint,
    read_json,
    rng,
    write_json,
    write_parquet,
    write_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("a", "b"):
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [p.name for p in path.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_a_mistake_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


def test_blocks_may_be_nested(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "outer") as outer, atomic_path(outer) as inner:
        inner.mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["outer"]


def test_what_a_killed_process_left_is_discarded(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / f".abc.{os.getpid() + 1}.tmp").mkdir(parents=True)
    (folder / f".abc.{os.getpid() + 1}.tmp" / "weights").touch()
    (tmp_path / ".a.parquet.123.tmp").touch()
    (tmp_path / ".lock").touch()
    (tmp_path / "mine.tmp").touch()
    discard_leftovers(tmp_path)
    assert {p.name for p in tmp_path.rglob("*")} == {"models", ".lock", "mine.tmp"}


def test_tables_and_json_read_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["007", "é"], "value": [0.1, float("nan")]}, index=[5, 6])
    write_parquet(tmp_path / "t.parquet", table)
    again = pd.read_parquet(tmp_path / "t.parquet")
    assert again["image_id"].tolist() == ["007", "é"]
    assert list(again.index) == [0, 1]
    write_json(tmp_path / "v.json", {"a": ["é", 1.5, None]})
    assert read_json(tmp_path / "v.json") == {"a": ["é", 1.5, None]}
    assert "é" in (tmp_path / "v.json").read_text(encoding="utf-8")


def test_fingerprints_do_not_change_between_versions() -> None:
    """A changed fingerprint would train every model of every old run again."""
    assert fingerprint("a", 1, [1.5, None]) == "2919103d4c220edb"
    assert fingerprint(np.arange(3, dtype=np.int64)) == "087a8bd09e888af3"
    by_hand = hashlib.sha256((5).to_bytes(8, "little") + b"bytes").hexdigest()
    assert fingerprint(b"bytes") == by_hand[:16]


def test_fingerprints_tell_content_shape_and_type_apart() -> None:
    array = np.arange(6)
    parts = [
        (array,),
        (array.reshape(2, 3),),
        (array.astype(np.int32),),
        (array[::-1],),
        ("ab",),
        ("a", "b"),
        ("b", "a"),
        (b"ab",),
        (),
    ]
    assert len({fingerprint(*p) for p in parts}) == len(parts)
    assert fingerprint(array[::2]) == fingerprint(np.ascontiguousarray(array[::2]))


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_the_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


def test_random_numbers_depend_on_their_key_alone() -> None:
    first = rng("noise", 3, "p00").random(4)
    rng("noise", 3, "p01").random(1000)
    assert np.array_equal(rng("noise", 3, "p00").random(4), first)
    assert not np.array_equal(rng("noise", 4, "p00").random(4), first)

"""An index in shards answers as one does, goes on where it stopped, and has the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.catalogs import picture, small_catalog
from untrain.catalogs.base import Catalog
from untrain.core.cluster import pack
from untrain.core.errors import InputError
from untrain.core.marks import MARKER
from untrain.encoders.embedding import Features, here
from untrain.encoders.layout import LayoutEncoder
from untrain.search.retrieve.vector_index import ExactIndex
from untrain.search.retrieve.vectors import inverse_norms
from untrain.search.sharded import Shard, ShardedIndex, merged, open_shards, write_shards

MADE_OF = ("layout", {})


def split(features: np.ndarray, ends: Sequence[int]) -> ShardedIndex:
    """Return an index over rows divided at ``ends``."""
    edges = [0, *sorted(set(ends)), len(features)]
    shards = []
    for start, end in pairwise(edges):
        part = features[start:end]
        if len(part):
            scale = inverse_norms(part, np.arange(len(part)))
            shards.append(Shard(Path(), start, part, scale))
    return ShardedIndex(tuple(shards), {})


@given(st.data())
def test_any_shards_answer_as_the_whole(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    ends = data.draw(
        st.lists(st.integers(1, 40), max_size=5).map(lambda e: [i for i in e if i < n])
    )
    top = data.draw(st.integers(1, 45))
    # Few different numbers, so that many cosines are equal; some vectors are zero.
    numbers = st.integers(-1, 1).map(float)
    rows = st.lists(numbers, min_size=3, max_size=3)
    features = np.array(data.draw(st.lists(rows, min_size=n, max_size=n)), np.float16)
    queries = np.array(data.draw(st.lists(rows, min_size=1, max_size=3)), np.float32)
    whole = ExactIndex().fit(features).query(queries, top)
    found = split(features, ends).query(queries, top)
    np.testing.assert_array_equal(found[0], whole[0])
    np.testing.assert_array_equal(found[1], whole[1])


def test_answers_merge_in_any_order() -> None:
    rng = np.random.default_rng(0)
    index = split(rng.integers(-1, 2, (30, 4)).astype(np.float16), [7, 9, 20])
    queries = np.eye(4, dtype=np.float32)[:2]
    answers = [ShardedIndex((shard,), {}).query(queries, 5) for shard in index.shards]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        positions, values = merged((answers[i] for i in order), 5)
        np.testing.assert_array_equal(positions, index.query(queries, 5)[0])
        np.testing.assert_array_equal(values, index.query(queries, 5)[1])


@pytest.mark.parametrize("queries", [np.zeros((1, 3)), np.zeros(4), np.full((1, 4), np.nan)])
def test_queries_of_another_encoder(queries: np.ndarray) -> None:
    with pytest.raises(InputError, match="by the encoder that the index was made with"):
        split(np.eye(4, dtype=np.float16), [2]).query(queries, 1)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return small_catalog({f"i{n}": picture(n) for n in range(40)})


@pytest.fixture(scope="module")
def whole(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "whole"
    assert write_shards(catalog, LayoutEncoder(), folder, MADE_OF, rows=16) == 3
    return folder


def test_rows_are_those_of_the_catalogue(catalog: Catalog, whole: Path) -> None:
    index = open_shards([whole])
    assert [len(shard.features) for shard in index.shards] == [16, 16, 8]
    pictures = [np.asarray(catalog.image(i)) for i in ("i39", "i3")]
    positions, cosines = index.query(LayoutEncoder().encode(pictures), 2)
    assert positions[:, 0].tolist() == [39, 3]
    np.testing.assert_allclose(cosines[:, 0], 1, atol=1e-3)
    found = index.rows([39, 3])
    assert [row["image_id"] for row in found] == ["i39", "i3"]
    assert found[0]["caption"] == "caption of i39"
    assert found[1]["content"] == catalog.hashes[3]


def test_what_is_missing_is_made_and_nothing_else(
    catalog: Catalog, whole: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(whole, tmp_path / "again"))
    shutil.rmtree(again / "shard-000001")
    with pytest.raises(InputError, match="lacks a shard"):
        open_shards([again])
    asked: list[str] = []

    def noting(encoder: LayoutEncoder, catalog: Catalog, ids: Sequence[str]) -> Features:
        asked.extend(ids)
        return here(encoder, catalog, ids)

    assert write_shards(catalog, LayoutEncoder(), again, MADE_OF, noting, rows=16) == 1
    assert asked == [f"i{n}" for n in range(16, 32)]
    assert pack(again) == pack(whole)
    assert write_shards(catalog, LayoutEncoder(), again, MADE_OF, rows=16) == 0


@pytest.mark.parametrize(
    "name", ["index.json", "shard-000001/features.npy", "shard-000001/scale.npy"]
)
def test_what_is_damaged_is_noticed_and_made_again(
    catalog: Catalog, whole: Path, tmp_path: Path, name: str
) -> None:
    again = Path(shutil.copytree(whole, tmp_path / "again"))
    data = bytearray((again / name).read_bytes())
    data[len(data) * 3 // 4] ^= 1
    (again / name).write_bytes(data)
    with pytest.raises(InputError, match="untrain index"):
        open_shards([again])
    write_shards(catalog, LayoutEncoder(), again, MADE_OF, rows=16)
    assert pack(again) == pack(whole)
    len(open_shards([again]))


def test_a_shard_whose_list_of_files_is_damaged_is_named(
    catalog: Catalog, whole: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(whole, tmp_path / "again"))
    marker = again / "shard-000001" / MARKER
    marker.write_bytes(marker.read_bytes()[:20])
    with pytest.raises(InputError, match="shard-000001 is damaged"):
        open_shards([again])
    with pytest.raises(InputError, match="move this folder away"):
        write_shards(catalog, LayoutEncoder(), again, MADE_OF, rows=16)
    shutil.move(marker.parent, tmp_path / "away")
    assert write_shards(catalog, LayoutEncoder(), again, MADE_OF, rows=16) == 1
    assert pack(again) == pack(whole)


def test_a_stop_keeps_what_is_finished(catalog: Catalog, whole: Path, tmp_path: Path) -> None:
    def stopped(encoder: LayoutEncoder, catalog: Catalog, ids: Sequence[str]) -> Features:
        for count, features in enumerate(here(encoder, catalog, ids)):
            if count == 2:
                raise KeyboardInterrupt
            yield features

    with pytest.raises(KeyboardInterrupt):
        write_shards(catalog, LayoutEncoder(), tmp_path / "index", MADE_OF, stopped, rows=16)
    assert write_shards(catalog, LayoutEncoder(), tmp_path / "index", MADE_OF, rows=16) == 1
    assert pack(tmp_path / "index") == pack(whole)


def test_several_indexes_are_searched_as_one(catalog: Catalog, whole: Path, tmp_path: Path) -> None:
    for name, rows in (("a", np.arange(24)), ("b", np.arange(24, 40))):
        write_shards(catalog.rows(rows), LayoutEncoder(), tmp_path / name, MADE_OF, rows=16)
    both, one = open_shards([tmp_path / "a", tmp_path / "b"]), open_shards([whole])
    queries = LayoutEncoder().encode([np.asarray(catalog.image("i30"))])
    for found, expected in zip(both.query(queries, 9), one.query(queries, 9), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert both.rows([30]) == one.rows([30])


def test_another_catalogue_has_another_folder(catalog: Catalog, whole: Path) -> None:
    part = catalog.rows(np.arange(20))
    for made, rows in ((part, 16), (catalog, 32)):
        with pytest.raises(InputError, match="name another folder"):
            write_shards(made, LayoutEncoder(), whole, MADE_OF, rows=rows)


def test_folders_that_hold_anything_else(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(InputError, match="is not an empty folder"):
        write_shards(catalog, LayoutEncoder(), tmp_path / "mine", MADE_OF)
    with pytest.raises(InputError, match="holds no index in shards"):
        open_shards([tmp_path / "mine"])
    with pytest.raises(InputError, match="multiple of 16"):
        write_shards(catalog, LayoutEncoder(), tmp_path / "new", MADE_OF, rows=100)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    files = {f"i{n}": picture(n) for n in range(20)} | {"broken": b"no picture"}
    with pytest.raises(InputError, match="'broken' is not in an image format"):
        write_shards(small_catalog(files), LayoutEncoder(), tmp_path / "index", MADE_OF, rows=16)
    assert (tmp_path / "index" / "shard-000000").is_dir()  # which was finished

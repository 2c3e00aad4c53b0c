"""The exact index finds what a plain sort finds, the others nearly; none misjudges."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from untrain.core.errors import InputError
from untrain.core.marks import mark
from untrain.search.retrieve import faiss_index, vectors
from untrain.search.retrieve.indexes import VECTOR_INDEXES
from untrain.search.retrieve.vector_index import ExactIndex, VectorIndex
from untrain.search.retrieve.vectors import cosines, principal_axes

KINDS = ["exact", "hnsw", "ivfpq"]


def clustered(count: int, wide: int = 32, seed: int = 0) -> np.ndarray:
    """Vectors round the same few centres, spread less and less along the axes, of any length."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(20, wide))
    spread = 0.5 * random.normal(size=(count, wide))
    lengths = random.uniform(0.5, 3, size=(count, 1))
    falling = 1 / np.sqrt(1 + np.arange(wide))
    points = (centres[random.integers(20, size=count)] + spread) * falling
    return (lengths * points).astype(np.float32)


def plainly(features: np.ndarray, query: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    wide = features.astype(np.float64)
    values = wide @ query / np.linalg.norm(wide, axis=1) / np.linalg.norm(query)
    order = np.argsort(-values, kind="stable")[:top]
    return order, values[order]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BLOCK", 2048)  # so that a pass takes many blocks
    monkeypatch.setattr(faiss_index, "WORTHWHILE", 1000)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_exact_is_a_plain_sort(dtype: type) -> None:
    queries = clustered(5, seed=1)
    features: np.ndarray = clustered(700).astype(dtype)
    positions, values = ExactIndex().fit(features).query(queries, 40)
    for row, query in enumerate(queries):
        expected, cosine = plainly(features, query.astype(np.float64), 40)
        np.testing.assert_array_equal(positions[row], expected)
        np.testing.assert_allclose(values[row], cosine, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float16, (12, 3), elements=st.sampled_from([-1, 0, 0.5, 1, 2])),
    arrays(np.float32, (1, 3), elements=st.sampled_from([-1, 0, 1])),
    st.integers(1, 14),
)
def test_equal_cosines_come_by_position(features: np.ndarray, query: np.ndarray, top: int) -> None:
    positions, values = ExactIndex().fit(features).query(query, top)
    assert positions.shape == (1, min(top, 12))
    for a, b, va, vb in zip(positions[0], positions[0, 1:], values[0], values[0, 1:], strict=False):
        assert va > vb or (va == vb and a < b)
    left_out = np.setdiff1d(np.arange(12), positions[0])
    rest = cosines(features, left_out, query[0]) if len(left_out) else np.zeros(0)
    assert all(value < values[0, -1] or value == values[0, -1] for value in rest)
    assert all(p > positions[0, -1] for p in left_out[rest == values[0, -1]])


def test_images_that_share_a_row_come_together(kind: str, small_blocks: None) -> None:
    features = clustered(1500)
    rows = np.concatenate([np.arange(1500)[::-1], [7, 7, 3]])  # 1500 and 1501 are copies of 1492
    index = VECTOR_INDEXES[kind]().fit(features, rows)
    positions, values = index.query(features[[7, 3]], 4)
    assert positions[0, :3].tolist() == [1492, 1500, 1501]
    assert positions[1, :2].tolist() == [1496, 1502]
    np.testing.assert_allclose(values[0, :3], 1)
    assert len(index) == 1503


def test_a_memory_map_is_read_as_an_array_is(tmp_path: Path, small_blocks: None) -> None:
    features = clustered(400).astype(np.float16)
    features.tofile(tmp_path / "features.bin")
    mapped = np.memmap(tmp_path / "features.bin", np.float16, "r", shape=features.shape)
    rows = np.random.default_rng(2).permutation(400)[:300]
    for one, other in zip(
        ExactIndex().fit(mapped, rows).query(clustered(3, seed=1), 10),
        ExactIndex().fit(features[rows]).query(clustered(3, seed=1), 10),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("kind", "times", "least"),
    [("hnsw", 1, 0.95), ("ivfpq", 1, 0.95), ("ivfpq", 9, 0.9)],  # more than 256 dimensions
)
def test_approximate_ones_find_nearly_all_and_measure_it(
    kind: str, times: int, least: float
) -> None:
    features, queries = (np.tile(each, times) for each in (clustered(3000), clustered(20, seed=1)))
    index = VECTOR_INDEXES[kind]().fit(features)
    assert index.measured["recall_at_10"] >= least
    assert index.recall(10, queries) >= least
    positions, values = index.query(queries, 10)
    np.testing.assert_allclose(values, index.cosines(queries, positions), rtol=1e-12)
    true = np.stack([plainly(features, query.astype(np.float64), 10)[0] for query in queries])
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(true, positions, strict=True)]
    assert np.mean(shared) == pytest.approx(index.recall(10, queries))


def test_recall_counts_what_is_missed() -> None:
    class Blind(ExactIndex):
        def _find(self, queries: np.ndarray, top: int) -> list[np.ndarray]:
            return [np.arange(1, len(self._rows), 2) for _ in queries]  # never an even one

    features = np.eye(8, dtype=np.float32) + 0.1
    assert Blind().fit(features).recall(1, features) == 0.5
    assert ExactIndex().fit(clustered(300)).recall() == 1


def test_all_images_can_be_asked_for(kind: str, small_blocks: None) -> None:
    """An approximate search comes back short then: the rest is looked up exactly."""
    features = clustered(1200)
    positions, values = VECTOR_INDEXES[kind]().fit(features).query(features[:2], 5000)
    assert positions.shape == (2, 1200)
    np.testing.assert_array_equal(np.sort(positions[0]), np.arange(1200))
    assert (np.diff(values) <= 0).all()


def test_every_finite_half_is_widened_to_the_same_number() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)][:, None]
    rows = np.arange(len(halves))
    wide = np.concatenate([block.copy() for _, block in vectors.blocks(halves, rows)])
    np.testing.assert_array_equal(wide, halves.astype(np.float32))
    assert np.array_equal(np.signbit(wide), np.signbit(halves))


def test_principal_axes_keep_cosines_where_vectors_lie_in_a_plane() -> None:
    random = np.random.default_rng(3)
    features = (random.normal(size=(200, 4)) @ random.normal(size=(4, 50))).astype(np.float32)
    axes = principal_axes(features, np.arange(200), 4)
    np.testing.assert_allclose(axes.T @ axes, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(features @ axes, axis=1), np.linalg.norm(features, axis=1), rtol=1e-4
    )


@pytest.mark.parametrize("times", [1, 9])  # as many dimensions, and more than 256
def test_a_loaded_index_answers_as_the_saved_one(
    kind: str, times: int, tmp_path: Path, small_blocks: None
) -> None:
    features, rows = np.tile(clustered(1300), times), np.arange(1300)[::-1]
    index = VECTOR_INDEXES[kind]().fit(features, rows)
    index.save(tmp_path / "index")
    VECTOR_INDEXES[kind].load(tmp_path / "index", features, rows).save(tmp_path / "again")
    shutil.rmtree(tmp_path / "index")
    loaded = VECTOR_INDEXES[kind].load(tmp_path / "again", features, rows)
    assert loaded.measured == index.measured
    asked = np.tile(clustered(4, seed=1), times)
    for one, other in zip(index.query(asked, 20), loaded.query(asked, 20), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("times", [1, 9])
@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_one_that_grew_finds_what_is_new_and_not_what_is_gone(
    kind: str, times: int, tmp_path: Path
) -> None:
    """In two steps, saved in between; new images are found like old ones, from any place."""
    features = np.tile(clustered(2400), times)
    steps = [
        np.setdiff1d(np.arange(2000), [7, 9]),  # then some at the end, some between, one twice
        np.random.default_rng(0).permutation([*range(2200), 30]),
        np.setdiff1d(np.arange(2400), np.arange(100, 200)),
    ]
    index = VECTOR_INDEXES[kind]().fit(features, steps[0])
    for number, rows in enumerate(steps[1:]):
        index.save(tmp_path / str(number))
        grown = VECTOR_INDEXES[kind].grown(tmp_path / str(number), features, rows)
        assert grown is not None and grown.measured == index.measured
        index = grown
        np.testing.assert_array_equal(index._scale, ExactIndex().fit(features, rows)._scale)
        index.save(tmp_path / "again")
        index = VECTOR_INDEXES[kind].load(tmp_path / "again", features, rows)
        for asked in ([7, 9, 2100, 2199], [150, 2350][number:]):
            positions, values = index.query(features[asked], 1)
            true, best = ExactIndex().fit(features, rows).query(features[asked], 1)
            np.testing.assert_array_equal(positions, true)
            np.testing.assert_allclose(values, best)
        assert index.recall(10, np.tile(clustered(30, seed=1), times)) > 0.9


@pytest.mark.usefixtures("small_blocks")
def test_one_that_cannot_grow_is_made_anew(tmp_path: Path) -> None:
    kind, features = VECTOR_INDEXES["hnsw"], clustered(4000)
    kind().fit(features, np.arange(1200)).save(tmp_path / "index")
    assert kind.grown(tmp_path / "index", features, np.arange(1100, 2400)) is None  # most are new
    assert kind.grown(tmp_path / "index", features, np.arange(2600)) is None
    assert kind.grown(tmp_path / "index", features[::-1], np.arange(1300)) is None
    assert kind.grown(tmp_path / "index", features[:1100]) is None
    kind().fit(features[:900]).save(tmp_path / "small")
    assert kind.grown(tmp_path / "small", features) is None
    ExactIndex().fit(features).save(tmp_path / "exact")
    assert ExactIndex.grown(tmp_path / "exact", features) is None
    with pytest.raises(InputError, match="is 'exact'"):
        kind.grown(tmp_path / "exact", features)


def test_what_is_damaged_of_another_version_or_of_other_features_is_said(
    kind: str, tmp_path: Path, small_blocks: None
) -> None:
    features, folder = clustered(1300), tmp_path / "index"
    index: VectorIndex = VECTOR_INDEXES[kind]().fit(features)
    index.save(folder)
    load = VECTOR_INDEXES[kind].load
    for other in (features + 1, features[:-1], features[:, :-1]):
        with pytest.raises(InputError, match="other features"):
            load(folder, other)
    with pytest.raises(InputError, match="other features"):
        load(folder, features, np.arange(1300)[::-1])
    largest = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    whole = largest.read_bytes()
    largest.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cannot be read .* delete it"):
        load(folder, features)
    largest.write_bytes(whole)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "version": 0}))
    mark(folder, checksums=True)  # as another version would have written it
    with pytest.raises(InputError, match="version 0; expected"):
        load(folder, features)


def test_a_full_disk_leaves_the_old_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = clustered(50)
    ExactIndex().fit(features).save(tmp_path / "index")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OSError, match="No space"):
            ExactIndex().fit(features[:20]).save(tmp_path / "index")
    assert len(ExactIndex.load(tmp_path / "index", features)) == 50
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_disk_that_fills_is_an_os_error_whatever_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise RuntimeError("Error in write: No space left on device\nfaiss/impl/io.cpp:67")

    monkeypatch.setattr(faiss_index, "WORTHWHILE", 100)
    index = VECTOR_INDEXES["hnsw"]().fit(clustered(200))
    monkeypatch.setattr(faiss_index._library(), "write_index", full)
    with pytest.raises(OSError, match=r"No space left on device$"):
        index.save(tmp_path / "index")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_blocks")
def test_images_that_share_a_row_are_found_once(kind: str) -> None:
    features, queries = clustered(1500), clustered(4, seed=1)
    rows = np.random.default_rng(3).integers(0, 1500, 4000)
    index = VECTOR_INDEXES[kind]().fit(features, rows)
    positions, values = index.distinct(queries, 30)
    used, first = np.unique(rows, return_index=True)
    for row in range(len(queries)):
        every, cosine = index.query(queries[row : row + 1], 200)
        _, where = np.unique(rows[every[0]], return_index=True)
        once = np.sort(where)[:30]
        np.testing.assert_array_equal(positions[row], every[0][once])
        np.testing.assert_array_equal(values[row], cosine[0][once])
        assert set(positions[row]) <= set(first)
    assert index.distinct(queries, 5000)[0].shape == (4, len(used))


def test_queries_that_cannot_be_answered_are_said(kind: str) -> None:
    index = VECTOR_INDEXES[kind]().fit(clustered(30))
    with pytest.raises(InputError, match=r"expected \(queries, 32\)"):
        index.query(np.ones((1, 31)), 1)
    with pytest.raises(InputError, match="not finite"):
        index.query(np.full((1, 32), np.nan), 1)
    with pytest.raises(InputError, match="at least 1"):
        index.query(np.ones((1, 32)), 0)
    with pytest.raises(InputError, match="no images"):
        VECTOR_INDEXES[kind]().fit(clustered(30), np.zeros(0, np.int64))
    with pytest.raises(InputError, match="did you mean 'hnsw'"):
        VECTOR_INDEXES["hnws"]

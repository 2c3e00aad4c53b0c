"""The feature store embeds an image once, survives a kill, and returns the same either way."""

import errno
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.core import disk
from untrain.core.cache import entries
from untrain.core.errors import InputError, is_disk_full
from untrain.core.marks import MARKER, beside
from untrain.encoders import embedding
from untrain.encoders import store as module
from untrain.encoders.store import FeatureStore


class CountingEncoder:
    """Mean colour and size, with a count of the images it has seen."""

    non_negative = True

    def __init__(self, name: str = "counting", fail_after: int = 10**9) -> None:
        self.fingerprint = name
        self.seen = 0
        self.fail_after = fail_after

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.seen += len(images)
        if self.seen > self.fail_after:
            raise KeyboardInterrupt
        rows = [[*image.mean(axis=(0, 1)) / 3, image.size] for image in images]
        return np.array(rows, np.float32).reshape(len(images), 4)


def catalog_of(values: Sequence[int]) -> Catalog:
    """Plain grey pictures; equal values are byte-identical copies."""
    files = {}
    for row, value in enumerate(values):
        buffer = io.BytesIO()
        Image.new("RGB", (4 + value % 3, 5), (value, value, value)).save(buffer, "PNG")
        files[f"i{row}"] = buffer.getvalue()
    return Catalog(
        name="test",
        ids=tuple(files),
        captions=tuple(files),
        hashes=tuple(hashlib.sha256(data).hexdigest() for data in files.values()),
        read=files.__getitem__,
        attributes=pd.DataFrame(index=range(len(files))),
    )


def expected(catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
    images = [np.asarray(catalog.image(image_id)) for image_id in ids]
    return CountingEncoder().encode(images).astype(np.float16).astype(np.float32)


def test_features_are_the_encoders_in_the_order_asked_for(tmp_path: Path) -> None:
    catalog, ids = catalog_of([10, 20, 30, 20]), ["i2", "i0", "i3", "i1", "i2"]
    features = FeatureStore(tmp_path, CountingEncoder()).features(catalog, ids, "embedding")
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, expected(catalog, ids))


def test_an_image_is_embedded_once_whatever_its_id(tmp_path: Path) -> None:
    catalog, encoder = catalog_of([10, 20, 20, 30]), CountingEncoder()
    store = FeatureStore(tmp_path, encoder)
    new = store.features(catalog, catalog.ids, "embedding")
    assert encoder.seen == 3
    np.testing.assert_array_equal(store.features(catalog, catalog.ids, "embedding"), new)
    again = CountingEncoder()
    other = catalog_of([99, 30, 20])
    features = FeatureStore(tmp_path, again).features(other, other.ids, "embedding")
    assert again.seen == 1
    np.testing.assert_array_equal(features, expected(other, other.ids))


def test_encoders_do_not_mix(tmp_path: Path) -> None:
    catalog, other = catalog_of([10, 20]), CountingEncoder("other")
    FeatureStore(tmp_path, CountingEncoder()).features(catalog, catalog.ids, "embedding")
    FeatureStore(tmp_path, other).features(catalog, catalog.ids, "embedding")
    assert other.seen == 2


def test_a_kill_loses_no_more_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    monkeypatch.setattr(embedding, "BATCH", 2)
    catalog = catalog_of(range(20))
    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path, CountingEncoder(fail_after=11)).features(
            catalog, catalog.ids, "embedding"
        )
    encoder = CountingEncoder()
    features = FeatureStore(tmp_path, encoder).features(catalog, catalog.ids, "embedding")
    assert encoder.seen == 12
    np.testing.assert_array_equal(features, expected(catalog, catalog.ids))


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the ten pictures 0–9."""
    folder = tmp_path_factory.mktemp("ten")
    catalog = catalog_of(range(10))
    FeatureStore(folder, CountingEncoder()).features(catalog, catalog.ids, "embedding")
    return folder


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10 * 8), st.integers(0, 10 * 32))
def test_files_cut_at_any_byte_are_repaired(ten: Path, features: int, hashes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ten / "counting", Path(folder, "counting"))
        os.truncate(Path(folder, "counting", "features.bin"), features)
        os.truncate(Path(folder, "counting", "hashes.bin"), hashes)
        catalog, encoder = catalog_of([12, *range(10), 11]), CountingEncoder()
        for _ in range(2):
            found = FeatureStore(Path(folder), encoder).features(catalog, catalog.ids, "embedding")
            np.testing.assert_array_equal(found, expected(catalog, catalog.ids))
        assert encoder.seen == 12 - min(features // 8, hashes // 32)


def test_a_full_disk_leaves_a_store_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    monkeypatch.setattr(embedding, "BATCH", 2)
    catalog, calls = catalog_of(range(12)), [0]

    append_at = disk.append_at

    def full(path: Path, start: int, data: memoryview) -> None:
        append_at(path, start, data)
        calls[0] += 1
        if calls[0] == 4:  # the features of the second block
            os.truncate(path, path.stat().st_size - 5)
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "append_at", full)
        with pytest.raises(OSError, match="No space") as failure:
            FeatureStore(tmp_path, CountingEncoder()).features(catalog, catalog.ids, "embedding")
    assert is_disk_full(failure.value)
    encoder = CountingEncoder()
    found = FeatureStore(tmp_path, encoder).features(catalog, catalog.ids, "embedding")
    np.testing.assert_array_equal(found, expected(catalog, catalog.ids))
    assert encoder.seen == 8


def test_the_index_is_a_map_of_the_file_with_a_row_for_every_image(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, CountingEncoder())
    first = catalog_of([50, 60])
    store.features(first, first.ids, "embedding")
    catalog = catalog_of([10, 60, 10, 50])
    features, rows = store.index(catalog, "embedding")
    assert isinstance(features, np.memmap)
    assert (features.shape, features.dtype) == ((3, 4), np.float16)
    np.testing.assert_array_equal(rows, [2, 1, 2, 0])
    np.testing.assert_array_equal(features[rows], expected(catalog, catalog.ids))
    none, no_rows = FeatureStore(tmp_path / "other", CountingEncoder()).index(catalog_of([]), "")
    assert none.shape == (0, 4)
    assert no_rows.shape == (0,)


def test_two_stores_see_what_the_other_adds(tmp_path: Path) -> None:
    one, other = (FeatureStore(tmp_path, CountingEncoder()) for _ in range(2))
    for values in ([1, 2], [2, 3], [4], [1, 2, 3, 4]):
        catalog = catalog_of(values)
        for store in (one, other):
            found = store.features(catalog, catalog.ids, "embedding")
            np.testing.assert_array_equal(found, expected(catalog, catalog.ids))
    assert one.encoder.seen + other.encoder.seen == 4  # type: ignore[attr-defined]


def test_processes_share_a_store(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = [pool.submit(embed_a_hundred, tmp_path, start) for start in (0, 30)]
        for start, result in zip((0, 30), results, strict=True):
            catalog = catalog_of(range(start, start + 100))
            np.testing.assert_array_equal(result.result(), expected(catalog, catalog.ids))
    features, rows = FeatureStore(tmp_path, CountingEncoder()).index(catalog_of(range(130)), "")
    assert len(features) == 130
    assert sorted(rows) == list(range(130))


def embed_a_hundred(folder: Path, start: int) -> np.ndarray:
    module.BLOCK = 7
    catalog = catalog_of(range(start, start + 100))
    return FeatureStore(folder, CountingEncoder()).features(catalog, catalog.ids, "embedding")


def test_a_store_deleted_meanwhile_is_made_again(tmp_path: Path) -> None:
    catalog = catalog_of([10, 20, 30])
    store = FeatureStore(tmp_path, CountingEncoder())
    store.features(catalog, ["i2"], "embedding")
    shutil.rmtree(store.folder)
    found = store.features(catalog, catalog.ids, "embedding")
    np.testing.assert_array_equal(found, expected(catalog, catalog.ids))


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"version": 1, "d": 4}'])
def test_an_unreadable_or_older_store_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    catalog = catalog_of([10, 20])
    FeatureStore(tmp_path, CountingEncoder()).features(catalog, catalog.ids, "embedding")
    (tmp_path / "counting" / "meta.json").write_text(damage)
    encoder = CountingEncoder()
    found = FeatureStore(tmp_path, encoder).features(catalog, catalog.ids, "embedding")
    np.testing.assert_array_equal(found, expected(catalog, catalog.ids))
    assert encoder.seen == 2
    assert "computed again" in " ".join(capsys.readouterr().err.split())


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "counting").mkdir()
    (tmp_path / "counting" / "meta.json").write_text('{"version": 99, "d": 4}')
    with pytest.raises(InputError, match="newer untrain"):
        FeatureStore(tmp_path, CountingEncoder()).index(catalog_of([10]), "embedding")


def test_an_encoder_whose_features_change_length_is_refused(tmp_path: Path, ten: Path) -> None:
    class Wide(CountingEncoder):
        def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
            return np.zeros((len(images), 5), np.float32)

    shutil.copytree(ten, tmp_path / "store")
    with pytest.raises(InputError, match="5 numbers per picture, and 4"):
        FeatureStore(tmp_path / "store", Wide()).index(catalog_of([77]), "embedding")


def test_without_a_folder_features_go_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    catalog = catalog_of([10, 20])
    FeatureStore(None, CountingEncoder()).features(catalog, catalog.ids, "embedding")
    assert (tmp_path / "cache" / "features" / "counting" / "features.bin").stat().st_size == 16
    (entry,) = entries()
    assert (entry.kind, entry.description, entry.rows) == ("features", "CountingEncoder", 2)


def test_no_ids_give_no_rows(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, CountingEncoder())
    assert store.features(catalog_of([10]), [], "embedding").shape == (0, 4)


def test_features_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    class Large(CountingEncoder):
        def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
            return super().encode(images) * 1e5

    catalog = catalog_of([10])
    with pytest.raises(InputError, match="65,504"):
        FeatureStore(tmp_path, Large()).features(catalog, catalog.ids, "embedding")


def test_a_broken_image_is_named_and_what_came_before_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 2)
    monkeypatch.setattr(embedding, "BATCH", 2)
    catalog = catalog_of(range(6))
    broken = replace(catalog, read=lambda i: b"" if i == "i5" else catalog.read(i))
    with pytest.raises(InputError, match="i5"):
        FeatureStore(tmp_path, CountingEncoder()).features(broken, catalog.ids, "embedding")
    encoder = CountingEncoder()
    FeatureStore(tmp_path, encoder).features(catalog, catalog.ids, "embedding")
    assert encoder.seen == 2


def test_somebodys_files_in_the_place_of_a_store_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "counting").mkdir()
    (tmp_path / "counting" / "features.bin").write_text("mine")
    with pytest.raises(InputError, match=r"holds features\.bin, which untrain did not write"):
        FeatureStore(tmp_path, CountingEncoder()).index(catalog_of([10]), "embedding")
    assert (tmp_path / "counting" / "features.bin").read_text() == "mine"


def test_a_store_whose_first_mark_was_being_written_at_a_kill_is_begun_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "counting").mkdir()
    left = beside(tmp_path / "counting" / MARKER)
    left.write_text('{"written_by": ')
    catalog = catalog_of([10, 20])
    found = FeatureStore(tmp_path, CountingEncoder()).features(catalog, catalog.ids, "embedding")
    np.testing.assert_array_equal(found, expected(catalog, catalog.ids))
    assert not left.exists()
    assert left.name not in (tmp_path / "counting" / MARKER).read_text()

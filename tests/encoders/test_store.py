"""The feature store embeds an image once, survives a kill, and returns the same either way."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.encoders import store as module
from untrain.encoders.store import FeatureStore
from untrain.errors import InputError


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


def test_a_kill_loses_no_more_than_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 4)
    monkeypatch.setattr(module, "BATCH", 2)
    catalog = catalog_of(range(20))
    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path, CountingEncoder(fail_after=11)).features(
            catalog, catalog.ids, "embedding"
        )
    # As if killed between the two files of a shard: features without hashes do not count.
    half_written = tmp_path / "counting" / "0123.npy"
    half_written.write_bytes(b"not yet")
    encoder = CountingEncoder()
    features = FeatureStore(tmp_path, encoder).features(catalog, catalog.ids, "embedding")
    assert encoder.seen == 12
    np.testing.assert_array_equal(features, expected(catalog, catalog.ids))


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


def test_a_damaged_shard_says_what_to_delete(tmp_path: Path) -> None:
    catalog = catalog_of([10, 20])
    FeatureStore(tmp_path, CountingEncoder()).features(catalog, catalog.ids, "embedding")
    next((tmp_path / "counting").glob("*.npy")).write_bytes(b"damaged")
    with pytest.raises(InputError, match="delete"):
        FeatureStore(tmp_path, CountingEncoder()).features(catalog, catalog.ids, "embedding")

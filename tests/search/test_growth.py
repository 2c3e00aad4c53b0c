"""A catalogue that grew, shrank or changed order answers as a fresh one does."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from untrain.catalogs import Catalog, rendered
from untrain.encoders.layout import LayoutEncoder
from untrain.encoders.store import FeatureStore
from untrain.search.catalog_index import open_calibration, open_index
from untrain.search.duplicates import duplicate_groups
from untrain.search.retrieve import faiss_index
from untrain.search.retrieve.candidates import open_text
from untrain.search.retrieve.vector_index import VectorIndex

PICTURES = rendered(families=8, size_of_family=3, resolution=16)
IDS = list(PICTURES.ids)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


def answers(catalog: Catalog, kind: str) -> list[object]:
    """What is found for some pictures and words, whatever the rows of the store."""
    opened = open_index(catalog, LayoutEncoder(), kind)
    asked = LayoutEncoder().encode([np.asarray(PICTURES.image(i)) for i in IDS[::5]])
    found = [*opened.vectors.query(asked, 5), *opened.vectors.distinct(asked, 5)]
    found += open_text(catalog)[0].query([PICTURES.captions[0]], 5)
    return [*(each.tolist() for each in found), open_calibration(opened)[0].ratios.tolist()]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.lists(st.sampled_from(IDS), min_size=3, unique=True), min_size=2, max_size=3),
    st.sampled_from(["exact", "ivfpq"]),
)
def test_answers_do_not_depend_on_what_was_there_before(steps: list[list[str]], kind: str) -> None:
    catalogs = [PICTURES.subset([*ids, IDS[0]]) for ids in steps]
    with TemporaryDirectory() as folder:
        before = os.environ["UNTRAIN_CACHE"]
        try:
            os.environ["UNTRAIN_CACHE"] = f"{folder}/grown"
            grown = [answers(each, kind) for each in catalogs][-1]
            copies = [duplicate_groups(each) for each in catalogs][-1]
            os.environ["UNTRAIN_CACHE"] = f"{folder}/fresh"
            assert grown == answers(catalogs[-1], kind)
            pd.testing.assert_frame_equal(copies, duplicate_groups(catalogs[-1]))
        finally:
            os.environ["UNTRAIN_CACHE"] = before


def test_an_index_grows_out_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_index, "WORTHWHILE", 10)
    few, some = PICTURES.subset(IDS[:18]), PICTURES.subset(IDS[2:22])
    open_index(few, LayoutEncoder(), "hnsw")
    with monkeypatch.context() as patch:
        patch.setattr(VectorIndex, "fit", None)  # cannot be called
        opened = open_index(some, LayoutEncoder(), "hnsw")
        assert opened.notes[0].code == "catalog-changed"
        again = open_index(some, LayoutEncoder(), "hnsw")
    assert not again.notes
    asked = np.asarray(opened.features[opened.rows], np.float32)
    for each in (opened, again):
        np.testing.assert_array_equal(each.vectors.query(asked, 1)[0][:, 0], np.arange(20))


def test_no_picture_is_hashed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    duplicate_groups(PICTURES.subset(IDS[:10]))
    embedded: list[str] = []
    real = FeatureStore._embed

    def noting(self: FeatureStore, catalog: Catalog, ids: list[str], *others: object) -> None:
        embedded.extend(ids)
        real(self, catalog, ids, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureStore, "_embed", noting)
    duplicate_groups(PICTURES.subset(IDS[4:12]))
    assert embedded == 2 * IDS[10:12]  # layout features and hashes

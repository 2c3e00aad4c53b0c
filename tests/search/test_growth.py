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

from tests.helpers.catalogs import encoded, small_catalog
from untrain.catalogs import Catalog, rendered
from untrain.encoders.layout import LayoutEncoder
from untrain.encoders.store import FeatureStore
from untrain.search import near_copies
from untrain.search.catalog_index import open_calibration, open_index
from untrain.search.duplicates import duplicate_groups
from untrain.search.retrieve import faiss_index
from untrain.search.retrieve.candidates import open_text
from untrain.search.retrieve.vector_index import VectorIndex

DRAWN = rendered(families=4, size_of_family=3, resolution=64)
FILES = {f"{i}0": DRAWN.read(i) for i in DRAWN.ids}
FILES |= {f"{i}1": encoded(DRAWN.image(i), "JPEG", quality=90, subsampling=0) for i in DRAWN.ids}
FILES |= {f"{i}2": DRAWN.read(i) for i in DRAWN.ids[:4]}  # copies: near ones and exact ones
PICTURES = small_catalog(dict(sorted(FILES.items())))
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


@pytest.mark.slow
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
            fresh = duplicate_groups(catalogs[-1])
            pd.testing.assert_frame_equal(copies, fresh)
            both = [{f"{i[:-1]}0", f"{i[:-1]}1"} <= {*steps[-1], IDS[0]} for i in DRAWN.ids]
            assert not any(both) or "near" in set(fresh["kind"])
        finally:
            os.environ["UNTRAIN_CACHE"] = before


def test_an_index_grows_out_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_index, "WORTHWHILE", 10)
    distinct = [i for i in IDS if i[-1] != "2"]
    few, some = PICTURES.subset(distinct[:18]), PICTURES.subset(distinct[2:22])
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
    compared: list[int] = []
    real, near = FeatureStore._embed, near_copies._with_cosine

    def noting(self: FeatureStore, catalog: Catalog, ids: list[str], *others: object) -> None:
        embedded.extend(ids)
        real(self, catalog, ids, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureStore, "_embed", noting)
    monkeypatch.setattr(
        near_copies, "_with_cosine", lambda p, *rest: (compared.append(len(p)), near(p, *rest))[1]
    )
    found = duplicate_groups(PICTURES.subset(IDS[4:12]))
    new = [i for i in IDS[10:12] if PICTURES.hashes[PICTURES.index[i]] not in PICTURES.hashes[:10]]
    assert embedded == 2 * new  # layout features and hashes
    assert sum(compared) < len(found)

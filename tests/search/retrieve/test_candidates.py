"""Retrieval finds what scikit-learn's cosine, the features or both put first, in a fixed order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from tests.helpers.captions import captions
from tests.helpers.places import SHARED
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.search.retrieve import candidates as retrieval
from untrain.search.retrieve import faiss_index
from untrain.search.retrieve.candidates import (
    RETRIEVERS,
    PictureSearch,
    fuse,
    needs_pictures,
    retrieve,
    text_index,
    text_similarity,
)
from untrain.search.retrieve.inverted import best
from untrain.search.retrieve.text import TfidfRetriever


def catalog_of(texts: list[str]) -> Catalog:
    ids = tuple(f"i{n:04d}" for n in range(len(texts)))
    nothing = pd.DataFrame(index=range(len(texts)))
    return Catalog("test", ids, tuple(texts), ids, lambda _: b"", nothing)


def test_scores_and_order_are_those_of_the_plain_cosine() -> None:
    texts, prompts = captions(300), ["red hat for men", "striped SHOE, 2012", "winter winter"]
    vectorizer = TfidfVectorizer()
    weights = vectorizer.fit_transform(texts)
    expected = cosine_similarity(vectorizer.transform(prompts), weights)
    indices, scores = TfidfRetriever().fit(texts).query(prompts, 40)
    for row in range(len(prompts)):
        np.testing.assert_allclose(scores[row], expected[row, indices[row]], rtol=1e-12)
        np.testing.assert_allclose(scores[row], -np.sort(-expected[row])[:40], rtol=1e-12)


def test_equal_scores_come_by_position() -> None:
    indices, _ = TfidfRetriever().fit(["hat", "shoe", "hat", "hat", "shoe"]).query(["hat"], 4)
    assert indices.tolist() == [[0, 2, 3, 1]]
    assert best(np.array([1.0, 2.0, 2.0, 0.0, 2.0]), 2).tolist() == [1, 2]


def test_a_prompt_is_answered_alike_alone_and_among_many() -> None:
    retriever = TfidfRetriever().fit(captions(200))
    prompts = captions(150, seed=1)
    indices, scores = retriever.query(prompts, 10)
    for row in (0, 64, 149):
        alone = retriever.query([prompts[row]], 10)
        np.testing.assert_array_equal(alone[0][0], indices[row])
        np.testing.assert_array_equal(alone[1][0], scores[row])


def test_table_ranks_from_one_and_stops_at_the_catalogue() -> None:
    prompts = pd.DataFrame({"prompt_id": ["p0", "p1"], "prompt": ["red hat", "blue shoe"]})
    table = retrieve(catalog_of(captions(30)), prompts, top=1000).table
    assert list(table.columns) == ["prompt_id", "image_id", "rank", "score"]
    for _, rows in table.groupby("prompt_id"):
        assert rows["rank"].tolist() == list(range(1, 31))
        assert rows["image_id"].is_unique
        assert rows["score"].is_monotonic_decreasing


def test_what_cannot_be_answered_is_said() -> None:
    retriever = TfidfRetriever().fit(["red hat"])
    with pytest.raises(InputError, match="zeppelin"):
        retriever.query(["red", "a zeppelin"], 1)
    with pytest.raises(InputError, match="at least 1"):
        retriever.query(["red"], 0)
    with pytest.raises(InputError, match="cannot be indexed"):
        TfidfRetriever().fit(["!", "?"])
    with pytest.raises(InputError, match="did you mean 'tfidf'"):
        RETRIEVERS["tfdf"]


PROMPTS = pd.DataFrame({"prompt_id": ["p0", "p1"], "prompt": ["red hat", "blue shoe"]})


def pictures_of(count: int) -> PictureSearch:
    random = np.random.default_rng(5)
    features = random.normal(size=(count + 3, 12)).astype(np.float16)
    rows = random.permutation(count + 3)[:count]
    queries = {p: random.normal(size=(5, 12)).astype(np.float32) for p in PROMPTS["prompt_id"]}
    return PictureSearch(features, rows, queries)


@pytest.mark.parametrize("method", ["features", "hnsw", "ivfpq"])
def test_pictures_are_found_by_the_mean_cosine_over_generations(method: str) -> None:
    catalog, pictures = catalog_of(captions(40)), pictures_of(40)
    table = retrieve(catalog, PROMPTS, method, top=15, pictures=pictures).table
    of_images = pictures.features[pictures.rows].astype(np.float64)
    for prompt_id, rows in table.groupby("prompt_id"):
        mean = cosine_similarity(pictures.queries[str(prompt_id)], of_images).mean(axis=0)
        order = np.argsort(-mean)[:15]
        assert rows["image_id"].tolist() == [catalog.ids[i] for i in order]
        np.testing.assert_allclose(rows["score"], mean[order], rtol=1e-5)


def test_hybrid_fuses_the_ranks_in_captions_and_in_pictures() -> None:
    catalog, pictures = catalog_of(captions(40)), pictures_of(40)
    text, features = (
        retrieve(catalog, PROMPTS, method, 40, pictures).table.set_index(["prompt_id", "image_id"])
        for method in ("tfidf", "features")
    )
    text = text[text["score"] > 0]  # captions that share no word with the prompt have no rank
    by_hand = (1 / (60 + text["rank"])).add(1 / (60 + features["rank"]), fill_value=0)
    table = retrieve(catalog, PROMPTS, "hybrid", 10, pictures).table
    scores = table.set_index(["prompt_id", "image_id"])["score"]
    np.testing.assert_allclose(scores, by_hand[scores.index])
    for _, rows in table.groupby("prompt_id"):
        assert rows["rank"].tolist() == list(range(1, 11))
        assert rows["score"].min() >= by_hand[rows["prompt_id"].iloc[0]].nlargest(10).min() - 1e-15


def test_hybrid_finds_as_many_for_every_prompt() -> None:
    """Words and pictures that have nothing in common with a prompt come last, but come."""
    texts = ["red hat", "red shoe", "blue bag", "green bag", "green bag"]
    features = np.eye(5, dtype=np.float32)
    queries = {"p0": features[:1], "p1": features[1:2] - features[2:3]}
    pictures = PictureSearch(features, np.arange(5), queries)
    table = retrieve(catalog_of(texts), PROMPTS, "hybrid", 4, pictures).table
    assert table.groupby("prompt_id").size().tolist() == [4, 4]
    first = table[table["prompt_id"] == "p0"]
    assert first["image_id"].tolist() == ["i0000", "i0001", "i0002", "i0003"]
    by_hand = [2 / 61, 2 / 62, 1 / 63, 1 / 64]  # cosines of 0 rank by position
    np.testing.assert_allclose(first["score"], by_hand)


def test_what_an_approximate_search_misses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_index, "WORTHWHILE", 100)
    catalog, pictures = catalog_of(captions(150)), pictures_of(150)
    measured = retrieve(catalog, PROMPTS, "hnsw", 10, pictures).measured
    assert 0.5 < measured["recall_at_10"] <= 1 and measured["queries"] == 100
    for method in ("tfidf", "features", "hybrid"):
        assert retrieve(catalog, PROMPTS, method, 10, pictures).measured == {}


def test_fusion_by_hand() -> None:
    positions, scores = fuse([np.array([5, 2, 9]), np.array([2, 7])], top=3)
    assert positions.tolist() == [2, 5, 7]  # 5 is first of one list, 7 second of the other
    np.testing.assert_allclose(scores, [1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_methods_that_need_pictures_say_so() -> None:
    needing = {method for method in RETRIEVERS if needs_pictures(method)}
    assert needing == {"features", "hnsw", "ivfpq", "hybrid"}
    assert set(RETRIEVERS) - needing == {"tfidf", "bm25"}
    with pytest.raises(InputError, match="'hybrid' searches by generated pictures"):
        retrieve(catalog_of(captions(5)), PROMPTS, "hybrid")


def test_text_similarity_of_pairs_is_the_plain_cosine() -> None:
    texts = captions(60)
    catalog = catalog_of(texts)
    random = np.random.default_rng(1)
    pairs = pd.DataFrame(
        {"prompt_id": random.choice(["p0", "p1"], 30), "image_id": random.choice(catalog.ids, 30)},
        index=random.permutation(30),
    )
    vectorizer = TfidfVectorizer().fit(texts)
    asked = dict(zip(PROMPTS["prompt_id"], PROMPTS["prompt"], strict=True))
    expected = [
        cosine_similarity(*map(vectorizer.transform, ([asked[p]], [texts[catalog.index[i]]])))[0, 0]
        for p, i in zip(pairs["prompt_id"], pairs["image_id"], strict=True)
    ]
    series = text_similarity(catalog, PROMPTS, pairs)
    assert series.name == "text_tfidf"
    assert series.index.equals(pairs.index)
    np.testing.assert_allclose(series, expected, rtol=1e-12)


def test_large_catalogues_are_fitted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(retrieval, "KEPT_FROM", 20)
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    catalog = catalog_of(captions(30))
    first = text_index(catalog).query(["red hat"], 5)
    folder = next((tmp_path / "indexes").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(TfidfRetriever, "fit", None)  # not asked again
        again = text_index(catalog).query(["red hat"], 5)
    np.testing.assert_array_equal(first, again)
    (folder / "meta.json").write_text("{}")  # damaged: made anew
    np.testing.assert_array_equal(first, text_index(catalog).query(["red hat"], 5))
    assert text_index(catalog_of(captions(30, seed=9)), "bm25").query(["red"], 1)[0].shape == (1, 1)
    assert len(list((tmp_path / "indexes").iterdir())) == 2


def test_every_prompt_of_the_study_is_answered_from_its_own_captions() -> None:
    folder = SHARED / "data/seed/descriptions"
    if not folder.is_dir():
        pytest.skip("the study's prompts are not here (shared/data/seed)")
    prompts = [
        line.strip()
        for path in sorted(folder.glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    indices, scores = TfidfRetriever().fit(prompts).query(prompts, 1)
    np.testing.assert_allclose(scores, 1)
    assert [prompts[i] for i in indices[:, 0]] == prompts

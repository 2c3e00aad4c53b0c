"""Retrieval finds the captions that scikit-learn's cosine puts first, in a fixed order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from untrain.catalogs.base import Catalog
from untrain.errors import InputError
from untrain.search.retrieval import RETRIEVERS, TfidfRetriever, best, retrieve

COLOURS, THINGS = ("red", "blue", "green", "striped"), ("shirt", "hat", "shoe", "bag")
REST = ("men", "women", "summer", "winter", "2011", "2012")
WORDS = (*COLOURS, *THINGS, *REST)


def captions(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, 6)) for _ in range(count)]


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
    table = retrieve(catalog_of(captions(30)), prompts, top=1000)
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


def test_every_prompt_of_the_study_is_answered_from_its_own_captions() -> None:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data/seed/descriptions"
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

"""Scores become rankings: order, ties, scope, and what has no score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from untrain.attribution.as_ranking import Scope, ranking_of
from untrain.attribution.base import Attributor, Evidence, Scores
from untrain.catalogs import Catalog, rendered
from untrain.core.errors import InputError
from untrain.generators.queries import Queries


class Given(Attributor):
    """An attributor that says what it is told."""

    name = "given"
    kind = "fake"

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def scores(self, evidence: Evidence) -> Scores:
        return Scores(self.values)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=2, size_of_family=4, resolution=16)


@pytest.fixture(scope="module")
def evidence(catalog: Catalog) -> Evidence:
    texts = {"p0": "a shirt", "p1": "a shoe"}
    queries = Queries((("p0", 0), ("p1", 0)), texts, [])
    prompts = pd.DataFrame({"prompt_id": list(texts), "prompt": list(texts.values())})
    return Evidence(catalog, queries, prompts)


def scores(catalog: Catalog) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, len(catalog))).astype(np.float32)


def test_images_are_in_the_order_of_their_scores(catalog: Catalog, evidence: Evidence) -> None:
    values = scores(catalog)
    table = ranking_of(Given(values), evidence, Scope(3)).table
    assert list(table) == ["method", "prompt_id", "image_id", "score", "rank"]
    for row, prompt_id in enumerate(("p0", "p1")):
        own = table[table["prompt_id"] == prompt_id]
        assert own["rank"].tolist() == [1, 2, 3]
        best = np.argsort(-values[row])[:3]
        assert own["image_id"].tolist() == [catalog.ids[i] for i in best]
        np.testing.assert_allclose(own["score"], values[row, best])


def test_equal_scores_go_by_id(catalog: Catalog, evidence: Evidence) -> None:
    table = ranking_of(Given(np.zeros((2, len(catalog)))), evidence, Scope(4)).table
    assert table["image_id"][:4].tolist() == sorted(catalog.ids)[:4]


def test_the_last_images_keep_their_true_ranks(catalog: Catalog, evidence: Evidence) -> None:
    table = ranking_of(Given(scores(catalog)), evidence, Scope(2, last=1)).table
    assert table["rank"].tolist() == [1, 2, len(catalog)] * 2


def test_candidates_alone_are_ranked(catalog: Catalog, evidence: Evidence) -> None:
    ids = [catalog.ids[i] for i in (5, 0, 2)]
    candidates = pd.DataFrame({"prompt_id": ["p0"] * 3 + ["p1"] * 3, "image_id": ids * 2})
    table = ranking_of(Given(scores(catalog)), evidence, Scope(8, candidates=candidates)).table
    assert set(table["image_id"]) == set(ids)
    assert table["rank"].tolist() == [1, 2, 3] * 2


def test_images_without_a_score_are_left_out_and_said(catalog: Catalog, evidence: Evidence) -> None:
    values = scores(catalog)
    values[0, :3] = np.nan
    found = ranking_of(Given(values), evidence, Scope(8))
    assert found.table["prompt_id"].value_counts().to_dict() == {"p0": 5, "p1": 8}
    (note,) = found.notes
    assert note.about == ("p0",) and "3 images without a finite score" in str(note)
    values[0] = np.nan
    with pytest.raises(InputError, match="'given' is undefined for prompt 'p0'"):
        ranking_of(Given(values), evidence, Scope(8))
    with pytest.raises(InputError, match=r"shape \(1, 2\)"):
        ranking_of(Given(np.zeros((1, 2))), evidence, Scope(8))

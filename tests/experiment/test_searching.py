"""What a run makes of its search settings: retrieval, encoders, rankings, the copy test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.folders import record
from tests.helpers.runs import run
from untrain.core.errors import InputError
from untrain.encoders import load_encoder
from untrain.experiment.stages.compare import run_copy_test
from untrain.runs.queries import read_queries
from untrain.runs.run import Run, open_run
from untrain.settings.config import Config

Make = Callable[..., Config]
Copy = Callable[..., Path]


def signed(images: list[np.ndarray]) -> np.ndarray:
    """Features of which half are below zero."""
    means = np.stack([image.reshape(-1, 3).mean(axis=0) for image in images])
    return np.concatenate([means, -means], axis=1) / 255


SIGNED = f"encoder={__name__}:signed"


@pytest.mark.parametrize("method", ["bm25", "features", "hybrid", "hnsw", "ivfpq"])
def test_every_method_of_retrieval_finds_candidates(
    config: Make, micro_copy: Copy, method: str
) -> None:
    folder = micro_copy()
    run(config(f"retrieval.method={method}", "retrieval.top=12"), until="compare")
    found = pd.read_parquet(folder / "retrieval.parquet")
    assert (found.groupby("prompt_id").size() == 12).all()
    assert not found.duplicated(["prompt_id", "image_id"]).any()
    compared = pd.read_parquet(folder / "comparison.parquet")
    pairs = compared[["prompt_id", "image_id"]].drop_duplicates()
    assert len(pairs) == len(found)
    assert ("pooled_cosine" in compared) == (method != "bm25")


def test_a_search_by_pictures_follows_the_pictures(config: Make, micro_copy: Copy) -> None:
    """With one generation less other images may be nearest; the text search is left alone."""
    folder = micro_copy()
    run(config("retrieval.method=features"), until="retrieve")
    stamp = (folder / "retrieval.parquet").stat().st_mtime_ns
    run(config("retrieval.method=features"), until="retrieve")
    assert (folder / "retrieval.parquet").stat().st_mtime_ns == stamp
    run(config("retrieval.method=features", "generations=1"), until="retrieve")
    assert (folder / "retrieval.parquet").stat().st_mtime_ns != stamp


def test_features_below_zero_leave_kl_and_the_studys_ranking_out(
    config: Make, micro_copy: Copy
) -> None:
    folder = micro_copy()
    run(config(SIGNED), until="rank")
    assert pd.read_parquet(folder / "comparison.parquet")["feature_kl"].isna().all()
    assert set(pd.read_parquet(folder / "ranking.parquet")["method"]) == {"fusion"}
    told = " ".join(w["text"] for w in record(folder)["warnings"])
    assert "feature_kl" in told and "The ranking study is left out" in told


def test_the_studys_ranking_is_refused_before_anything_is_trained(
    config: Make, trained: list[str]
) -> None:
    with pytest.raises(InputError, match="cannot be negative"):
        run(config(SIGNED, "ranking.method=study"))
    assert not trained


def test_what_a_ranking_leaves_out_is_told(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run(config(SIGNED, "ranking.method=zscore", "ranking.also=[fusion]"), until="rank")
    told = [w["text"] for w in record(folder)["warnings"] if "anking zscore" in w["text"]]
    assert len(told) == 1 and "feature_kl" in told[0] and "6 of the prompts" in told[0]


def test_scores_of_ones_own_decide(config: Make, micro_copy: Copy, tmp_path: Path) -> None:
    folder = micro_copy()
    opened = open_run(folder)
    asked = opened.prompts[opened.prompts["role"] == "query"]["prompt_id"]
    ids = opened.catalog.ids
    draw = np.random.default_rng(0).normal(size=(len(asked), len(ids)))
    scores = pd.DataFrame(draw, index=list(asked), columns=list(ids)).rename_axis("prompt_id")
    scores = scores.reset_index().melt("prompt_id", var_name="image_id", value_name="score")
    path = tmp_path / "own.parquet"
    scores.to_parquet(path)
    settings = (f"ranking.method=scores:{path}", "ranking.also=[]")
    run(config(*settings), until="remove")
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    best = dict(zip(asked, np.array(ids)[draw.argmax(axis=1)], strict=True))
    first = sets[(sets["arm"] == "targeted") & (sets["rank"] == 1)]
    assert len(first)
    assert all(best[p] == i for p, i in zip(first["prompt_id"], first["image_id"], strict=True))

    scores.assign(score=-scores["score"]).to_parquet(path)
    run(config(*settings), until="remove")
    again = pd.read_parquet(folder / "forget_sets.parquet")
    assert set(again[again["arm"] == "targeted"]["image_id"]) != set(
        sets[sets["arm"] == "targeted"]["image_id"]
    )


def test_scores_for_unknown_images_are_refused_before_anything_is_trained(
    config: Make, tmp_path: Path, trained: list[str]
) -> None:
    path = tmp_path / "own.parquet"
    table = {"prompt_id": ["p00"], "image_id": ["nobody"], "score": [1.0]}
    pd.DataFrame(table).to_parquet(path)
    with pytest.raises(InputError, match="nobody"):
        run(config(f"ranking.method=scores:{path}"))
    assert not trained


def test_the_copy_test_knows_what_a_model_memorised(config: Make, micro_copy: Copy) -> None:
    """Queries that are training images, as the frozen parts draw them, are flagged; all of them."""
    folder = micro_copy()
    opened = Run(config())
    opened.trainer.prepare()
    catalog, generator, queries = opened.catalog, opened.generator, read_queries(folder)
    known = [catalog.ids[(7 * row) % len(catalog)] for row in range(len(queries))]
    redrawn = generator.decode(generator.encode(catalog.pixels(generator.image_size, known)))
    memorised = replace(queries, pictures=list(redrawn))
    encoder = load_encoder("layout")
    table, found = run_copy_test(
        memorised, catalog, opened.held_out, generator, encoder, alpha=0.02
    )
    before = record(folder)["copies"]
    assert found["near_copies"] == found["queries"] == 12
    assert list(table["generation"]) == [generation for _, generation in queries.keys]
    assert before["near_copies"] < 12
    # Not 1: micro's autoencoder is so coarse that held-out pictures come out as training images do.
    assert found["auc"] > 0.6 and found["auc"] > before["auc"]


def test_copies_are_told_in_the_summary(micro_run: Path) -> None:
    summary = json.loads((micro_run / "results/summary.json").read_text())
    assert summary["copies"]["queries"] == len(pd.read_parquet(micro_run / "copies.parquet"))
    assert "Copy test: " in (micro_run / "results/summary.md").read_text()

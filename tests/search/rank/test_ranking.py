"""Rankings put the most influential first, for any scale of metrics, and never rank a NaN."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from PIL import Image, ImageFilter

from untrain.catalogs.rendered.catalog import family_prompt, rendered
from untrain.core.errors import InputError
from untrain.encoders import load_encoder
from untrain.search.compare.comparison import compare
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.metric_table import LEFT_OUT
from untrain.search.rank.ranking import RANKINGS, check_method, metrics_of, parse_method, rank
from untrain.search.rank.rules import FUSED, STUDY_WEIGHTS, study_score
from untrain.search.rank.weights import Weights
from untrain.search.retrieve.candidates import retrieve

PAIRWISE = [name for name in METRICS if METRICS[name].needs in ("pixels", "features")]


def tables(seed: int = 0, prompts: int = 2, n: int = 6) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(seed)
    ids = [f"i{k}" for k in range(n)]
    index = pd.MultiIndex.from_product(
        [[f"p{k}" for k in range(prompts)], range(3), ids],
        names=["prompt_id", "generation", "image_id"],
    )
    values = random.random((len(index), len(PAIRWISE)))
    comparison = pd.DataFrame(values, index, PAIRWISE).reset_index()
    retrieval = comparison.loc[comparison["generation"] == 0, ["prompt_id", "image_id"]].copy()
    retrieval["score"] = random.random(len(retrieval))
    retrieval["rank"] = retrieval.groupby("prompt_id")["score"].rank(ascending=False)
    return comparison, retrieval


def test_the_study_score_by_hand() -> None:
    row = {
        "pixel_mse": 5000.0,
        "pixel_mae": 20.0,
        "pixel_cross_correlation": 9e9,
        "pixel_histogram": 9e9,
        "pixel_cosine": 0.9,
        "pixel_ssim": 0.5,
        "feature_cosine": 0.6,
        "feature_mse": 2.0,
        "feature_kl": 7e4,
        "feature_manhattan": 6e4,
        "feature_minkowski": 400.0,
    }
    pairs = [row, row | {"pixel_mse": 7000.0}, row | {"feature_kl": np.nan}]
    comparison = pd.DataFrame(pairs).assign(prompt_id="p", image_id="i", generation=[0, 1, 2])
    first = 0.5 + 0.2 - 0.9 - 0.5 - 0.6 + 2.0 + 0.7 + 0.6 + 0.4
    # The second pair is 0.2 further; the third has a NaN and is skipped.
    assert study_score(comparison)[("p", "i")] == pytest.approx(first + 0.1)


def test_study_ranks_the_lowest_score_first() -> None:
    comparison, retrieval = tables()
    ranked = rank("study", comparison, retrieval).table
    scores = study_score(comparison)
    for prompt, rows in ranked.groupby("prompt_id"):
        assert rows["image_id"].tolist() == scores[prompt].sort_values().index.tolist()


@pytest.mark.parametrize("method", list(RANKINGS))
def test_every_ranking_has_the_same_shape(method: str) -> None:
    comparison, retrieval = tables()
    found = rank(method, comparison, retrieval)
    ranked = found.table
    assert list(ranked.columns) == ["method", "prompt_id", "image_id", "score", "rank"]
    assert set(ranked["method"]) == {method}
    assert found.notes == ()
    for _, rows in ranked.groupby("prompt_id"):
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5, 6]
        assert rows["score"].is_monotonic_decreasing


@pytest.mark.parametrize("method", list(RANKINGS))
def test_a_prompt_is_ranked_alike_alone_and_in_any_order(method: str) -> None:
    comparison, retrieval = tables()
    together = rank(method, comparison, retrieval).table
    alone = rank(
        method,
        comparison[comparison["prompt_id"] == "p1"].iloc[::-1],
        retrieval[retrieval["prompt_id"] == "p1"].iloc[::-1],
    ).table
    expected = together[together["prompt_id"] == "p1"].reset_index(drop=True)
    assert alone["image_id"].tolist() == expected["image_id"].tolist()
    np.testing.assert_allclose(alone["score"], expected["score"])


@pytest.mark.parametrize("method", list(RANKINGS))
def test_equal_scores_come_by_id(method: str) -> None:
    comparison, retrieval = tables(n=4)
    comparison[PAIRWISE] = 0.3
    retrieval["score"] = 0.7
    ranked = rank(method, comparison.iloc[::-1], retrieval.iloc[::-1]).table
    assert ranked["image_id"].tolist() == ["i0", "i1", "i2", "i3"] * 2


def test_fusion_does_not_depend_on_units() -> None:
    comparison, retrieval = tables()
    scaled = comparison.assign(
        pixel_mse=comparison["pixel_mse"] * 1e6, pixel_mae=comparison["pixel_mae"] + 500
    )
    expected = rank("fusion", comparison, retrieval).table
    found = rank("fusion", scaled, retrieval).table
    assert found["image_id"].tolist() == expected["image_id"].tolist()
    np.testing.assert_allclose(found["score"], expected["score"], atol=1e-9)


def test_fusion_leaves_out_an_undefined_metric_and_says_so() -> None:
    comparison, retrieval = tables()
    comparison.loc[comparison["prompt_id"] == "p1", "pixel_cosine"] = np.nan
    found = rank("fusion", comparison, retrieval)
    ranked = found.table
    assert [(note.code, note.about) for note in found.notes] == [(LEFT_OUT, ("pixel_cosine",))]
    assert "for 1 of the prompts (p1)" in found.notes[0].text
    assert ranked["score"].notna().all()
    assert len(ranked) == 12


def test_fusion_bears_one_undefined_pair() -> None:
    comparison, retrieval = tables()
    comparison.loc[0, "pixel_cosine"] = np.nan
    found = rank("fusion", comparison, retrieval)
    ranked = found.table
    assert found.notes == ()
    assert len(ranked) == 12


def test_study_without_kl_says_what_to_do() -> None:
    comparison, retrieval = tables()
    comparison["feature_kl"] = np.nan
    with pytest.raises(InputError, match=r"(?s)p0.*`layout`.*`fusion`"):
        rank("study", comparison, retrieval)


@pytest.mark.parametrize("method", ["study", "pixel_cosine"])
def test_a_candidate_without_a_score_is_left_out_and_named(method: str) -> None:
    comparison, retrieval = tables()
    comparison.loc[comparison["image_id"] == "i2", "pixel_cosine"] = np.nan
    found = rank(method, comparison, retrieval)
    ranked = found.table
    assert "i2" not in set(ranked["image_id"])
    assert [note.about for note in found.notes] == [("p0", "p1")]
    assert found.notes[0].code == "candidates-left-out"


def test_an_unknown_ranking_is_named() -> None:
    comparison, retrieval = tables()
    with pytest.raises(InputError, match="did you mean 'fusion'"):
        rank("fussion", comparison, retrieval)


def test_zscore_is_the_sum_of_the_studys_metrics_standardised() -> None:
    comparison, _ = tables(prompts=1)
    expected = pd.Series(0.0, comparison.index)
    for _, rows in comparison.groupby("generation"):
        for metric, weight in STUDY_WEIGHTS.items():
            expected[rows.index] += -np.sign(weight) * scipy.stats.zscore(rows[metric])
    mean = expected.groupby(comparison["image_id"]).mean()
    ranked = rank("zscore", comparison).table.set_index("image_id")["score"]
    np.testing.assert_allclose(ranked[mean.index], mean)


def test_rrf_by_hand() -> None:
    comparison = pd.DataFrame(
        {
            "prompt_id": "p",
            "generation": 0,
            "image_id": ["a", "b", "c"],
            "pixel_mse": [1.0, 2.0, 3.0],  # a, b, c
            "pixel_mae": [5.0, 1.0, 9.0],  # b, a, c
            "pixel_cosine": [0.9, 0.9, 0.1],  # a and b share 1.5
            "feature_cosine": [0.2, 0.3, 0.4],  # c, b, a
            "text_tfidf": [0.5, 0.2, 0.1],  # a, b, c
        }
    )
    ranked = rank("rrf", comparison).table.set_index("image_id")["score"]
    assert ranked["a"] == pytest.approx(1 / 61 + 1 / 62 + 1 / 61.5 + 1 / 63 + 1 / 61)
    assert ranked["b"] == pytest.approx(1 / 62 + 1 / 61 + 1 / 61.5 + 1 / 62 + 1 / 62)
    assert ranked["c"] == pytest.approx(3 / 63 + 1 / 63 + 1 / 61)


@pytest.mark.parametrize("metric", ["pixel_mse", "feature_cosine", "pixel_phash"])
def test_a_single_metric_ranks_the_nearest_first(metric: str) -> None:
    comparison, retrieval = tables(prompts=1)
    ranked = rank(f"metric:{metric}", comparison, retrieval).table
    mean = comparison.groupby("image_id")[metric].mean() * METRICS[metric].direction
    assert ranked["image_id"].tolist() == mean.sort_values(ascending=False).index.tolist()
    assert set(ranked["method"]) == {f"metric:{metric}"}


def test_a_metric_that_was_not_measured_is_an_error() -> None:
    comparison, retrieval = tables()
    with pytest.raises(InputError, match="'metric:text_clip' is undefined for prompt 'p0'"):
        rank("metric:text_clip", comparison, retrieval)


def test_text_of_the_comparison_counts_before_the_score_of_the_retrieval() -> None:
    comparison, retrieval = tables(prompts=1)
    by_retrieval = rank("text", comparison, retrieval).table
    turned = retrieval.assign(text_tfidf=-retrieval["score"])[["image_id", "text_tfidf"]]
    by_comparison = rank("text", comparison.merge(turned, on="image_id"), retrieval).table
    assert by_comparison["image_id"].tolist() == by_retrieval["image_id"].tolist()[::-1]


def test_without_a_prompt_fusion_goes_by_pictures_and_says_so() -> None:
    comparison, _ = tables(prompts=1)
    found = rank("fusion", comparison)
    ranked = found.table
    assert [note.about for note in found.notes] == [("text_tfidf",)]
    assert ranked["score"].notna().all()
    with pytest.raises(InputError, match="needs a prompt"):
        rank("text", comparison)


@pytest.mark.parametrize("method", ["fusion", "zscore", "rrf"])
def test_infinity_never_enters_a_ranking(method: str) -> None:
    comparison, retrieval = tables(prompts=1)
    comparison.loc[comparison["image_id"] == "i2", "pixel_mse"] = np.inf
    found = rank(method, comparison, retrieval)
    ranked = found.table
    assert [note.about for note in found.notes] == [("pixel_mse",)]
    assert np.isfinite(ranked["score"]).all()


def test_no_metric_at_all_is_an_error() -> None:
    comparison, _ = tables()
    with pytest.raises(InputError, match="'fusion' is undefined for prompt 'p0'"):
        rank("fusion", comparison.assign(**dict.fromkeys(FUSED, np.nan)))


@pytest.mark.parametrize(
    ("name", "kind", "beside"),
    [
        ("fusion", "", "fusion"),
        ("metric:pixel_ssim", "metric", "metric:pixel_ssim"),
        ("fitted:w.json", "fitted", "fitted:/here/w.json"),
        ("scores:/there/s.parquet", "scores", "scores:/there/s.parquet"),
    ],
)
def test_names_are_taken_apart_and_files_found_beside_a_folder(
    name: str, kind: str, beside: str
) -> None:
    method = parse_method(name)
    assert method.kind == kind
    assert (method.file is None) == (kind in ("", "metric"))
    assert method.beside(Path("/here")) == beside


def test_the_metrics_of_any_ranking_are_known(tmp_path: Path) -> None:
    Weights({"pixel_mse": 1.0, "text_clip": 0.5}, 0.0, {}).save(tmp_path / "w.json")
    assert metrics_of("fusion") == metrics_of("rrf") == FUSED
    assert metrics_of("study") == metrics_of("zscore") == tuple(STUDY_WEIGHTS)
    assert metrics_of("text") == ("text_tfidf",)
    assert metrics_of("metric:pixel_phash") == ("pixel_phash",)
    assert metrics_of(f"fitted:{tmp_path / 'w.json'}") == ("pixel_mse", "text_clip")
    assert metrics_of("fitted:gone.json") == metrics_of("scores:mine.parquet") == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fussion", "did you mean 'fusion'"),
        ("metric:pixel_sim", "did you mean 'pixel_ssim'"),
        ("fitted:", "unknown ranking 'fitted:'; expected one of fusion"),
        ("fited:w.json", r"fitted:weights\.json"),
        ("fitted:absent.json", "needs absent.json, which is not a file"),
        ("scores:absent.parquet", "needs absent.parquet, which is not a file"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_method(name)


def degraded(picture: Image.Image, random: np.random.Generator) -> np.ndarray:
    """What a small generator would make of a real picture: coarse, blurred and noisy."""
    small = picture.filter(ImageFilter.GaussianBlur(1)).resize((32, 32))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=25)
    noisy = np.asarray(Image.open(buffer)) + random.normal(0, 12, (32, 32, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def test_fusion_finds_the_family_behind_a_picture_and_no_worse_than_the_study() -> None:
    catalog = rendered(families=40, size_of_family=15, seed=3, resolution=48)
    encoder, random = load_encoder("layout"), np.random.default_rng(0)
    family = dict(zip(catalog.ids, catalog.attributes["family"], strict=True))
    found: dict[str, list[float]] = {"study": [], "fusion": []}
    for name in sorted(set(family.values()))[:6]:
        members = [image_id for image_id in catalog.ids if family[image_id] == name]
        rest = catalog.subset(set(catalog.ids) - set(members[:3]))
        prompts = pd.DataFrame({"prompt_id": [name], "prompt": [family_prompt(catalog, name)]})
        retrieval = retrieve(rest, prompts).table
        generated = [degraded(catalog.image(image_id), random) for image_id in members[:3]]
        candidates = [np.asarray(rest.image(image_id)) for image_id in retrieval["image_id"]]
        comparison = compare(
            name,
            generated,
            list(retrieval["image_id"]),
            candidates,
            encoder.encode(generated),
            encoder.encode(candidates),
        )
        for method, precisions in found.items():
            ranked = rank(method, comparison, retrieval).table
            first = ranked.loc[ranked["rank"] <= 10, "image_id"]
            precisions.append(float(np.mean([family[image_id] == name for image_id in first])))
    assert np.mean(found["fusion"]) >= max(0.95, float(np.mean(found["study"])))

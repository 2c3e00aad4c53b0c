"""Fitted weights recover what made the effects, and say where they come from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from tests.helpers.fitting import INTERCEPT, TRUE, make_run
from untrain.attribution.fitting import fit_weights, ridge
from untrain.core.errors import InputError
from untrain.runs.examples import read_examples
from untrain.search.rank.metric_table import LEFT_OUT
from untrain.search.rank.ranking import check_method, rank
from untrain.search.rank.weights import Weights


def fit(*runs: Path) -> Weights:
    return fit_weights([read_examples(run) for run in runs])


def test_weights_of_known_effects_are_found_again(tmp_path: Path) -> None:
    fitted = fit(make_run(tmp_path / "a", seed=1), make_run(tmp_path / "b", seed=2))
    for metric, weight in TRUE.items():
        assert fitted.weights[metric] == pytest.approx(weight, rel=0.05)
    assert all(weight > 0 for weight in fitted.weights.values())
    assert sum(fitted.weights[m] for m in set(fitted.weights) - set(TRUE)) < 0.01
    assert fitted.intercept == pytest.approx(INTERCEPT, abs=0.01)
    assert fitted.about["cross_validation"]["r2"] > 0.99
    assert fitted.about["cross_validation"]["spearman"] > 0.99
    assert fitted.about["sets"] == 2 * 12 * 3
    assert fitted.about["prompts"] == 24
    assert [run["name"] for run in fitted.about["runs"]] == ["a", "b"]
    assert "pixel_ssim" in fitted.about["left_out"]


@pytest.mark.parametrize("measure", ["loss", "dissimilarity"])
def test_weights_are_fitted_on_whatever_a_run_measures(tmp_path: Path, measure: str) -> None:
    fitted = fit(make_run(tmp_path / "a", measure=measure))
    assert fitted.weights["pixel_mse"] == pytest.approx(TRUE["pixel_mse"], rel=0.05)
    assert (fitted.about["measure"], fitted.about["unit"]) == (measure, measure)
    with pytest.raises(InputError, match="differ in what they measured"):
        fit(tmp_path / "a", make_run(tmp_path / "b", seed=1))


@pytest.mark.parametrize("strength", [0.1, 30.0])
def test_ridge_agrees_with_scikit_learn(strength: float) -> None:
    random = np.random.default_rng(0)
    x = random.normal(2.0, [1.0, 3.0, 0.2], (50, 3))
    y = x @ [0.5, -0.2, 1.0] + random.normal(size=50)
    scaler = StandardScaler().fit(x)
    expected = Ridge(strength, positive=True, tol=1e-10).fit(scaler.transform(x), y)
    weights, intercept = ridge(x, y, strength)
    np.testing.assert_allclose(weights * scaler.scale_, expected.coef_, atol=1e-5)
    np.testing.assert_allclose(
        x @ weights + intercept, expected.predict(scaler.transform(x)), atol=1e-5
    )
    assert weights[1] == 0


def test_noise_is_not_mistaken_for_skill(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", prompts=30)
    effects = pd.read_parquet(run / "results" / "effects.parquet")
    effects["effect"] = np.random.default_rng(3).normal(size=len(effects))
    effects.to_parquet(run / "results" / "effects.parquet")
    quality = fit(run).about["cross_validation"]
    assert abs(quality["r2"]) < 0.1


def test_a_set_counts_with_its_increments_and_only_if_its_images_were_compared(
    tmp_path: Path,
) -> None:
    found = read_examples(make_run(tmp_path / "a")).sets
    assert set(found["arm"]) == {"targeted", "random_candidate"}
    images = found[found["prompt_id"] == "p00"].set_index(["arm", "k"])["images"].to_dict()
    assert images == {
        ("targeted", 4): 4,
        ("targeted", 10): 10,
        ("random_candidate", 4): 4,
    }
    # The effect of an image is the mean over the set of the true rule.
    predicted = INTERCEPT + (found[list(TRUE)] * pd.Series(TRUE)).sum(axis=1)
    np.testing.assert_allclose(found["effect"], predicted)


def test_saved_weights_rank_as_those_in_memory(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    fitted = Weights({"pixel_mse": 0.3, "feature_kl": 0.01, "text_tfidf": 0.2}, 0.05, {"sets": 9})
    path = tmp_path / "weights.json"
    fitted.save(path)
    assert Weights.load(path) == fitted
    comparison = pd.read_parquet(run / "comparison.parquet")
    retrieval = pd.read_parquet(run / "retrieval.parquet")
    check_method(f"fitted:{path}")
    ranked = rank(f"fitted:{path}", comparison, retrieval).table
    in_memory = fitted.rank(comparison, retrieval).table
    pd.testing.assert_frame_equal(ranked, in_memory.assign(method=f"fitted:{path}"))
    # The score is the rule that the file states, which any program can follow.
    told = json.loads(path.read_text())
    score = pd.Series(told["intercept"], ranked.set_index(["prompt_id", "image_id"]).index)
    table = comparison.join(
        retrieval.set_index(["prompt_id", "image_id"])["score"].rename("text_tfidf"),
        on=["prompt_id", "image_id"],
    )
    for metric, weight in told["weights"].items():
        pictures = table.groupby(["prompt_id", "generation"])[metric]
        z = (table[metric] - pictures.transform("mean")) / pictures.transform(
            lambda v: v.std(ddof=0)
        )
        mean = z.groupby([table["prompt_id"], table["image_id"]]).mean()
        score += weight * told["directions"][metric] * mean
    by_hand = score.loc[list(zip(ranked["prompt_id"], ranked["image_id"], strict=True))]
    np.testing.assert_allclose(ranked["score"], by_hand)


def test_an_undefined_metric_is_left_out_of_the_score_and_said(tmp_path: Path) -> None:
    comparison = pd.read_parquet(make_run(tmp_path / "a") / "comparison.parquet")
    weights = Weights({"pixel_mse": 1.0, "text_tfidf": 1.0}, 0.0, {})
    found = weights.rank(comparison[comparison["prompt_id"] == "p00"])
    assert [(note.code, note.about) for note in found.notes] == [(LEFT_OUT, ("text_tfidf",))]
    assert found.table["score"].notna().all()


@pytest.mark.parametrize(
    "name",
    ["comparison.parquet", "results/effects.parquet", "prompts.csv", "run.json"],
)
def test_an_unfinished_run_is_named(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "half")
    (run / name).unlink()
    with pytest.raises(InputError, match=rf"half: found no {name}.*finished run"):
        fit(run)


def test_runs_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    with pytest.raises(InputError, match="given twice"):
        fit(run, tmp_path / "." / "a")
    with pytest.raises(InputError, match="no run"):
        fit()
    with pytest.raises(InputError, match=r"found 3 prompts .*expected at least 10"):
        fit(make_run(tmp_path / "few", prompts=3))
    together = pd.read_parquet(make_run(tmp_path / "b") / "forget_sets.parquet")
    together = together.assign(forget_set_id=together["arm"] + "/all/k4")
    together.to_parquet(tmp_path / "b" / "forget_sets.parquet")
    with pytest.raises(InputError, match="a set for each prompt"):
        fit(tmp_path / "b")
    effects = pd.read_parquet(run / "results" / "effects.parquet")
    effects.assign(design="before-after").to_parquet(run / "results" / "effects.parquet")
    with pytest.raises(InputError, match="randomised design"):
        fit(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as fitted weights"),
        ("[]", "not fitted weights of format 1"),
        ('{"format": 9}', "not fitted weights of format 1"),
        ('{"format": 1, "intercept": 0}', "not a mapping of known metrics"),
        ('{"format": 1, "intercept": 0, "weights": {"pixel_wow": 1}}', "known metrics"),
        ('{"format": 1, "intercept": 0, "weights": {"pixel_mse": "x"}}', "is no number"),
        ('{"format": 1, "weights": {"pixel_mse": 1}}', "is no number"),
        ('{"format": 1, "intercept": 0, "weights": {"pixel_mse": NaN}}', "not finite"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(InputError, match=rf"w\.json.*{message}"):
        check_method(f"fitted:{tmp_path / 'w.json'}")

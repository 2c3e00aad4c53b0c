"""Calibrations find the scale of scores, and their intervals hold what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from untrain.attribution.calibrating import coverage, fit_calibration
from untrain.attribution.calibration import Calibration, MeasuredSets
from untrain.core.errors import InputError

SLOPE, NOISE = 1.7, 0.05


def measured(
    seed: int, prompts: int = 40, run: str = "", shape: str = "linear", relative: float = 0.1
) -> MeasuredSets:
    """Sets whose effect is a known function of their scores, off by 10 %, measured with noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt in range(prompts):
        own = 1 + relative * rng.normal()
        for arm, score in (("targeted", rng.uniform(0.5, 3)), ("random_uniform", 0.0)):
            score = score + 0.02 * rng.normal()
            effect = SLOPE * score if shape == "linear" else 2 * np.tanh(SLOPE * score)
            effect = own * effect + NOISE * rng.normal()
            group = f"{run or seed}-{prompt}"
            rows.append(("trial", arm, f"p{prompt}", group, 10, score, effect, NOISE))
    columns = ["source", "arm", "prompt_id", "group", "k", "score", "effect", "noise"]
    table = pd.DataFrame(rows, columns=columns)
    return MeasuredSets(
        run or f"seed-{seed}", f"key-{seed}", "cat", "recipe", "dtrak", "nll", "bits/token", table
    )


def test_a_linear_scale_is_found_and_its_intervals_cover() -> None:
    found = fit_calibration([measured(0)])
    assert found.scale == "linear"
    assert found.effect(np.array([1.0]))[0] == pytest.approx(SLOPE, rel=0.05)
    assert found.effect(np.array([0.0]))[0] == 0
    assert found.relative == pytest.approx(0.1, abs=0.05)
    assert found.confidence == 0.95
    shares = [coverage(found, [measured(seed)]).inside for seed in range(1, 9)]
    assert 0.9 < np.mean(shares) < 0.995
    checked = coverage(found, [measured(3)])
    assert checked.slope == pytest.approx(1, abs=0.05)
    assert checked.by_arm["targeted"][0] == 40
    assert checked.spearman is not None and checked.spearman > 0.9


def test_the_interval_of_the_effect_itself_is_narrower_than_that_of_a_measurement() -> None:
    found = fit_calibration([measured(0)])
    x = np.array([1.0, 2.0])
    _, low, high = found.effects(x)
    _, lower, higher = found.effects(x, NOISE)
    assert (high - low < higher - lower).all()
    assert (high - low)[1] > 1.8 * (high - low)[0] * 0.5  # it grows with the effect
    rng = np.random.default_rng(5)
    true = SLOPE * 2.0 * (1 + 0.1 * rng.normal(size=2000))
    inside = (found.effects(np.full(2000, 2.0))[1] < true) & (
        true < found.effects(np.full(2000, 2.0))[2]
    )
    assert 0.88 < inside.mean() <= 1


def test_a_saturating_scale_is_isotonic() -> None:
    runs = [measured(seed, shape="tanh") for seed in (0, 1, 2)]
    found = fit_calibration(runs)
    assert found.scale == "isotonic"
    at = found.effect(np.linspace(-1, 5, 50))
    assert (np.diff(at) >= 0).all() and at.max() < 2.6
    errors = found.about["cross_validation"]
    assert errors["isotonic"]["mean_absolute_error"] < errors["linear"]["mean_absolute_error"]
    assert fit_calibration(runs, "linear").scale == "linear"
    assert len(found.about["runs"]) == 3 and found.about["sets"] == 240


def test_few_prompts_promise_less() -> None:
    assert fit_calibration([measured(0, prompts=9)]).confidence == pytest.approx(0.9)
    with pytest.raises(InputError, match="expected at least 5 prompts"):
        fit_calibration([measured(0, prompts=4)])


def test_scores_that_say_nothing_get_wide_intervals() -> None:
    run = measured(0)
    shuffled = np.random.default_rng(1).permutation(run.sets["score"])
    found = fit_calibration([replace(run, sets=run.sets.assign(score=shuffled))])
    effect, low, high = found.effects(np.array([1.0]))
    assert low[0] < 0 < effect[0] < high[0]


def test_it_is_known_by_what_it_was_fitted_on(tmp_path: Path) -> None:
    found = fit_calibration([measured(0), measured(1)])
    found.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == Calibration.load(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json").knots == found.knots
    codes = [note.code for note in found.check("bits/token", "recipe", "cat", "key-9")]
    assert codes == []
    codes = [note.code for note in found.check("bits/token", "recipe", "cat", "key-1")]
    assert codes == ["calibration-of-this-run"]
    codes = [note.code for note in found.check("bits/token", "other", "other")]
    assert codes == ["calibration-of-other-recipe", "calibration-of-other-catalog"]
    with pytest.raises(InputError, match="is in bits/token and the model is measured in loss"):
        found.check("loss", "recipe", "cat")
    with pytest.raises(InputError, match="was fitted on seed-1"):
        coverage(found, [measured(1)])
    with pytest.raises(InputError, match="has scores of trak"):
        coverage(found, [replace(measured(2), method="trak")])


def test_runs_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InputError, match="differ in what was scored"):
        fit_calibration([measured(0), replace(measured(1), method="trak")])
    with pytest.raises(InputError, match="given twice"):
        fit_calibration([measured(0), measured(0)])
    with pytest.raises(InputError, match="no run was given"):
        fit_calibration([])
    with pytest.raises(InputError, match="expected linear or isotonic"):
        fit_calibration([measured(0)], "cubic")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "not a calibration of format 1"),
        ({"kind": "weights"}, "not a calibration"),
        ({"knots": [[0, "x"]]}, "missing or wrong"),
        ({"knots": [[0, 0]]}, "unknown or not finite"),
        ({"scale": "cubic"}, "unknown or not finite"),
        ({"reach": float("nan")}, "unknown or not finite"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "c.json"
    fit_calibration([measured(0)]).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        Calibration.load(path)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Calibration.load(path)

"""The judge: how good it says it is, when it is silent, and what it refuses to say."""

from __future__ import annotations

import numpy as np
import pytest

from untrain.evaluation.quality.judge import Space, train_judge, wilson


def photos(n: int, unclear: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features and names; a share of unclear photos looks like either of two names."""
    random = np.random.default_rng(seed)
    names = random.choice(["shirt", "shoe", "watch"], n)
    centres = {"shirt": [4, 0, 0], "shoe": [0, 4, 0], "watch": [0, 0, 4]}
    x = np.array([centres[name] for name in names], float)
    x[random.random(n) < unclear] = [2, 2, 0]
    return x + random.normal(size=(n, 3)) / 2, names


def test_a_good_judge_need_not_abstain() -> None:
    x, names = photos(300, 0.0)
    judge = train_judge(x, names)
    about = judge.describe()
    assert about["accuracy"] > 0.98
    assert about["answered"] == 1
    assert about["low"] < about["accuracy"] <= about["high"]
    assert (about["classes"], about["photos"]) == (3, 300)
    new, truth = photos(200, 0.0, seed=1)
    assert (judge(new).seen == truth).mean() > 0.97


def test_a_judge_abstains_where_it_cannot_tell() -> None:
    x, names = photos(900, 0.4)
    judge = train_judge(x, names)
    about = judge.describe()
    assert about["accuracy"] < 0.85
    assert about["accuracy_answered"] >= 0.9
    assert 0.5 <= about["answered"] < 0.8
    new, truth = photos(600, 0.4, seed=1)  # and what it says of itself holds for others
    said = judge(new)
    assert said.answered.mean() == pytest.approx(about["answered"], abs=0.06)
    assert (said.seen == truth)[said.answered].mean() == pytest.approx(
        about["accuracy_answered"], abs=0.04
    )
    assert not judge(np.full((5, 3), [2.0, 2.0, 0.0])).answered.any()


def test_its_confidence_is_how_often_it_is_right() -> None:
    x, names = photos(900, 0.4)
    judge = train_judge(x, names)
    assert judge.held_out.confidence.mean() == pytest.approx(judge.right.mean(), abs=0.05)


def test_names_given_at_random_make_no_judge() -> None:
    x, names = photos(300, 0.0)
    judge = train_judge(x, np.random.default_rng(1).permutation(names))
    about = judge.describe()
    assert about["accuracy"] < 0.5
    assert about["threshold"] is None
    assert about["answered"] == 0
    assert about["accuracy_answered"] is None
    assert not judge(x).answered.any()


def test_photos_count_as_many_as_they_stand_for() -> None:
    x, names = photos(300, 0.0)
    wrong = names.copy()
    wrong[:30] = "shoe"  # in vain: nothing in the picture says so
    judge = train_judge(x, wrong, np.where(np.arange(300) < 30, 1.0, 100.0))
    assert judge.describe()["accuracy"] > 0.98 > judge.right.mean()


def test_more_features_than_photos() -> None:
    random = np.random.default_rng(0)
    x, names = photos(60, 0.0)
    wide = x @ random.normal(size=(3, 400)) + random.normal(size=(60, 400)) / 10
    assert train_judge(wide, names).describe()["accuracy"] > 0.9
    assert Space.fit(wide).of(wide).shape == (60, 59)


def test_axes_are_the_same_however_many_photos_there_are() -> None:
    random = np.random.default_rng(0)
    tall = random.normal(size=(40, 5)) * [5, 4, 3, 2, 1]
    wide = np.concatenate([tall, np.zeros((40, 100))], axis=1)  # constant: nothing more to see
    components = [np.abs(Space.fit(x).of(x)) for x in (tall, wide)]
    corner = components[1][:, :5]
    for of_tall, of_wide in zip(components[0].T, corner.T, strict=True):
        assert np.corrcoef(of_tall, of_wide)[0, 1] > 0.99
    assert np.square(components[0]).sum(1).mean() == pytest.approx(1)


def test_two_names_are_enough() -> None:
    x, names = photos(120, 0.0)
    two = names != "watch"
    assert train_judge(x[two], names[two]).describe()["accuracy"] == 1


def test_wilson_interval() -> None:
    low, high = wilson(0.0, 10)
    assert low == 0
    assert high == pytest.approx(0.2775, abs=1e-4)  # 1.96² / (10 + 1.96²)

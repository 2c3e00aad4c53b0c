"""Attacks on membership, and distances between distributions: known numbers and plain cases."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy, ks_2samp, norm
from sklearn.metrics import roc_auc_score

from tests.helpers.ladders import drawn_outcomes
from untrain.core.errors import InputError
from untrain.core.unlearning_tables import DISTANCES, MEMBERSHIP
from untrain.evaluation.distances import (
    binned_kl,
    distances_table,
    forgetting_epsilon,
    gaussian_kl,
    klom,
)
from untrain.evaluation.membership import attack, membership_table
from untrain.evaluation.ulira import bank_log_ratios, log_ratio, told_apart

METHODS = {("nothing", 0.01): (0.0, 0.0), ("exact", 0.5): (1.0, 0.0), ("ascent", 0.05): (6.0, 0.1)}


def test_an_attack_by_hand() -> None:
    # Of 3 × 2 pairs, 5 are in order; without a false positive, 2 of 3 are found.
    found = attack(np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0]))
    assert found == pytest.approx((5 / 6, 2 / 3))


def test_one_false_positive_in_a_hundred_is_allowed() -> None:
    others = np.arange(100.0) + 1
    assert attack(np.array([1.5]), others)[1] == 1.0
    assert attack(np.array([1.5]), others[:99])[1] == 0.0


def test_a_diverged_model_has_hidden_nothing_but_its_images() -> None:
    auc, tpr = attack(np.array([math.inf, math.nan]), np.array([1.0, 2.0]))
    assert (auc, tpr) == (0.0, 0.0)


def test_membership_is_held_against_the_twins_own() -> None:
    outcomes = drawn_outcomes(METHODS, models=3, sets=4)
    table = membership_table(outcomes)
    pd.testing.assert_frame_equal(MEMBERSHIP.conform(table), table)
    overall = table[table["kind"].isna()].set_index(["method", "attack"])
    exact, nothing, ascent = (
        overall.loc[(name, "loss")] for name in ("exact", "nothing", "ascent")
    )
    assert exact[["beyond", "low", "high"]].tolist() == [0, 0, 0]
    assert nothing["auc"] == nothing["auc_full"] and nothing["beyond"] > 0
    assert ascent["auc"] < ascent["auc_twin"] and ascent["beyond"] < 0
    assert overall.loc[("full", "loss"), "auc"] == nothing["auc"]
    cluster = outcomes[(outcomes["model_id"] == "B00") & (outcomes["set_id"] == "s0")]
    cluster = cluster[(cluster["method"] == "full") & cluster["group"].isin(["forget", "held_out"])]
    by_hand = roc_auc_score(cluster["group"] == "forget", -cluster["value"])
    one = membership_table(
        outcomes[(outcomes["model_id"] == "B00") & (outcomes["set_id"] == "s0")]
    ).set_index(["method", "attack"])
    assert one.loc[("nothing", "loss"), "auc"] == pytest.approx(by_hand)
    assert set(one.reset_index()["attack"]) == {"loss"}  # no other seed to calibrate by
    assert math.isnan(one.loc[("nothing", "loss"), "low"])


def test_knowing_how_hard_each_pair_is_makes_an_attacker_stronger() -> None:
    outcomes = drawn_outcomes({("nothing", 0.01): (0.0, 0.0)}, models=4, sets=6)
    # The same pairs are as hard to all models.
    rng = np.random.default_rng(5)
    hard = {item: rng.normal(0, 5) for item in sorted(set(outcomes["item"]))}
    outcomes["value"] += outcomes["item"].map(hard)
    table = membership_table(outcomes)
    table = table[table["kind"].isna()].set_index(["method", "attack"])
    assert table.loc[("full", "calibrated"), "beyond"] > table.loc[("full", "loss"), "beyond"]


def test_no_held_out_pairs_no_attack() -> None:
    outcomes = drawn_outcomes(METHODS, models=1, sets=1)
    assert membership_table(outcomes[outcomes["group"] != "held_out"]).empty


def test_the_gaussian_divergence_is_the_integral() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.normal(1, 2, (12, 1)), rng.normal(0, 1, (12, 1))
    x = np.linspace(-15, 15, 200_001)
    first, second = (norm.pdf(x, each.mean(), each.std(ddof=1)) for each in (p, q))
    assert gaussian_kl(p, q)[0] == pytest.approx(entropy(first, second), rel=1e-4)
    assert gaussian_kl(p, p)[0] == 0
    assert gaussian_kl(p, np.zeros((12, 1)))[0] == math.inf


def test_the_binned_divergence_by_hand() -> None:
    p, q = np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([[0.0], [0.0], [1.0], [1.0]])
    assert binned_kl(p, q)[0] == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    apart = binned_kl(np.zeros((4, 1)), np.ones((4, 1)))[0]
    assert apart == pytest.approx(math.log(1e5), rel=1e-3)


def test_klom_takes_the_form_that_the_number_of_models_allows() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.normal(0, 1, (64, 9)), rng.normal(0.5, 1, (64, 9))
    assert klom(p, q) == np.percentile(binned_kl(p, q), 95)
    assert klom(p[:16], q[:16]) == np.percentile(gaussian_kl(p[:16], q[:16]), 95)
    assert math.isnan(klom(p[:3], q[:3])) and math.isnan(klom(p * math.nan, q))


def test_epsilon_by_hand() -> None:
    p, q = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([[0.0], [1.5], [2.5], [0.5]])
    # At 2 and above: FNR 1/4, FPR 1/4 → log(3/4 ÷ 1/4); no other cut does better.
    assert forgetting_epsilon(p, q)[0] == pytest.approx(math.log(3))
    assert forgetting_epsilon(p, q, delta=0.25)[0] == pytest.approx(math.log(2))
    assert forgetting_epsilon(p + 9, q)[0] == math.inf
    assert forgetting_epsilon(-p, -q) == forgetting_epsilon(p, q)
    with pytest.raises(InputError, match="delta is 1"):
        forgetting_epsilon(p, q, delta=1)


def test_the_likelihood_ratio_is_that_of_two_normal_fits() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(0, 1, (80, 3)), rng.normal(2, 1.5, (80, 3))
    found = log_ratio(np.zeros(3), inside, outside)
    first, second = (
        norm.logpdf(0, each.mean(axis=0), each.std(axis=0, ddof=1)) for each in (inside, outside)
    )
    np.testing.assert_allclose(found, first - second)
    few = log_ratio(np.zeros(3), inside[:5], outside[:5])
    spread = [math.sqrt(each[:5].var(axis=0, ddof=1).mean()) for each in (inside, outside)]
    means = [each[:5].mean(axis=0) for each in (inside, outside)]
    np.testing.assert_allclose(
        few, norm.logpdf(0, means[0], spread[0]) - norm.logpdf(0, means[1], spread[1])
    )


def test_a_bank_of_random_masks_shows_who_was_in() -> None:
    rng = np.random.default_rng(0)
    trained = rng.random((24, 30)) < 0.5
    values = rng.normal(4, 2, 30) + rng.normal(0, 1, (24, 30)) - 2.0 * trained
    found = bank_log_ratios(values, trained)
    known = np.isfinite(found)
    # Two normal distributions two deviations apart: AUC Φ(√2) = 0.92.
    assert roc_auc_score(trained[known], found[known]) == pytest.approx(0.92, abs=0.04)
    shuffled = rng.random((24, 30)) < 0.5
    blind = bank_log_ratios(values, shuffled)
    assert roc_auc_score(shuffled[np.isfinite(blind)], blind[np.isfinite(blind)]) < 0.6
    with pytest.raises(InputError, match="a bank of 5 models"):
        bank_log_ratios(values[:5], trained[:5])


def test_unlearned_models_like_their_twins_are_not_told_apart() -> None:
    rng = np.random.default_rng(0)
    twins = rng.normal(0, 1, (12, 20))
    ours, theirs = told_apart(rng.normal(0, 1, (12, 20)), twins)
    truth = np.repeat([1, 0], ours.size)
    assert roc_auc_score(truth, np.r_[ours.ravel(), theirs.ravel()]) == pytest.approx(0.5, abs=0.1)
    ours, theirs = told_apart(rng.normal(3, 1, (12, 20)), twins)
    assert roc_auc_score(truth, np.r_[ours.ravel(), theirs.ravel()]) > 0.95


def test_the_table_of_distances() -> None:
    outcomes = drawn_outcomes(METHODS, models=8, sets=2)
    table = distances_table(outcomes)
    pd.testing.assert_frame_equal(DISTANCES.conform(table), table)
    forget = table[table["group"] == "forget"].set_index("method")
    assert forget.loc["exact", "ks"] == 0 and forget.loc["exact", "klom"] == 0
    assert forget.loc["ascent", "klom"] > forget.loc["full", "klom"] > 0
    assert forget.loc["full", "ks"] == forget.loc["nothing", "ks"]
    assert forget.loc["ascent", "ulira"] > 0.9 and forget.loc["exact", "ulira"] == 0.5
    assert forget.loc["exact", "klom_floor"] > 0
    assert table.loc[table["group"] != "forget", ["ulira", "epsilon"]].isna().all(axis=None)
    part = outcomes[(outcomes["model_id"] == "B00") & (outcomes["set_id"] == "s0")]
    one = distances_table(part)
    one = one[one["group"] == "forget"].set_index("method")
    values = part[part["group"] == "forget"].set_index("method")["value"]
    test = ks_2samp(values["ascent"], values["twin"])
    assert one.loc["ascent", ["ks", "ks_p"]].tolist() == [test.statistic, test.pvalue]
    assert one[["klom", "ulira", "epsilon"]].isna().all(axis=None)


def test_distances_of_a_model_that_diverged_are_missing() -> None:
    outcomes = drawn_outcomes(METHODS, models=8, sets=1)
    outcomes.loc[outcomes["method"] == "ascent", "value"] = math.nan
    table = distances_table(outcomes)
    unknown = ["ks", "ks_p", "klom", "ulira", "epsilon"]
    assert table.loc[table["method"] == "ascent", unknown].isna().all(axis=None)

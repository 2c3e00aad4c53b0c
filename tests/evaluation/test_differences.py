"""How much more an arm does than a control, and a larger set than a smaller one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from untrain.counterfactual.design import Assignment, randomised
from untrain.evaluation.differences import compare_arms, compare_sizes
from untrain.evaluation.trial import Trial

SIZES = {"targeted": (10, 100), "random_uniform": (10, 100)}


def sets(n: int, sizes: dict[str, tuple[int, ...]] = SIZES) -> pd.DataFrame:
    rows = [(arm, f"p{i}", k) for arm, ks in sizes.items() for i in range(n) for k in ks]
    table = pd.DataFrame(rows, columns=["arm", "prompt_id", "k"])
    return table.assign(forget_set_id=[f"u{i}" for i in range(len(table))])


def outcomes(
    table: pd.DataFrame,
    assignment: Assignment,
    effect: dict[tuple[str, int], float],
    noise: float,
    seed: int = 0,
) -> pd.DataFrame:
    """Prompts × models: what each set that is out adds, noise, and luck that prompts share."""
    generator = np.random.default_rng(seed)
    n_models = len(assignment.model_ids)
    luck = noise * generator.normal(size=n_models)
    y = {}
    for prompt, of_prompt in table.groupby("prompt_id"):
        y[prompt] = 5 + luck + noise * generator.normal(size=n_models)
        for row in of_prompt.itertuples():
            y[prompt] += effect.get((row.arm, row.k), 0) * assignment.out[row.Index]
    return pd.DataFrame.from_dict(y, orient="index", columns=list(assignment.model_ids))


EFFECT = {("targeted", 10): 0.5, ("targeted", 100): 0.3, ("random_uniform", 100): 0.2}


def test_without_noise_the_differences_are_those_that_were_put_in():
    table = sets(4)
    assignment = randomised(table, 12, seed=3)
    y = outcomes(table, assignment, EFFECT, noise=0)
    trial = Trial.of(table, assignment, 200, 0)
    found = {row["k"]: row for row in compare_arms(trial, y, "nll")}
    for k in (10, 100):
        assert (found[k]["arm"], found[k]["control"]) == ("targeted", "random_uniform")
    assert found[10]["effect"] == pytest.approx(0.5, abs=0.1)  # nor is it for the larger
    assert found[100]["effect"] == pytest.approx(0.5 + 0.3 - 0.2)
    (added,) = compare_sizes(trial, y, "nll")
    assert (added["design"], added["arm"], added["k"]) == ("randomised-increment", "targeted", 100)
    assert added["effect"] == pytest.approx(0.3, abs=0.1)  # not adjusted for the random sets


def test_a_prompts_difference_is_that_of_least_squares():
    table = sets(1)
    assignment = randomised(table, 10, seed=1)
    y = outcomes(table, assignment, EFFECT, noise=0.4)
    trial = Trial.of(table, assignment, 50, 0)
    found = {row["k"]: row["effect"] for row in compare_arms(trial, y, "nll")}
    design = np.column_stack([np.ones(10), assignment.out.T.astype(float)])
    fit = np.linalg.lstsq(design, y.loc["p0"], rcond=None)[0][1:]
    whole = dict(zip(zip(table["arm"], table["k"], strict=True), fit, strict=True))
    difference = sum(value * (1 if arm == "targeted" else -1) for (arm, _), value in whole.items())
    assert found[100] == pytest.approx(difference)


def test_an_increment_of_fewer_draws_counts_as_much():
    table = sets(4)
    more = table[(table["arm"] == "random_uniform") & (table["k"] == 10)]
    more = more.assign(forget_set_id="more " + more["forget_set_id"])
    table = pd.concat([table, more], ignore_index=True)
    assignment = randomised(table, 14, seed=3)
    effect = {("targeted", 10): 0.5, ("random_uniform", 100): 0.2}
    trial = Trial.of(table, assignment, 200, 0)
    y = outcomes(table, assignment, effect, noise=0)
    found = {row["k"]: row for row in compare_arms(trial, y, "nll")}
    assert found[100]["effect"] == pytest.approx(0.5 - 0.2)


@pytest.mark.slow
@pytest.mark.pipeline  # simulates many trials
def test_an_arm_without_an_effect_keeps_its_level_and_the_interval_covers():
    table = sets(5, {"targeted": (10,), "random_uniform": (10,)})
    p, covered = [], []
    for seed in range(150):
        assignment = randomised(table, 10, seed)
        trial = Trial.of(table, assignment, 199, seed)
        idle = outcomes(table, assignment, {}, 0.5, seed)
        p.append(compare_arms(trial, idle, "nll")[0]["two_sided_p"])
        moved = idle + outcomes(table, assignment, {("targeted", 10): 0.4}, 0)
        row = compare_arms(trial, moved, "nll")[0]
        covered.append(row["low"] <= 0.4 <= row["high"])
    spread = 3 * math.sqrt(0.05 * 0.95 / 150)
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + spread
    assert np.mean(covered) >= 0.95 - spread


def test_an_increment_is_tested_whatever_the_smaller_set_does():
    table = sets(5, {"targeted": (10, 100)})
    p = []
    for seed in range(150):
        assignment = randomised(table, 10, seed)
        y = outcomes(table, assignment, {("targeted", 10): 3.0}, 0.3, seed)
        (row,) = compare_sizes(Trial.of(table, assignment, 199, seed), y, "nll")
        p.append(row["p_value"])
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


def test_too_few_models_to_tell_the_sets_apart_give_no_row():
    table = sets(3)
    assignment = randomised(table, 4, seed=0)
    y = outcomes(table, assignment, EFFECT, noise=0.1)
    trial = Trial.of(table, assignment, 20, 0)
    assert compare_arms(trial, y, "nll") == []

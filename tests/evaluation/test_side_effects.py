import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from untrain.counterfactual.design import Assignment, randomised
from untrain.evaluation.side_effects import (
    nearest_prompts,
    specificity_effects,
    utility_effects,
    without_own,
)

COLUMNS = ["model_id", "prompt_id", "generation", "measure", "value"]


def sets(n: int) -> pd.DataFrame:
    rows = [
        (f"{arm}/p{i}", arm, f"p{i}", 0, 10)
        for arm in ("targeted", "random_uniform")
        for i in range(n)
    ]
    return pd.DataFrame(rows, columns=["forget_set_id", "arm", "prompt_id", "draw", "k"])


def measured(y: np.ndarray, models: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        (model, f"p{p}", 0, "nll", y[p, m]) for p in range(len(y)) for m, model in enumerate(models)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def world(assignment: Assignment, n: int, cross: float, seed: int) -> pd.DataFrame:
    """Own sets cost 3 bits; each other prompt's set costs ``cross``."""
    generator = np.random.default_rng(seed)
    own = assignment.out[:n].astype(float)
    y = 4 + 3 * own + cross * (own.sum(axis=0) - own)
    y = y + 0.1 * generator.normal(size=y.shape) + 0.1 * generator.normal(size=y.shape[1])
    return measured(y, assignment.model_ids)


def overall(effects: pd.DataFrame, measure: str = "nll_other_prompts") -> pd.Series:
    found = effects[effects["prompt_id"].isna() & (effects["measure"] == measure)]
    assert len(found) == 1
    return found.iloc[0]


def test_specificity_finds_what_sets_do_to_other_prompts() -> None:
    table, estimates = sets(8), []
    for seed in range(30):
        assignment = randomised(table, 10, seed)
        measures = world(assignment, 8, 0.2, seed)
        row = overall(specificity_effects(measures, table, assignment, {}, 99, seed))
        estimates.append(row["effect"])
        assert row["arm"] == "targeted" and row["n_sets"] == 8
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(0.2, abs=3 * error)


def test_specificity_is_not_fooled_by_what_sets_do_to_their_own_prompts() -> None:
    table, alone, together = sets(6), [], []
    for seed in range(80):
        assignment = randomised(table, 8, seed)
        effects = specificity_effects(world(assignment, 6, 0.0, seed), table, assignment, {}, 99)
        together.append(overall(effects)["p_value"])
        alone += list(effects[effects["prompt_id"].notna()]["p_value"])
    assert np.mean(np.array(together) <= 0.1) <= 0.1 + 3 * math.sqrt(0.09 / 80)
    assert 0.4 < np.mean(together) < 0.6
    assert np.mean(np.array(alone) <= 0.1) <= 0.1 + 3 * math.sqrt(0.09 / 80)


def test_the_nearest_prompt_has_rows_of_its_own() -> None:
    table = sets(4)
    assignment = randomised(table, 10, 3)
    own = assignment.out[:4].astype(float)
    y = 4 + 3 * own
    y[1] += 1.5 * own[0]  # p0's set harms p1 alone
    nearest = {"p0": "p1", "p1": "p0", "p2": "p1"}
    effects = specificity_effects(measured(y, assignment.model_ids), table, assignment, nearest)
    rows = effects[effects["measure"] == "nll_nearest_prompt"].set_index("prompt_id")
    assert set(rows.index.dropna()) == {"p0", "p1", "p2"}  # p3 has no nearest
    rest = np.eye(10) - _projection(own[1])
    expected = (9 / 8) * (4 / 10) * (own[0] - 0.5) @ rest @ (1.5 * own[0])
    assert rows.loc["p0", "effect"] == pytest.approx(expected)


def _projection(own: np.ndarray) -> np.ndarray:
    basis, _ = np.linalg.qr(np.stack([np.ones(len(own)), own], axis=1))
    return basis @ basis.T


def test_one_prompt_has_no_others() -> None:
    table = sets(1)
    assignment = randomised(table, 6, 0)
    measures = measured(np.ones((1, 6)), assignment.model_ids)
    assert specificity_effects(measures, table, assignment, {}).empty


def test_outcomes_without_own_sets_do_not_depend_on_their_size() -> None:
    table = sets(3)
    assignment = randomised(table, 8, 0)
    y = np.random.default_rng(0).normal(size=(3, 8))
    index = [f"p{i}" for i in range(3)]
    decisive = table[table["arm"] == "targeted"]
    rest = without_own(pd.DataFrame(y, index), decisive, assignment)
    more = without_own(pd.DataFrame(y + 5 * assignment.out[:3], index), decisive, assignment)
    np.testing.assert_allclose(rest, more, atol=1e-12)
    np.testing.assert_allclose(rest.mean(axis=1), 0, atol=1e-12)


def test_nearest_prompts_share_words() -> None:
    texts = {"a": "red Shirt", "b": "blue shirt", "c": "blue shirt with stripes", "d": "vase"}
    assert nearest_prompts(texts) == {"a": "b", "b": "c", "c": "b"}


def held_out(values: np.ndarray, models: tuple[str, ...]) -> pd.DataFrame:
    rows = [(m, None, None, "heldout_nll", v) for m, v in zip(models, values, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_utility_is_the_slope_on_the_number_of_sets_removed() -> None:
    table, estimates, covered = sets(20), [], []
    generator = np.random.default_rng(0)
    for seed in range(60):
        assignment = randomised(table, 8, seed)
        removed = assignment.out.sum(axis=0)
        values = 5 + 0.01 * removed + 0.02 * generator.normal(size=8)
        effects = utility_effects(held_out(values, assignment.model_ids), table, assignment, 199)
        row = effects.set_index("arm").loc["any_set"]
        assert row["measure"] == "heldout_nll" and pd.isna(row["prompt_id"]) and row["n_sets"] == 40
        assert row["effect"] == pytest.approx(stats.linregress(removed, values).slope)
        estimates.append(row["effect"])
        covered.append(row["low"] <= 0.01 <= row["high"])
        assert row["high"] - row["low"] < 0.03
    error = stats.sem(estimates)
    assert np.mean(estimates) == pytest.approx(0.01, abs=3 * error)
    assert np.mean(covered) >= 0.88  # 95 % less three standard errors of 60


def test_utility_has_a_row_for_each_arm_and_none_without_held_out_pairs() -> None:
    table = sets(5)
    assignment = randomised(table, 8, 0)
    values = 5 + 0.3 * assignment.out[:5].sum(axis=0)
    effects = utility_effects(held_out(values, assignment.model_ids), table, assignment, 199)
    assert list(effects["arm"]) == ["any_set", "targeted", "random_uniform"]
    targeted = effects.set_index("arm").loc["targeted"]
    assert targeted["p_value"] < 0.1 and targeted["k"] == 10
    without = measured(np.ones((5, 8)), assignment.model_ids)
    assert utility_effects(without, table, assignment).empty

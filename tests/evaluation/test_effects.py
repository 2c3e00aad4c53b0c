import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.helpers.forget_sets import sets_of
from untrain.core.errors import InputError
from untrain.core.tables import EFFECTS
from untrain.counterfactual.design import Assignment, randomised
from untrain.evaluation.before_after import before_after_effects
from untrain.evaluation.effects import group_effects, trial_effects


def measured(y: dict[str, np.ndarray], models, measure="nll") -> pd.DataFrame:
    """y: prompt → (generations, models)."""
    rows = [
        (model, p, g, measure, value)
        for p, values in y.items()
        for g, of_generation in enumerate(values)
        for model, value in zip(models, of_generation, strict=True)
    ]
    return pd.DataFrame(rows, columns=["model_id", "prompt_id", "generation", "measure", "value"])


def outcomes(table: pd.DataFrame, assignment: Assignment, effect, seed=0, noise=0.1, luck=1.0):
    """Outcomes of a world in which effect(arm, k) is added where a prompt's own set is out."""
    generator = np.random.default_rng(seed)
    n_models = len(assignment.model_ids)
    shared = luck * generator.normal(size=n_models)
    y = {}
    for p in table["prompt_id"].unique():
        y[p] = 5 + shared + noise * generator.normal(size=(3, n_models))
        for row in np.flatnonzero(table["prompt_id"] == p):
            y[p] += effect(table["arm"][row], table["k"][row]) * assignment.out[row]
    return y


def effects_of(*args, **kwargs) -> pd.DataFrame:
    return trial_effects(*args, **kwargs).table


def pick(effects: pd.DataFrame, **where) -> pd.Series:
    """Return the one row of a design, randomised unless another is named."""
    where.setdefault("design", "randomised")
    found = effects
    for column, value in where.items():
        found = found[found[column].isna() if value is None else found[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_the_trial_finds_the_arm_that_matters():
    table = sets_of(12)
    assignment = randomised(table, 10, seed=1)
    y = outcomes(table, assignment, lambda arm, k: 0.5 * (arm == "targeted"))
    effects = effects_of(measured(y, assignment.model_ids), table, assignment)
    assert list(effects) == EFFECTS.names
    assert "naive" not in set(effects["design"])  # model A was not measured
    targeted = pick(effects, arm="targeted", prompt_id=None)
    assert targeted["effect"] == pytest.approx(0.5, abs=0.1)
    assert targeted["low"] < 0.5 < targeted["high"]
    assert targeted["p_value"] == pytest.approx(1 / 2001)
    assert targeted["n_sets"] == 12
    assert pick(effects, arm="random_uniform", prompt_id=None)["p_value"] > 0.05


def test_a_prompts_effect_is_the_exact_test_on_generation_means():
    table = sets_of(4)
    assignment = randomised(table, 10, seed=1)
    y = outcomes(table, assignment, lambda arm, k: 0.2, luck=0.3)
    effects = effects_of(measured(y, assignment.model_ids), table, assignment)
    mean, out = y["p2"].mean(axis=0), assignment.out[2]
    row = pick(effects, arm="targeted", prompt_id="p2")
    assert row["effect"] == pytest.approx(mean[out].mean() - mean[~out].mean())
    expected = stats.permutation_test(
        (mean[out], mean[~out]),
        lambda a, b: a.mean() - b.mean(),
        n_resamples=np.inf,
        alternative="greater",
    )
    assert row["p_value"] == pytest.approx(expected.pvalue)
    of_prompts = effects[(effects["arm"] == "targeted") & effects["prompt_id"].notna()]
    overall = pick(effects, arm="targeted", prompt_id=None)
    assert of_prompts["effect"].mean() == pytest.approx(overall["effect"])


def test_main_effects_of_increments_add_to_the_whole_set_without_additivity():
    # All four combinations of two increments equally often: a full factorial for one prompt.
    table = sets_of(1, ks=(10, 100), arms=("targeted",))
    out = np.array([[0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]], bool)
    assignment = Assignment(
        tuple(table["forget_set_id"]),
        tuple(f"B{m:02d}" for m in range(8)),
        out,
        (0,) * 8,
        is_random=True,
    )
    y = {"p0": 1.0 + 2.0 * out[0] + 0.5 * out[1] + 7.0 * (out[0] & out[1])[None]}
    effects = effects_of(measured(y, assignment.model_ids), table, assignment, draws=50)
    assert pick(effects, k=100, prompt_id="p0")["effect"] == pytest.approx(9.5)
    assert pick(effects, k=10, prompt_id="p0")["effect"] == pytest.approx(2.0 + 3.5)


@pytest.mark.slow
@pytest.mark.pipeline  # simulates many trials
def test_sums_of_increments_are_unbiased_and_covered():
    covered, estimates = [], []
    table = sets_of(5, ks=(10, 100), arms=("targeted",))
    for seed in range(60):
        assignment = randomised(table, 10, seed)
        y = outcomes(table, assignment, lambda arm, k: 0.6 if k == 10 else 0.2, seed, 0.3, 0.5)
        effects = effects_of(measured(y, assignment.model_ids), table, assignment, 200, seed)
        row = pick(effects, arm="targeted", prompt_id=None, k=100)
        covered.append(row["low"] <= 0.8 <= row["high"])
        estimates.append(row["effect"])
    assert np.mean(covered) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 60)
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(0.8, abs=3 * error)


def test_nested_sets_of_a_query_are_told_apart():
    table = sets_of(6, ks=(10, 100, 300), arms=("targeted",))
    assignment = randomised(table, 10, 3)
    y = outcomes(table, assignment, lambda arm, k: 2.0 if k == 10 else 0.0, 3, 0.1, 0.1)
    effects = effects_of(measured(y, assignment.model_ids), table, assignment, 400)
    for p in (f"p{i}" for i in range(6)):
        rows = np.flatnonzero(table["prompt_id"] == p)
        factors = np.column_stack([np.ones(10), assignment.out[rows].T])
        fit = np.linalg.lstsq(factors, y[p].mean(axis=0), rcond=None)[0][1:]
        for n, k in enumerate((10, 100, 300)):
            row = pick(effects, prompt_id=p, k=k, design="randomised")
            assert row["effect"] == pytest.approx(fit[: n + 1].sum())
            ends = [-math.inf if math.isnan(row["low"]) else row["low"]]
            ends += [math.inf if math.isnan(row["high"]) else row["high"]]
            assert ends[0] <= row["effect"] <= ends[1]


def test_four_models_cannot_tell_nested_sets_apart():
    table = sets_of(3, ks=(10, 100), arms=("targeted",))
    assignment = randomised(table, 4, 1)
    y = outcomes(table, assignment, lambda arm, k: 1.0, 1, 0.1, 0.1)
    effects = effects_of(measured(y, assignment.model_ids), table, assignment, 50)
    values, out = y["p0"].mean(axis=0), assignment.out[0]
    row = pick(effects, prompt_id="p0", k=10, design="randomised")
    assert row["effect"] == pytest.approx(values[out].mean() - values[~out].mean())


@pytest.mark.slow
@pytest.mark.pipeline  # simulates many trials
def test_p_of_one_arm_is_valid_though_another_arm_has_an_effect():
    table = sets_of(3)
    p_values = []
    for seed in range(120):
        assignment = randomised(table, 10, seed)
        y = outcomes(table, assignment, lambda arm, k: 2.0 * (arm == "targeted"), seed)
        effects = effects_of(measured(y, assignment.model_ids), table, assignment, 99, seed)
        p_values.append(pick(effects, arm="random_uniform", prompt_id=None)["p_value"])
    assert np.mean(np.array(p_values) <= 0.1) <= 0.1 + 3 * math.sqrt(0.09 / 120)


def test_several_draws_of_a_prompt_are_averaged():
    table = sets_of(3, arms=("random_uniform",), draws=2)
    assignment = randomised(table, 8, seed=5)
    y = outcomes(table, assignment, lambda arm, k: 0.4, noise=0.0, luck=0.0)
    effects = effects_of(measured(y, assignment.model_ids), table, assignment, draws=200)
    assert len(effects) == 4
    # The draws of a prompt move the same query, so one prompt sees both; on average each is 0.4.
    assert pick(effects, prompt_id="p0")["n_sets"] == 2


def test_a_users_list_is_held_against_every_prompt():
    table = pd.concat(
        [
            sets_of(3, arms=("targeted",)),
            pd.DataFrame([("ids/k5", "ids", None, 0, 5)], columns=list(sets_of(1))),
        ],
        ignore_index=True,
    )
    assignment = randomised(table, 10, seed=0)
    y = {f"p{i}": 3.0 + (i + 1) * assignment.out[3][None] for i in range(3)}
    effects = effects_of(measured(y, assignment.model_ids), table, assignment, draws=50)
    of_ids = effects[effects["arm"] == "ids"].set_index("prompt_id")["effect"]
    assert of_ids.dropna().index.notna().sum() == 3
    assert of_ids[of_ids.index.notna()].to_dict() == pytest.approx(
        {"p0": 1.0, "p1": 2.0, "p2": 3.0}
    )
    assert pick(effects, arm="ids", prompt_id=None)["effect"] == pytest.approx(2.0)
    assert pick(effects, arm="ids", prompt_id=None)["p_value"] == pytest.approx(1 / 252)


def test_measured_against_the_sampler_everything_looks_worse():
    table = sets_of(10)
    assignment = randomised(table, 10, seed=2)
    y = outcomes(table, assignment, lambda arm, k: 0.0)
    models = [*assignment.model_ids, "A"]
    with_a = {p: np.column_stack([v, v.mean(axis=1) - 1.0]) for p, v in y.items()}
    effects = effects_of(measured(with_a, models), table, assignment)
    naive = pick(effects, design="naive", arm="random_uniform", prompt_id=None)
    fair = pick(effects, design="randomised", arm="random_uniform", prompt_id=None)
    assert naive["effect"] > 0.5 and naive["p_value"] < 0.01
    assert abs(fair["effect"]) < 0.1 and fair["p_value"] > 0.01
    out = assignment.out[list(table["forget_set_id"]).index("targeted/p3/k10/d0")]
    row = pick(effects, design="naive", arm="targeted", prompt_id="p3")
    expected = with_a["p3"].mean(axis=0)
    assert row["effect"] == pytest.approx(expected[:10][out].mean() - expected[10])


def test_the_order_of_the_measures_changes_nothing_and_missing_ones_are_told():
    table = sets_of(4)
    assignment = randomised(table, 6, seed=0)
    measures = measured(outcomes(table, assignment, lambda arm, k: 0.1), assignment.model_ids)
    effects = effects_of(measures, table, assignment, draws=100)
    again = effects_of(measures.sample(frac=1, random_state=0), table, assignment, draws=100)
    pd.testing.assert_frame_equal(effects, again)
    lacking = measures.drop(
        measures.query("prompt_id == 'p1' and model_id == 'B03' and generation == 1").index
    )
    partial = trial_effects(lacking, table, assignment, draws=100)
    assert "p1" not in set(partial.table["prompt_id"])
    (note,) = partial.notes
    assert note.text == "nll: prompt p1 left out, not measured in every model"
    assert (note.code, note.about) == ("prompt-not-measured", ("p1",))
    with pytest.raises(InputError, match="B03 was not measured"):
        effects_of(measures[measures["model_id"] != "B03"], table, assignment)
    with pytest.raises(InputError, match="no measure"):
        effects_of(measures.assign(prompt_id=None), table, assignment)


def test_few_models_leave_a_query_without_limits():
    table = sets_of(3, arms=("targeted",))
    assignment = randomised(table, 4, seed=0)
    y = outcomes(table, assignment, lambda arm, k: 1.0)
    row = pick(
        effects_of(measured(y, assignment.model_ids), table, assignment, draws=100),
        prompt_id="p0",
    )
    assert math.isnan(row["low"]) and math.isnan(row["high"])


def test_before_and_after_is_compared_with_full_and_naively_with_a():
    generator = np.random.default_rng(0)
    models = ["A", "full", "targeted", "random", "reseed"]
    shift = np.array([-1.0, 0.0, 0.4, 0.0, 0.0])
    y = {f"p{i}": 5 + shift + 0.05 * generator.normal(size=(3, 5)) for i in range(15)}
    effects = before_after_effects(measured(y, models)).table
    targeted = pick(effects, design="before-after", arm="targeted", prompt_id=None)
    change = [v.mean(axis=0)[2] - v.mean(axis=0)[1] for v in y.values()]
    assert targeted["effect"] == pytest.approx(np.mean(change))
    assert targeted["two_sided_p"] == pytest.approx(stats.wilcoxon(change).pvalue)
    assert targeted["low"] < targeted["effect"] < targeted["high"]
    assert (
        pick(effects, design="before-after", arm="random_uniform", prompt_id=None)["p_value"] > 0.01
    )
    naive = pick(effects, design="before-after-naive", arm="full", prompt_id=None)
    assert naive["effect"] == pytest.approx(1.0, abs=0.05) and naive["p_value"] < 1e-3
    pd.testing.assert_frame_equal(effects, before_after_effects(measured(y, models)).table)
    with pytest.raises(InputError, match="random was not measured"):
        before_after_effects(measured(y, models).query("model_id != 'random'"))


def test_nothing_changed_gives_p_one():
    models = ["full", "targeted", "random", "reseed"]
    y = {f"p{i}": np.full((2, 4), 3.0) for i in range(5)}
    effects = before_after_effects(measured(y, models)).table
    assert set(effects.loc[effects["prompt_id"].isna(), "p_value"]) == {1.0}


def _trial(effect, seed, n=8, models=10):
    """One targeted and one random set a prompt; the targeted one does all the harm."""
    generator = np.random.default_rng(seed)
    sets = pd.DataFrame(
        [
            (f"{arm}/p{i}/k10", arm, f"p{i}", 0, 10)
            for arm in ("targeted", "random_uniform")
            for i in range(n)
        ],
        columns=["forget_set_id", "arm", "prompt_id", "draw", "k"],
    )
    assignment = randomised(sets, models, seed)
    rows = []
    for i in range(n):
        y = 5 + effect * assignment.out[i] + 0.01 * generator.standard_normal(models)
        rows += [(m, f"p{i}", 0, "nll", v) for m, v in zip(assignment.model_ids, y, strict=True)]
        rows.append(("A", f"p{i}", 0, "nll", 4.0))
    measures = pd.DataFrame(
        rows, columns=["model_id", "prompt_id", "generation", "measure", "value"]
    )
    return measures, sets, assignment


def test_a_control_is_freed_of_what_the_targeted_set_of_its_prompt_does():
    measures, sets, assignment = _trial(effect=4.0, seed=3)
    effects = effects_of(measures, sets, assignment, draws=300)
    overall = effects[effects["prompt_id"].isna() & (effects["design"] == "randomised")]
    control = overall.set_index("arm").loc["random_uniform"]
    assert abs(control["effect"]) < 0.05 and control["null_sd"] < 0.05


def test_the_naive_control_is_read_where_the_targeted_set_was_in():
    measures, sets, assignment = _trial(effect=4.0, seed=3)
    naive = effects_of(measures, sets, assignment, draws=300)
    naive = naive[naive["prompt_id"].isna() & (naive["design"] == "naive")].set_index("arm")
    assert naive.loc["random_uniform", "effect"] == pytest.approx(1.0, abs=0.05)
    assert naive.loc["targeted", "effect"] == pytest.approx(5.0, abs=0.05)


@pytest.mark.slow
@pytest.mark.pipeline  # simulates many trials
def test_adjusted_controls_are_not_called_harmful_too_often():
    """Under no effect of the control, whatever the targeted sets do, p is uniform."""
    p = []
    for seed in range(60):
        measures, sets, assignment = _trial(effect=2.0, seed=seed, n=6)
        effects = effects_of(measures, sets, assignment, draws=199, seed=seed)
        row = effects[
            effects["prompt_id"].isna()
            & (effects["design"] == "randomised")
            & (effects["arm"] == "random_uniform")
        ]
        p.append(float(row["p_value"].iloc[0]))
    # binomial(60, 0.1): more than 12 has probability 0.7 %
    assert np.mean(np.array(p) <= 0.1) <= 12 / 60
    assert 0.35 < np.mean(p) < 0.65


def test_groups_have_overall_effects_of_their_own():
    table = sets_of(6)
    assignment = randomised(table, 10, seed=1)
    y = outcomes(table, assignment, lambda arm, k: 0.5 * (arm == "targeted"))
    for p in ("p4", "p5"):
        y[p] = y[p] + 1.0 * assignment.out[int(p[1])]
    measures = measured(y, assignment.model_ids)
    estimate = partial(trial_effects, sets=table, assignment=assignment, draws=200)
    groups = {f"p{i}": "new" if i < 4 else "seen" for i in range(6)}
    found = group_effects(estimate, measures, groups)
    found = found[found["design"] == "randomised"].set_index(["arm", "group"])
    assert found["prompt_id"].isna().all()
    assert found.loc[("targeted", "new"), "n_sets"] == 4
    of_prompts = estimate(measures).table.query("arm == 'targeted' and design == 'randomised'")
    of_prompts = of_prompts.set_index("prompt_id")["effect"]
    for group, ids in (("new", ["p0", "p1", "p2", "p3"]), ("seen", ["p4", "p5"])):
        expected = of_prompts[ids].mean()
        assert found.loc[("targeted", group), "effect"] == pytest.approx(expected)


def test_one_group_or_a_group_of_one_is_not_compared():
    def never(measures):
        raise AssertionError("nothing is to be estimated")

    measures = pd.DataFrame(columns=["prompt_id", "measure"])
    for groups in ({}, {"p0": "new", "p1": "new"}, {"p0": "new", "p1": "new", "p2": "seen"}):
        found = group_effects(never, measures, groups)
        assert found.empty and "group" in found

"""One forget set for all prompts together, which many queries share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from untrain.core.errors import InputError
from untrain.counterfactual.design import (
    Assignment,
    aligned,
    forget_set_table,
    randomised,
    refuse_repeated_models,
)
from untrain.evaluation.effects import trial_effects
from untrain.evaluation.power import trial_noise
from untrain.evaluation.randomisation import every_half
from untrain.evaluation.side_effects import specificity_effects, utility_effects
from untrain.evaluation.trial import Trial, contrasts, infer
from untrain.evaluation.verdicts import verdicts

PROMPTS = ("p0", "p1", "p2")


def sets(draws: int = 3, controls: int = 0, ks: tuple[int, ...] = (10,)) -> pd.DataFrame:
    """A targeted set for all prompts, ``draws`` random ones, and a family for each control."""
    rows = [
        (f"{arm}/all/k{k}/d{draw}", arm, prompt, draw, k, 30)
        for arm, n in (("targeted", 1), ("random_uniform", draws))
        for draw in range(n)
        for k in ks
        for prompt in PROMPTS
    ]
    rows += [(f"family/c{i}/k12", "family", f"c{i}", 0, 12, 12) for i in range(controls)]
    columns = ["forget_set_id", "arm", "prompt_id", "draw", "k", "size"]
    return pd.DataFrame(rows, columns=columns)


def measured(table: pd.DataFrame, measure: str = "nll") -> pd.DataFrame:
    """Outcomes, prompts × models, as measures."""
    long = table.stack().rename("value").rename_axis(["prompt_id", "model_id"]).reset_index()
    return long.assign(generation=0, measure=measure)


def outcomes(assignment: Assignment, prompts: tuple[str, ...], seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(len(prompts), len(assignment.model_ids)))
    return pd.DataFrame(5 + noise, index=list(prompts), columns=list(assignment.model_ids))


def pick(effects: pd.DataFrame, **where: object) -> pd.Series:
    """Return the one row of a design, randomised unless another is named."""
    where.setdefault("design", "randomised")
    for column, value in where.items():
        effects = effects[effects[column].isna() if value is None else effects[column] == value]
    assert len(effects) == 1
    return effects.iloc[0]


def halves(out: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Estimate and one-sided p of the exact test, by SciPy."""
    test = stats.permutation_test(
        (y[out], y[~out]),
        lambda a, b: a.mean() - b.mean(),
        n_resamples=np.inf,
        alternative="greater",
    )
    return y[out].mean() - y[~out].mean(), test.pvalue


def test_a_set_of_several_prompts_has_a_row_for_each_and_is_assigned_once() -> None:
    table = sets()
    images = pd.concat([table.drop(columns="size")] * 10)
    found = forget_set_table(images.assign(image_id=[str(i) for i in range(len(images))]))
    pd.testing.assert_frame_equal(found[list(table)], table)
    assert (found["share"] == 1).all()
    assignment = randomised(table, 8, seed=0)
    assert assignment.out.shape == (4, 8)
    placed = aligned(table, assignment)
    assert list(placed.index) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_each_prompt_and_their_mean_are_tested_on_the_one_assignment() -> None:
    table = sets()
    assignment = randomised(table, 10, seed=1)
    y = outcomes(assignment, PROMPTS, 0) + 1.2 * assignment.out[0]
    effects = trial_effects(measured(y), table, assignment).table
    targeted = effects[effects["arm"] == "targeted"]
    for prompt in PROMPTS:
        row = pick(targeted, prompt_id=prompt)
        expected = halves(assignment.out[0], y.loc[prompt].to_numpy())
        assert (row["effect"], row["p_value"]) == pytest.approx(expected)
    overall = pick(targeted, prompt_id=None)
    expected = halves(assignment.out[0], y.mean(axis=0).to_numpy())
    assert (overall["effect"], overall["p_value"]) == pytest.approx(expected)
    assert overall["n_sets"] == 1
    assert overall["low"] < 1.2 < overall["high"]


def test_under_the_null_every_p_is_as_likely_as_it_should_be() -> None:
    """Outcomes stay, the assignment runs through all 70 halves: each p occurs once."""
    table = sets(draws=0)
    first = randomised(table, 8, seed=0)
    y = outcomes(first, PROMPTS, 3)
    overall = next(c for c in contrasts(aligned(table, first), list(PROMPTS)) if not c.prompt_id)
    p = []
    for half in every_half(8):
        drawn = Assignment(first.forget_set_ids, first.model_ids, half, first.seed_offsets, True)
        nothing = np.zeros((0, 1, 8), bool)
        p.append(infer(overall, y, Trial(aligned(table, drawn), drawn, nothing)).p_value)
    assert np.sort(p) == pytest.approx(np.arange(1, 71) / 70)


def test_draws_of_a_control_freed_of_the_targeted_set_keep_their_level() -> None:
    """The targeted set does much harm, the random ones none, in designs that are not refused."""
    table, p, generator = sets(draws=6), [], np.random.default_rng(0)
    for seed in range(60):
        assignment = randomised(table, 8, seed)
        try:
            refuse_repeated_models(assignment)
        except InputError:
            continue
        y = outcomes(assignment, PROMPTS, seed) + 4.0 * assignment.out[0]
        y += generator.normal(size=8)  # what all prompts share
        placed = aligned(table, assignment)
        overall = [c for c in contrasts(placed, list(PROMPTS)) if not c.prompt_id][1]
        redrawn = np.argsort(generator.random((99, 7, 8)), axis=-1) < 4
        result = infer(overall, y, Trial(placed, assignment, redrawn))
        assert overall.arm == "random_uniform" and abs(result.effect) < 2
        p.append(result.p_value)
    assert len(p) > 40  # most designs have eight different models
    for level in (0.1, 0.5):
        assert stats.binomtest(int((np.array(p) <= level).sum()), len(p), level).pvalue > 0.01


def test_increments_of_a_set_for_all_prompts_add_up() -> None:
    table = sets(draws=0, ks=(10, 100))
    out = np.array([[0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]], bool)
    ids = tuple(table["forget_set_id"].unique())
    assignment = Assignment(ids, tuple(f"B{m:02d}" for m in range(8)), out, (0,) * 8, True)
    y = outcomes(assignment, PROMPTS, 0) * 0
    y += 1.0 * out[0] + 2.0 * out[1] + 4.0 * (out[0] & out[1])
    effects = trial_effects(measured(y), table, assignment, draws=50).table
    effects = effects[effects["arm"] == "targeted"]
    for prompt in (None, *PROMPTS):
        assert pick(effects, k=100, prompt_id=prompt)["effect"] == pytest.approx(7.0)
        assert pick(effects, k=10, prompt_id=prompt)["effect"] == pytest.approx(3.0)
    assert pick(effects, k=100, prompt_id=None)["n_sets"] == 2


def test_naive_figures_and_verdicts_are_of_every_prompt() -> None:
    table = sets()
    assignment = randomised(table, 10, seed=1)
    y = outcomes(assignment, PROMPTS, 0) * 0 + 9.0 * assignment.out[0]
    y = y.add(pd.Series([1.0, 2.0, 3.0], index=list(PROMPTS)), axis=0).assign(A=0.5)
    effects = trial_effects(measured(y), table, assignment, draws=100).table
    naive = effects[effects["design"] == "naive"]
    assert pick(naive, design="naive", arm="targeted", prompt_id="p1")["effect"] == pytest.approx(
        10.5
    )
    assert pick(naive, design="naive", arm="none", prompt_id="p1")["effect"] == pytest.approx(1.5)
    judged = verdicts(effects)
    assert list(judged["verdict"]) == ["attributable"] * 3
    assert list(judged["p_value"]) == pytest.approx([1 / 252] * 3)
    assert trial_noise(measured(y), table, assignment).total == pytest.approx(0, abs=1e-12)


def test_only_prompts_outside_the_set_are_other_prompts() -> None:
    table = sets(controls=2)
    assignment = randomised(table, 10, seed=4)
    prompts = (*PROMPTS, "c0", "c1")
    y = outcomes(assignment, prompts, 0) * 0
    y.loc[list(PROMPTS)] += 5.0 * assignment.out[0]
    y.loc[["c0", "c1"]] += 0.7 * assignment.out[0]
    found = specificity_effects(measured(y), table, assignment, {"p0": "p1", "c0": "p0"}, 99)
    others = found[found["measure"] == "nll_other_prompts"]
    assert set(others["prompt_id"].dropna()) == set(prompts)
    alone, table = y.loc[list(PROMPTS)], sets()
    assert specificity_effects(measured(alone), table, randomised(table, 10, 4), {}, 99).empty
    # The nearest of p0 leaves with it; that of c0 does not.
    nearest = found[found["measure"] == "nll_nearest_prompt"]
    assert set(nearest["prompt_id"].dropna()) == {"c0"}


def test_utility_counts_images_not_sets() -> None:
    """Each image that is out costs 0.01, whatever the size of its set."""
    table = sets(draws=1, controls=3)
    assignment = randomised(table, 10, seed=0)
    size = aligned(table, assignment)["size"].groupby(level=0).first().to_numpy()
    values = [3 + 0.01 * size @ assignment.out]
    held = pd.DataFrame(values, ["held out"], list(assignment.model_ids))
    effects = utility_effects(measured(held, "heldout_nll"), table, assignment, 200)
    row = pick(effects, arm="any_set")
    assert row["n_sets"] == 5
    assert row["effect"] == pytest.approx(0.01 * size.mean())

"""Trials with several targeted arms: effects of sets that share images, and their difference."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tests.helpers.forget_sets import build_all, catalog, ranking
from untrain.counterfactual.design import Assignment, forget_set_table, randomised, removed_ids
from untrain.evaluation.differences import compare_arms, compare_sizes
from untrain.evaluation.effects import trial_effects
from untrain.evaluation.side_effects import specificity_effects, utility_effects
from untrain.evaluation.trial import Trial

OTHER = "targeted:dtrak"
N = 400


def forget_sets(
    prompts: int, ks: tuple[int, ...], overlap: int, seed: int = 0, random: bool = True
) -> pd.DataFrame:
    """Two rankings that have ``overlap`` of their first ten images in common, at random places."""
    generator = np.random.default_rng(seed)
    first, second = {}, {}
    for i in range(prompts):
        images = generator.permutation(np.arange(i, N, prompts)).tolist()
        top, rest = images[:10], images[10:]
        first[f"p{i}"] = top + rest
        mine = top[:overlap] + rest[: 10 - overlap]
        second[f"p{i}"] = (
            generator.permutation(mine).tolist() + rest[10 - overlap :] + top[overlap:]
        )
    arms = ["targeted", OTHER, *(["random_uniform"] if random else [])]
    found = build_all(
        ranking(**first), catalog(N), arms=arms, ks=ks, further={OTHER: ranking(**second)}
    )
    return found.table


def outcomes(
    sets: pd.DataFrame, assignment: Assignment, of_image: dict[str, float], noise: float, seed: int
) -> pd.DataFrame:
    """Prompts × models: the effects of the prompt's own images that are out add up."""
    generator = np.random.default_rng(seed)
    prompts = sorted(sets["prompt_id"].unique())
    own = {p: set(sets.loc[sets["prompt_id"] == p, "image_id"]) for p in prompts}
    y = np.zeros((len(prompts), len(assignment.model_ids)))
    for m, model_id in enumerate(assignment.model_ids):
        gone = set(removed_ids(assignment, sets, model_id))
        for i, p in enumerate(prompts):
            y[i, m] = 5 + sum(of_image.get(image, 0.0) for image in gone & own[p])
    y += noise * (generator.normal(size=y.shape) + generator.normal(size=(1, y.shape[1])))
    return pd.DataFrame(y, index=prompts, columns=list(assignment.model_ids))


def effect_of(sets: pd.DataFrame, of_image: dict[str, float], arm: str, k: int) -> float:
    """The true mean effect of an arm's sets."""
    own = sets[(sets["arm"] == arm) & (sets["k"] <= k)]
    return float(own["image_id"].map(of_image).fillna(0).groupby(own["prompt_id"]).sum().mean())


def found_rows(rows: list[dict[str, object]]) -> dict[tuple[object, ...], dict[str, object]]:
    return {(r["arm"], r["control"], r["k"], r["prompt_id"]): r for r in rows}


def test_without_noise_the_effects_and_differences_are_those_that_were_put_in() -> None:
    """Many models: each prompt's sets are separated, whatever images they share."""
    sets = forget_sets(3, (10, 30), overlap=4)
    generator = np.random.default_rng(1)
    table = forget_set_table(sets)
    of_image: dict[str, float] = {}
    # Images of one forget set do equally much: then a share of it is exact, too.
    for _, unit in sets[sets["arm"] != "random_uniform"].groupby("forget_set_id"):
        of_image |= dict.fromkeys(unit["image_id"], generator.uniform(0, 0.2))
    assignment = randomised(table, 40, seed=3)
    y = outcomes(sets, assignment, of_image, noise=0, seed=0)
    trial = Trial.of(table, assignment, 20, 0)
    effects = found_rows(trial.effects(y, "nll"))
    for k in (10, 30):
        for arm in ("targeted", OTHER):
            true = effect_of(sets, of_image, arm, k)
            assert effects[arm, None, k, None]["effect"] == pytest.approx(true)
    compared = found_rows(compare_arms(trial, y, "nll"))
    for k in (10, 30):
        true = effect_of(sets, of_image, "targeted", k) - effect_of(sets, of_image, OTHER, k)
        assert compared["targeted", OTHER, k, None]["effect"] == pytest.approx(true)
        for arm in ("targeted", OTHER):
            row = compared[arm, "random_uniform", k, None]
            assert row["effect"] == pytest.approx(effect_of(sets, of_image, arm, k))
    added = found_rows(compare_sizes(trial, y, "nll"))
    assert set(added) == {("targeted", None, 30, None), (OTHER, None, 30, None)}


def spread(sets: pd.DataFrame) -> dict[str, float]:
    """Return what each image does: each set has an effect of its own, shared by its images."""
    of_unit = {name: 0.1 * n for n, name in enumerate(sets["forget_set_id"].unique(), 1)}
    units = sets.drop_duplicates("image_id")
    share = units["forget_set_id"].map(units["forget_set_id"].value_counts())
    return dict(zip(units["image_id"], units["forget_set_id"].map(of_unit) / share, strict=True))


def test_the_largest_size_is_exact_where_all_is_fitted() -> None:
    """The joint fit of a prompt without noise: differences to the last digit."""
    sets = forget_sets(2, (10, 30), overlap=4, random=False)
    of_image = spread(sets)
    table = forget_set_table(sets)
    assignment = randomised(table, 30, seed=1)
    y = outcomes(sets, assignment, of_image, noise=0, seed=0)
    rows = found_rows(compare_arms(Trial.of(table, assignment, 50, 0), y, "nll"))
    for k in (10, 30):
        true = effect_of(sets, of_image, "targeted", k) - effect_of(sets, of_image, OTHER, k)
        assert rows["targeted", OTHER, k, None]["effect"] == pytest.approx(true)


def test_few_models_still_compare_the_rankings() -> None:
    sets = forget_sets(4, (10, 30), overlap=2)
    table = forget_set_table(sets)
    assignment = randomised(table, 8, seed=0)
    y = outcomes(sets, assignment, {}, 0.1, 0)
    rows = found_rows(compare_arms(Trial.of(table, assignment, 100, 0), y, "nll"))
    for k in (10, 30):
        row = rows["targeted", OTHER, k, None]
        assert np.isfinite([row["effect"], row["low"], row["high"], row["two_sided_p"]]).all()


def test_the_same_sets_do_not_differ() -> None:
    first = ranking(**{f"p{i}": list(range(i, N, 3)) for i in range(3)})
    arms = ["targeted", OTHER]
    sets = build_all(first, catalog(N), arms=arms, ks=(10,), further={OTHER: first}).table
    table = forget_set_table(sets)
    assert len(set(table["forget_set_id"])) == 3
    assignment = randomised(table, 10, seed=0)
    y = outcomes(sets, assignment, {}, 0.2, 0)
    trial = Trial.of(table, assignment, 50, 0)
    assert compare_arms(trial, y, "nll") == []
    effects = found_rows(trial.effects(y, "nll"))
    for prompt in (None, "p0", "p1", "p2"):
        one, two = effects["targeted", None, 10, prompt], effects[OTHER, None, 10, prompt]
        assert one["effect"] == pytest.approx(two["effect"])
        assert one["p_value"] == two["p_value"]


@pytest.mark.slow  # simulates many trials
@pytest.mark.parametrize("models", [8, 16])
def test_the_difference_of_rankings_keeps_its_level_and_its_interval_covers(models: int) -> None:
    sets = forget_sets(5, (10, 30), overlap=3, random=False)
    table = forget_set_table(sets)
    units = sets.drop_duplicates("image_id")
    mine = set(sets[(sets["arm"] == "targeted") & (sets["k"] == 10)]["image_id"])
    theirs = set(sets[(sets["arm"] == OTHER) & (sets["k"] == 10)]["image_id"])
    better = dict.fromkeys(mine - theirs, 0.05)
    assert len(units) > len(better)
    p, covered, own = [], [], []
    for seed in range(60):
        assignment = randomised(table, models, seed)
        trial = Trial.of(table, assignment, 99, seed)
        idle = outcomes(sets, assignment, {}, 0.2, seed)
        rows = found_rows(compare_arms(trial, idle, "nll"))
        p.append([rows["targeted", OTHER, k, None]["two_sided_p"] for k in (10, 30)])
        y = outcomes(sets, assignment, better, 0.2, seed)
        row = found_rows(compare_arms(trial, y, "nll"))["targeted", OTHER, 10, None]
        true = effect_of(sets, better, "targeted", 10) - effect_of(sets, better, OTHER, 10)
        covered.append(row["low"] <= true <= row["high"])
        mean = found_rows(trial.effects(y, "nll"))["targeted", None, 10, None]
        own.append(mean["low"] <= effect_of(sets, better, "targeted", 10) <= mean["high"])
    spread = 3 * math.sqrt(0.05 * 0.95 / 60)
    assert (np.mean(np.array(p) <= 0.05, axis=0) <= 0.05 + spread).all()
    assert np.mean(covered) >= 0.95 - spread
    assert np.mean(own) >= 0.95 - spread


def test_a_trial_of_two_rankings_has_every_kind_of_row() -> None:
    sets = forget_sets(2, (10, 30), overlap=3)
    table = forget_set_table(sets)
    assignment = randomised(table, 12, seed=0)
    y = outcomes(sets, assignment, {}, 0.2, 0)
    y["A"] = 4.0
    long = y.rename_axis("prompt_id").reset_index().melt("prompt_id", var_name="model_id")
    measures = long.assign(generation=0, measure="nll")
    found = trial_effects(measures, table, assignment, 20).table
    randomised_rows = found[(found["design"] == "randomised") & found["prompt_id"].isna()]
    assert set(randomised_rows["arm"]) == {"targeted", OTHER, "random_uniform"}
    assert randomised_rows["effect"].notna().all()
    naive = found[found["design"] == "naive"].set_index(["arm", "k"])["effect"]
    assert naive.loc["none"].notna().all() and naive.loc[OTHER].notna().any()
    differences = found[found["design"] == "randomised-difference"]
    assert ((differences["arm"] == "targeted") & (differences["control"] == OTHER)).sum() == 2
    others = specificity_effects(measures, table, assignment, {}, 20)
    assert {"targeted", OTHER} <= set(others["arm"])
    held = pd.DataFrame({"model_id": list(assignment.model_ids), "measure": "heldout_nll"})
    held = held.assign(value=np.arange(len(held), dtype=float), prompt_id=None, generation=None)
    slopes = utility_effects(pd.concat([measures, held]), table, assignment, 20)
    assert set(slopes["arm"]) == {"any_set", "targeted", OTHER, "random_uniform"}


def test_both_rankings_together_are_compared_with_each() -> None:
    sets = forget_sets(2, (10,), overlap=4, random=False)
    of_image = spread(sets)
    units = sets.drop_duplicates("image_id")
    table = forget_set_table(sets)
    assignment = randomised(table, 20, seed=1)
    y = outcomes(sets, assignment, of_image, noise=0, seed=0)
    rows = found_rows(compare_arms(Trial.of(table, assignment, 50, 0), y, "nll"))
    both = units["image_id"].map(of_image).groupby(units["prompt_id"]).sum().mean()
    for arm in ("targeted", OTHER):
        found = rows[f"targeted+{OTHER}", arm, 10, None]["effect"]
        assert found == pytest.approx(both - effect_of(sets, of_image, arm, 10))

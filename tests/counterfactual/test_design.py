import math

import numpy as np
import pandas as pd
import pytest

from tests.helpers.forget_sets import sets_of
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.counterfactual.design import (
    before_after,
    enough_forget_sets,
    forget_set_table,
    randomised,
    redraw,
    refuse_repeated_models,
    removals,
    removed_ids,
)


@pytest.mark.parametrize("n_prompts", [1, 4, 7])
def test_each_set_is_out_in_half_of_the_models(n_prompts):
    assignment = randomised(sets_of(n_prompts, ks=(10, 100)), 10, seed=0)
    assert assignment.model_ids[0] == "B00" and assignment.model_ids[-1] == "B09"
    assert (assignment.out.sum(axis=1) == 5).all()
    assert (redraw(assignment, rng(1), 20).sum(axis=2) == 5).all()


def test_redrawn_assignments_are_uniform_and_independent_over_sets():
    assignment = randomised(sets_of(4, arms=("targeted",)), 4, seed=0)
    drawn = redraw(assignment, rng("test"), 12_000)
    halves, counts = np.unique(drawn[:, 2], axis=0, return_counts=True)
    assert len(halves) == math.comb(4, 2)
    assert counts == pytest.approx(np.full(6, 2000), rel=0.1)
    complements = (drawn[:, 0] == ~drawn[:, 1]).all(axis=1).mean()
    assert complements == pytest.approx(1 / 6, abs=0.02)


def test_a_cost_of_any_removal_shows_in_the_random_arm():
    """Every set out costs every query 0.3: the control must read 0.3, not nothing."""
    table = sets_of(8)
    means = []
    for seed in range(400):
        out = randomised(table, 8, seed).out.astype(float)
        y = 0.3 * out.sum(axis=0)
        rows = out[8:]  # random_uniform
        means.append((y * rows).sum() / rows.sum() - (y * (1 - rows)).sum() / (1 - rows).sum())
    assert np.mean(means) == pytest.approx(0.3, abs=0.05)


def test_the_assignment_follows_the_same_law_as_the_redrawn_ones():
    table = sets_of(3, arms=("targeted",))
    first = np.stack([randomised(table, 4, seed=s).out for s in range(800)])
    again = redraw(randomised(table, 4, seed=0), rng("law"), 800)
    codes = [np.packbits(o.reshape(len(o), -1), axis=1).view(">u2").ravel() for o in (first, again)]
    values = np.union1d(*codes)
    counts = np.array([[np.sum(c == v) for v in values] for c in codes])
    assert np.abs(counts[0] - counts[1]).max() < 6 * np.sqrt(counts.mean())


def test_same_seed_same_assignment_other_seed_another():
    table = sets_of(6)
    same = [randomised(table, 10, seed=s).out for s in (0, 0, 1)]
    assert (same[0] == same[1]).all() and (same[0] != same[2]).any()


@pytest.mark.parametrize("n_models", [2, 5, 0])
def test_an_odd_or_small_number_of_models_is_refused(n_models):
    with pytest.raises(InputError, match="even and at least 4"):
        randomised(sets_of(3), n_models, seed=0)


def test_before_after_takes_everything_targeted_out_of_one_model():
    table = sets_of(3, arms=("targeted", "random_uniform", "least_similar"), draws=2)
    assignment = before_after(table)
    assert assignment.model_ids == ("full", "targeted", "random", "reseed")
    assert assignment.seed_offsets == (0, 0, 0, 1)
    assert not assignment.out[:, [0, 3]].any()
    assert (assignment.out[:, 1] == (table["arm"] == "targeted")).all()
    out = table[assignment.out[:, 2]]
    assert set(out["arm"]) == {"random_uniform"} and set(out["draw"]) == {0}
    with pytest.raises(InputError, match="random_uniform"):
        before_after(sets_of(3, arms=("targeted",)))


def test_removals_and_removed_ids_say_what_is_out():
    images = sets_of(4).merge(pd.DataFrame({"n": range(3)}), how="cross")
    images["image_id"] = [f"i{i:03d}" for i in range(len(images))]
    table = forget_set_table(images)
    assert list(table["size"]) == [3] * 8
    assignment = randomised(table, 6, seed=0)
    rows = removals(assignment)
    assert len(rows) == 8 * 3
    wanted = set(rows.loc[rows["model_id"] == "B02", "forget_set_id"])
    removed = removed_ids(assignment, images, "B02")
    assert removed == sorted(images.loc[images["forget_set_id"].isin(wanted), "image_id"])
    with pytest.raises(InputError, match="unknown model 'B99'"):
        removed_ids(assignment, images, "B99")


def test_models_that_are_not_paired_have_seeds_of_their_own_and_the_same_assignment():
    table = sets_of(4)
    paired, unpaired = (randomised(table, 6, 0, paired=paired) for paired in (True, False))
    assert paired.seed_offsets == (0,) * 6 and unpaired.seed_offsets == tuple(range(6))
    assert (paired.out == unpaired.out).all()
    table = sets_of(3, arms=("targeted", "random_uniform"))
    assert before_after(table, paired=False).seed_offsets == (0, 1, 2, 3)


def test_equal_models_are_refused_unless_seeds_tell_them_apart():
    table = sets_of(1)
    with pytest.raises(InputError, match=r"of 8 models would differ.* 8 sets are nearly always"):
        refuse_repeated_models(randomised(table, 8, 0))
    refuse_repeated_models(randomised(table, 8, 0, paired=False))


@pytest.mark.parametrize("n_models", [4, 8, 10])
def test_enough_forget_sets_are_nearly_always_enough(n_models):
    table = sets_of(enough_forget_sets(n_models), arms=("targeted",))
    drawn = redraw(randomised(table, n_models, 0), rng("enough"), 2000)
    repeated = [np.unique(out, axis=1).shape[1] < n_models for out in drawn]
    assert np.mean(repeated) < 0.05


def test_a_seed_gives_the_assignment_that_it_always_gave():
    """Published results rest on these bits: never draw them in another order."""
    out = randomised(sets_of(3), 8, seed=5).out
    assert ["".join(map(str, row.astype(int))) for row in out] == [
        *("11110000", "00101101", "01110100"),
        *("01001101", "10011010", "00110110"),
    ]

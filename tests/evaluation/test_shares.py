"""Values of groups: known games, exact values by enumeration, what the estimates promise."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.games import every_set, exact, game, whole
from untrain.banks.groups.draws import draw_sets
from untrain.core.errors import InputError
from untrain.evaluation.shares import Game, group_values, least_models

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def values(found: Game, kind: str = "shapley") -> np.ndarray:
    return group_values(found)[kind].by_query[:, 0]


def half(players: int) -> np.ndarray:
    """Return Banzhaf's weights of the sizes of sets of others."""
    return np.array([comb(players - 1, s) for s in range(players)]) / 2 ** (players - 1)


def test_in_an_additive_game_every_value_is_what_a_player_brings() -> None:
    brings = np.array([3.0, 0.0, -1.0, 0.5, 2.0])
    found = group_values(whole(5, lambda sets: 7 + sets @ brings))
    for kind in ("shapley", "owen", "banzhaf", "last"):
        np.testing.assert_allclose(found[kind].by_query[:, 0], brings, atol=1e-9)


def test_the_glove_game() -> None:
    """One left glove, two right ones; a pair is worth 1: Shapley 2/3, 1/6, 1/6."""

    def pairs(sets: np.ndarray) -> np.ndarray:
        return sets[:, 0] & (sets[:, 1] | sets[:, 2])

    found = whole(3, pairs)
    np.testing.assert_allclose(values(found), [2 / 3, 1 / 6, 1 / 6])
    np.testing.assert_allclose(values(found, "owen"), [2 / 3, 1 / 6, 1 / 6])
    np.testing.assert_allclose(values(found, "banzhaf"), [3 / 4, 1 / 4, 1 / 4])


@pytest.mark.parametrize("partners", [1, 2, 3])
def test_a_unanimity_game_is_shared_by_those_it_takes(partners: int) -> None:
    found = whole(4, lambda sets: sets[:, :partners].all(axis=1))
    shared = np.where(np.arange(4) < partners, 1 / partners, 0)
    np.testing.assert_allclose(values(found), shared, atol=1e-9)
    np.testing.assert_allclose(values(found, "owen"), shared, atol=1e-9)
    each = np.where(np.arange(4) < partners, 0.5 ** (partners - 1), 0)
    np.testing.assert_allclose(values(found, "banzhaf"), each, atol=1e-9)


def test_a_game_by_hand() -> None:
    """v(1) = 1, v(2) = 2, v(12) = 5: Shapley (1 + 3) / 2 and (2 + 4) / 2."""
    worth = np.array([[1.0], [2.0]])
    found = Game(np.array([[True, False], [False, True]]), worth, np.array([5.0]), np.zeros(1))
    np.testing.assert_allclose(values(found), [2, 3])


@settings(max_examples=25, deadline=None)
@given(players=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_all_sets_give_the_exact_values(players: int, seed: int) -> None:
    table = np.random.default_rng(seed).normal(size=2**players)

    def worth(sets: np.ndarray) -> np.ndarray:
        return table[sets @ (2 ** np.arange(players))]

    found = whole(players, worth)
    shapley = exact(players, worth)
    np.testing.assert_allclose(values(found), shapley, atol=1e-9)
    np.testing.assert_allclose(values(found, "owen"), shapley, atol=1e-9)
    np.testing.assert_allclose(
        values(found, "banzhaf"), exact(players, worth, half(players)), atol=1e-9
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_shapley_values_sum_to_what_was_learnt_whatever_the_bank(seed: int) -> None:
    random = np.random.default_rng(seed)
    _, kept = draw_sets(8, 8, SHARES, seed)
    worth = random.normal(size=(len(kept), 3))
    full, empty = random.normal(size=(2, 3))
    found = group_values(Game(kept, worth, full, empty))["shapley"]
    np.testing.assert_allclose(found.by_query.sum(axis=0), full - empty)
    np.testing.assert_allclose(
        found.without.sum(axis=1), np.tile(full - empty, (len(found.without), 1))
    )


def saturating(sets: np.ndarray) -> np.ndarray:
    """What is learnt grows ever more slowly; the first players bring the most."""
    return np.log1p(sets @ np.linspace(3, 0.2, sets.shape[1]))


@pytest.mark.parametrize("kind", ["shapley", "owen", "banzhaf"])
def test_random_draws_come_near_the_exact_values_of_eight_groups(kind: str) -> None:
    truth = exact(8, saturating, half(8) if kind == "banzhaf" else None)
    off = []
    for seed in range(10):
        _, kept = draw_sets(8, 12, SHARES, seed)
        off.append(values(game(kept, saturating), kind) - truth)
    assert np.abs(np.mean(off, axis=0)).max() < 0.03  # no bias; the values are 0.05 to 0.6
    assert np.sqrt(np.mean(np.square(off))) < 0.05


def test_intervals_hold_the_exact_values_about_as_often_as_they_say() -> None:
    truth, inside = exact(8, saturating), []
    for seed in range(12):
        _, kept = draw_sets(8, 8, SHARES, seed)
        noise = np.random.default_rng(seed).normal(0, 0.1, (len(kept), 1))
        found = group_values(game(kept, saturating, noise=noise))["shapley"]
        ends = np.array([found.of(group, np.array([0])).interval() for group in range(8)])
        inside += list((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    assert 0.88 <= np.mean(inside) <= 1.0


def test_a_group_that_does_nothing_is_not_separable_and_one_that_does_is() -> None:
    brings = np.array([2.0, 0, 0, 0, 0, 0, 0, 1.0])
    _, kept = draw_sets(8, 8, SHARES, 0)
    noise = np.random.default_rng(0).normal(0, 0.1, (len(kept), 1))
    found = group_values(game(kept, lambda sets: sets @ brings, noise=noise))["shapley"]
    p = np.array([found.of(group, np.array([0])).p_value for group in range(8)])
    assert (p[[0, 7]] < 1e-6).all()
    assert (p[1:7] > 0.01).all()


def test_queries_do_not_mix() -> None:
    _, kept = draw_sets(6, 6, SHARES, 0)
    found = game(kept, lambda s: s @ np.arange(6.0), saturating)
    both = group_values(found)
    for column, single in enumerate((lambda s: s @ np.arange(6.0), saturating)):
        by_itself = group_values(game(kept, single))
        for kind, each in by_itself.items():
            np.testing.assert_allclose(
                both[kind].by_query[:, column], each.by_query[:, 0], atol=1e-9
            )


def test_the_order_of_models_and_of_groups_changes_nothing() -> None:
    _, kept = draw_sets(6, 6, SHARES, 3)
    random = np.random.default_rng(0)
    worth, rows, columns = (
        random.normal(size=(len(kept), 1)),
        random.permutation(len(kept)),
        [3, 1, 0, 5, 4, 2],
    )
    ends = np.array([1.0]), np.array([-2.0])
    first = values(Game(kept, worth, *ends))
    np.testing.assert_allclose(values(Game(kept[rows], worth[rows], *ends)), first)
    np.testing.assert_allclose(values(Game(kept[:, columns], worth, *ends)), first[columns])


def test_a_complement_is_left_out_with_its_model() -> None:
    found = whole(4, saturating)
    assert len(found.units) == 7
    for rows in found.units:
        assert (found.kept[rows[0]] == ~found.kept[rows[1]]).all()


def test_how_many_models_it_takes() -> None:
    assert [least_models(groups) for groups in (2, 3, 8, 30)] == [2, 6, 24, 90]
    kept = every_set(8)[1:16]
    with pytest.raises(InputError, match=r"at least 24 are needed \(3 × groups"):
        Game(kept, np.zeros((15, 1)), np.zeros(1), np.zeros(1))


def test_one_group_has_everything() -> None:
    with pytest.raises(InputError, match="only one group"):
        Game(np.ones((4, 1), bool), np.zeros((4, 1)), np.ones(1), np.zeros(1))


def test_groups_that_always_leave_together_cannot_be_told_apart() -> None:
    kept = every_set(5)[1:-1]
    together = np.hstack([kept, kept[:, :1]])
    with pytest.raises(InputError, match="cannot tell all 6 groups apart"):
        Game(together, np.zeros((30, 1)), np.zeros(1), np.zeros(1))

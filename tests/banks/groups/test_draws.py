"""Which groups leave together: chances, complements, growth, and how many models it takes."""

from __future__ import annotations

import numpy as np
import pytest

from untrain.banks.groups.draws import SHARES, GroupDraw, default_models, draw_sets
from untrain.core.errors import InputError


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_each_group_leaves_with_the_chance_of_the_share(share: float) -> None:
    drawn = np.array([~GroupDraw(share, i).kept(30, 0) for i in range(400)])
    assert not drawn.all(axis=1).any()
    assert drawn.any(axis=1).all()
    assert abs(drawn.mean() - share) < 4 * (share * (1 - share) / drawn.size) ** 0.5 + 0.01


def test_draws_of_one_number_are_complements() -> None:
    for number in range(5):
        assert (GroupDraw(0.3, number).kept(9, 1) == ~GroupDraw(0.7, number).kept(9, 1)).all()
        pair = [GroupDraw(0.5, 2 * number + i).kept(9, 1) for i in (0, 1)]
        assert (pair[0] == ~pair[1]).all()


def test_no_set_comes_twice_and_a_bank_can_grow() -> None:
    draws, kept = draw_sets(8, 8, SHARES, 0)
    assert len(np.unique(kept, axis=0)) == len(draws) == 40
    for draw, row in zip(draws, kept, strict=True):
        assert (draw.kept(8, 0) == row).all()
    more, larger = draw_sets(8, 12, SHARES, 0, draws)
    assert more[:40] == draws
    assert len(np.unique(larger, axis=0)) == 60
    assert set(more) == set(draw_sets(8, 12, SHARES, 0)[0])
    assert draw_sets(8, 5, SHARES, 0, draws)[0] == draws  # asking for fewer takes nothing away


def test_of_few_groups_all_sets_are_found() -> None:
    draws, kept = draw_sets(4, 16, SHARES, 0)
    assert len(draws) == len(np.unique(kept, axis=0)) == 14


def test_too_few_models_are_refused_with_the_number_that_it_takes() -> None:
    with pytest.raises(InputError) as error:
        draw_sets(30, 8, SHARES, 0)
    words = str(error.value)
    for part in ("40 models are too few for 30 groups", "3 × 30 = 90", "4 × 30 = 120"):
        assert part in words
    assert "--models 18 or more" in words
    assert default_models(30, SHARES) == 24
    assert default_models(8, SHARES) == 16


@pytest.mark.parametrize(
    ("models", "shares", "says"),
    [
        (0, SHARES, "at least 1"),
        (4, (), "different shares"),
        (4, (0.5, 0.5), "different shares"),
        (4, (0.0, 0.5), "between 0 and 1"),
        (4, (float("nan"),), "between 0 and 1"),
    ],
)
def test_impossible_numbers(models: int, shares: tuple[float, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        draw_sets(8, models, shares, 0)

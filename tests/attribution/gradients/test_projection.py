"""Projections keep inner products on average, and exactly where nothing is projected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from untrain.attribution.gradients import projection
from untrain.attribution.gradients.projection import EXACT, Projection, Sketch, make_projection

SIZES = {"a": (7, 5), "b": (20, 3), "c": (1, 4)}


def factors(n: int = 4) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    return {
        name: tuple(torch.randn(n, 6, size, generator=draw) for size in sides)  # type: ignore[misc]
        for name, sides in SIZES.items()
    }


def rows_of(made: Projection) -> torch.Tensor:
    rows = torch.zeros(4, made.dimensions)
    for name, (a, b) in factors().items():
        made.add(rows, name, a, b)
    return rows


def whole() -> torch.Tensor:
    gradients = [torch.bmm(b.transpose(1, 2), a).flatten(1) for a, b in factors().values()]
    return torch.cat(gradients, 1)


@pytest.mark.parametrize("dimensions", [EXACT, 10_000])
def test_with_room_for_all_numbers_nothing_is_projected(dimensions: int) -> None:
    made = make_projection(SIZES, dimensions)
    assert made.dimensions == sum(i * o for i, o in SIZES.values()) == 99
    torch.testing.assert_close(rows_of(made), whole())


@pytest.mark.parametrize("dimensions", [3, 10, 30, 60, 98])
def test_no_more_numbers_than_asked_for(dimensions: int) -> None:
    made = make_projection(SIZES, dimensions)
    assert dimensions / 2 <= made.dimensions <= dimensions
    starts = [part.start for part in made.columns.values()]
    stops = [part.stop for part in made.columns.values()]
    assert starts == [0, *stops[:-1]]  # side by side, nothing between them


@pytest.mark.parametrize("largest", [1 << 27, 0], ids=["normal", "sketch"])
def test_products_are_kept_on_average(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "LARGEST", largest)
    gradients = whole()
    expected = gradients @ gradients.T
    found = []
    for seed in range(400):
        made = make_projection(SIZES, 30, seed)
        rows = rows_of(made)
        found.append(rows @ rows.T)
    sides = [side for pair in made.sides.values() for side in pair if side is not None]
    assert sides and all(isinstance(side, Sketch) == (largest == 0) for side in sides)
    each = torch.stack(found)
    error = each.std(0) / np.sqrt(len(found))
    assert (((each.mean(0) - expected) / error).abs() < 4.5).all()


def test_it_follows_from_the_seed() -> None:
    torch.testing.assert_close(*[rows_of(make_projection(SIZES, 30, 1)) for _ in range(2)])
    assert not torch.equal(*[rows_of(make_projection(SIZES, 30, seed)) for seed in (0, 1)])


def test_a_layer_called_twice_is_added_up() -> None:
    made = make_projection(SIZES, 30)
    once, twice = rows_of(made), torch.zeros(4, made.dimensions)
    for _ in range(2):
        for name, (a, b) in factors().items():
            made.add(twice, name, a, b)
    torch.testing.assert_close(twice, 2 * once)

"""The paired loop: which rows come when, and what a step does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch

from untrain.generators.paired import Average, Epoch, descend, paired_batches, schedule


@dataclass(frozen=True)
class Recipe:
    epochs: int = 2
    batch: int = 4
    lr: float = 0.1
    warmup: float = 0.0
    clip: float = 1e9
    averaging: float = 0.0


def test_every_pair_comes_once_an_epoch_in_full_batches() -> None:
    epochs = list(paired_batches(3, pairs=10, batch=4, epochs=3))
    assert [epoch.first_step for epoch in epochs] == [0, 3, 6]
    for epoch in epochs:
        assert [len(rows) for rows in epoch.batches] == [4, 4, 2]
        assert sorted(epoch.order) == list(range(10))
    assert any((a.order != b.order).any() for a, b in pairwise(epochs))


def test_the_order_depends_on_the_seed_and_not_on_how_many_epochs_there_are() -> None:
    def orders(seed: int, epochs: int) -> list[list[int]]:
        return [epoch.order.tolist() for epoch in paired_batches(seed, 50, 7, epochs)]

    assert orders(1, 4)[:2] == orders(1, 2)
    assert orders(1, 2) != orders(2, 2)


def line() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1, bias=False)
    return model, torch.optim.SGD(model.parameters(), lr=1.0)


def test_a_step_left_out_changes_nothing_and_counts_as_a_loss_of_zero() -> None:
    model, optimizer = line()
    before = model.weight.detach().clone()
    asked: list[int] = []

    def losses_of(epoch: Epoch) -> Iterator[torch.Tensor | None]:
        for step, _ in enumerate(epoch.batches, epoch.first_step):
            asked.append(step)
            yield None if step < 2 else model.weight.sum()

    passed: list[int] = []
    losses = descend(model, optimizer, losses_of, Recipe(), 8, 0, passed.append)
    assert asked == [0, 1, 2, 3] and passed == [4, 4, 4, 4]
    assert losses[0] == 0
    first, second = float(before), float(before) - 0.1 * schedule(2, 4, 0.0)
    assert losses[1] == pytest.approx((first + second) / 2, rel=1e-5)
    expected = second - 0.1 * schedule(3, 4, 0.0)
    assert model.weight.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_are_clipped_and_a_stack_has_a_loss_each() -> None:
    model, optimizer = line()
    before = model.weight.item()

    def losses_of(epoch: Epoch) -> Iterator[torch.Tensor]:
        for _ in epoch.batches:
            yield 100 * model.weight.sum() * torch.ones(3)

    passed: list[int] = []
    recipe = Recipe(epochs=1, batch=8, clip=0.5)
    losses = descend(model, optimizer, losses_of, recipe, 8, 0, passed.append, models=(3,))
    assert losses.shape == (1, 3) and passed == [24]
    assert model.weight.item() == pytest.approx(before - 0.1 * 0.5, rel=1e-5)


def test_the_rate_rises_and_falls_to_a_tenth() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert np.argmax(rates) in (9, 10)


def test_an_average_is_the_plain_mean_of_every_fourth_step() -> None:
    model, _ = line()
    average = Average(model, first=8)
    with torch.no_grad():
        for step in range(1, 21):
            model.weight.fill_(float(step))
            average.update(step)
    average.apply()
    assert model.weight.item() == pytest.approx((12 + 16 + 20) / 3)

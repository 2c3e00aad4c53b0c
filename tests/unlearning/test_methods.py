"""What every method keeps to: its budget, its seed, and the generator it was given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher
from untrain.catalogs import Catalog, rendered
from untrain.generators.predictions import Prediction
from untrain.unlearning import METHODS, Task, unlearn
from untrain.unlearning.base import copied
from untrain.unlearning.learner import size_of
from untrain.unlearning.meter import BudgetSpent, Meter

ALL = list(METHODS)


class Counting(Sketcher):
    """Counts the pairs that pass through it, copies included."""

    learning_rate = 0.02
    passed = [0, 0]  # noqa: RUF012 - forward and backward, forward only

    def pair_losses(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.passed[0 if torch.is_grad_enabled() else 1] += size_of(batch)
        return super().pair_losses(batch)

    def pair_predictions(self, batch: dict[str, torch.Tensor]) -> list[Prediction]:
        self.passed[0 if torch.is_grad_enabled() else 1] += size_of(batch)
        return super().pair_predictions(batch)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=6, size_of_family=4, seed=1, resolution=16)


@pytest.fixture(scope="module")
def fitted(catalog: Catalog) -> Counting:
    generator = Counting("dense", epochs=20)
    generator.fit(catalog, [], 0, silent)
    return generator


@cache
def exact_twin() -> Counting:
    """Return what `fitted` would be without the images to forget; for the methods told of it."""
    catalog = rendered(families=6, size_of_family=4, seed=1, resolution=16)
    generator = Counting("dense", epochs=20)
    generator.fit(catalog, catalog.ids[:3], 0, silent)
    return generator


def task_of(
    generator: Any,
    catalog: Catalog,
    budget: float = 0.5,
    seed: int = 0,
    progress: Callable[[int], None] = silent,
) -> Task:
    forget = catalog.ids[:3]
    return Task(generator, catalog, forget, budget, seed, progress, twin=exact_twin())


def weights_of(generator: Any) -> np.ndarray:
    parts = [value.detach().double().numpy().ravel() for value in generator.module().parameters()]
    return np.concatenate(parts)


def losses_of(generator: Any, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
    with torch.no_grad():
        return generator.pair_losses(generator.training_batch(catalog, ids)).numpy()


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("budget", [0.05, 0.3])
def test_a_method_says_what_it_passed_and_keeps_to_its_budget(
    fitted: Counting, catalog: Catalog, method: str, budget: float
) -> None:
    told: list[int] = []
    task = task_of(fitted, catalog, budget, progress=told.append)
    Counting.passed = [0, 0]
    try:
        found = unlearn(method, task)
    except BudgetSpent:
        assert budget == 0.05  # it needs more: it says so, and how much
        return
    spent = found.spent
    if method != "sisa":  # whose training passes removed pairs here, which others leave out
        assert spent.both >= Counting.passed[0] and spent.forward >= Counting.passed[1]
    assert spent.share <= budget + 1e-9 and spent.training == 20 * len(catalog)
    assert sum(told) == int(spent.pairs)


@pytest.mark.parametrize("method", ALL)
def test_the_given_generator_stays_and_the_seed_decides_the_other(
    fitted: Counting, catalog: Catalog, method: str
) -> None:
    before = weights_of(fitted)
    first, again, other = (
        weights_of(unlearn(method, task_of(fitted, catalog, seed=seed)).generator)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(weights_of(fitted), before)
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first).all()
    if method == "nothing":
        np.testing.assert_array_equal(first, before)
    elif method == "fine_tuning":
        assert (first != other).any()


@pytest.mark.parametrize("method", [name for name in ALL if name != "nothing"])
def test_what_was_changed_is_what_is_saved(fitted: Counting, catalog: Catalog, method: str) -> None:
    found = unlearn(method, task_of(fitted, catalog)).generator
    assert (weights_of(found) != weights_of(fitted)).any()
    np.testing.assert_array_equal(weights_of(copied(found)), weights_of(found))


@pytest.mark.parametrize("method", ["ascent", "bounded_ascent", "ascent_retain", "npo", "salun"])
def test_ascent_raises_the_loss_of_what_is_to_be_forgotten(
    fitted: Counting, catalog: Catalog, method: str
) -> None:
    found = unlearn(method, task_of(fitted, catalog)).generator
    ids = catalog.ids[:3]
    assert (losses_of(found, catalog, ids) > losses_of(fitted, catalog, ids)).all()


def test_fine_tuning_lowers_the_loss_of_what_is_retained(
    fitted: Counting, catalog: Catalog
) -> None:
    found = unlearn("fine_tuning", task_of(fitted, catalog)).generator
    ids = catalog.ids[3:]
    assert losses_of(found, catalog, ids).mean() < losses_of(fitted, catalog, ids).mean()


def test_a_bound_holds_and_ends_the_ascent(fitted: Counting, catalog: Catalog) -> None:
    ids = catalog.ids[:3]
    rises = []
    for bound in (0.02, 0.2):
        task = task_of(fitted, catalog, budget=1.0)
        found = unlearn("bounded_ascent", task, bound=bound, rate=0.2, batch=16, forget=0.5)
        assert found.spent.share < 0.9
        after = losses_of(found.generator, catalog, ids)
        rises.append((after - losses_of(fitted, catalog, ids)).mean())
    assert 0 < rises[0] < rises[1] / 3


def test_npo_fades_out_where_ascent_goes_on(fitted: Counting, catalog: Catalog) -> None:
    rises = [
        losses_of(unlearn(name, task_of(fitted, catalog, budget=1.0)).generator, catalog, [image])
        for name in ("npo:beta=1,rate=0.1", "ascent_retain:forget=1,rate=0.1")
        for image in catalog.ids[:1]
    ]
    assert rises[0] < rises[1]


def test_saliency_leaves_the_other_weights_as_they_were(fitted: Counting, catalog: Catalog) -> None:
    found = unlearn("salun", task_of(fitted, catalog), share=0.1).generator
    changed = weights_of(found) != weights_of(fitted)
    assert 0.02 < changed.mean() <= 0.1


def test_a_meter_refuses_what_the_budget_does_not_cover() -> None:
    meter = Meter(0.1, 100, silent)
    meter.pay(8)
    meter.pay(6, forward=True)
    assert meter.left == 0 and meter.spent().share == pytest.approx(0.1)
    with pytest.raises(BudgetSpent, match=r"budget of at least 0\.104"):
        meter.pay(1, forward=True)
    assert meter.spent().pairs == 10


def test_a_budget_too_small_for_a_step_says_what_it_takes(
    fitted: Counting, catalog: Catalog
) -> None:
    with pytest.raises(BudgetSpent, match=r"one step takes 3: .* at least 0\.00625"):
        unlearn("ascent", task_of(fitted, catalog, budget=0.001))

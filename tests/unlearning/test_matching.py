"""Matching: levels that are reached, the rest that stays, and how levels are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher
from untrain.catalogs import Catalog, rendered
from untrain.core.errors import InputError
from untrain.unlearning import Task, matching, unlearn
from untrain.unlearning.caption_swap import CaptionSwap
from untrain.unlearning.combined_matching import CombinedMatching
from untrain.unlearning.learner import Learner
from untrain.unlearning.matching import Matching, in_proportion, match
from untrain.unlearning.neighbours import Neighbours


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=8, size_of_family=4, seed=2, resolution=16)


@pytest.fixture(scope="module")
def fitted(catalog: Catalog) -> Sketcher:
    generator = Sketcher("dense", epochs=60)
    generator.learning_rate = 0.02
    generator.fit(catalog, [], 0, silent)
    return generator


def family(catalog: Catalog) -> list[str]:
    """Return the four images of one product, which come first in no catalogue."""
    families = catalog.attributes["family"]
    return [each for each, own in zip(catalog.ids, families, strict=True) if own == families[0]]


def task_of(generator: Sketcher, catalog: Catalog, forget: int = 4, budget: float = 1.0) -> Task:
    return Task(generator, catalog, family(catalog)[:forget], budget, 0, silent)


def losses_of(generator: Sketcher, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
    with torch.no_grad():
        return generator.pair_losses(generator.training_batch(catalog, ids)).numpy()


def test_losses_reach_the_levels_and_the_rest_stays(fitted: Sketcher, catalog: Catalog) -> None:
    task = task_of(fitted, catalog)
    learner = Learner(task, "test")
    aims = dict(zip(task.forgotten, (1.0, 1.5, 2.0, 2.5), strict=True))
    match(learner, Matching(), in_proportion(aims), Neighbours.of(task))
    ids = [*task.forgotten, *task.retained]
    before, after = (losses_of(g, catalog, ids) for g in (fitted, learner.generator))
    levels = before[:4] * np.array(list(aims.values()))
    assert np.square(after[:4] - levels).sum() < 0.1 * np.square(before[:4] - levels).sum()
    assert np.abs(after[4:] - before[4:]).mean() < 0.1 * np.abs(after[:4] - before[:4]).mean()


def test_a_generator_without_predictions_is_held_by_its_losses(
    fitted: Sketcher, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "has_predictions", lambda generator: False)
    task = task_of(fitted, catalog)
    learner = Learner(task, "test")
    match(
        learner, Matching(), in_proportion(dict.fromkeys(task.forgotten, 2.0)), Neighbours.of(task)
    )
    ids = [*task.forgotten, *task.retained]
    before, after = (losses_of(g, catalog, ids) for g in (fitted, learner.generator))
    assert (after[:4] > 1.5 * before[:4]).all()
    assert np.abs(after[4:] - before[4:]).mean() < 0.2 * np.abs(after[:4] - before[:4]).mean()


def test_what_nothing_retained_is_like_is_predicted_to_be_forgotten_more(
    fitted: Sketcher, catalog: Catalog
) -> None:
    whole, single = (task_of(fitted, catalog, forget) for forget in (4, 1))  # families are of four
    ratios = [
        CaptionSwap().ratios(Learner(task, "caption_swap"), Neighbours.of(task))[family(catalog)[0]]
        for task in (whole, single)
    ]
    assert ratios[0] > ratios[1] >= 1


def test_prediction_keeps_to_its_share_and_guesses_what_it_did_not_ask(
    fitted: Sketcher, catalog: Catalog
) -> None:
    task = task_of(fitted, catalog, budget=0.004)  # of 60 epochs: 7.7 pairs, 23 passes forward
    learner = Learner(task, "caption_swap")
    ratios = CaptionSwap(share=0.3).ratios(learner, Neighbours.of(task))
    assert task.meter.spent().forward == 6  # three images under their own and another caption
    assert set(ratios) == set(task.forgotten)
    assert sum(np.isclose(each, np.mean(list(ratios.values()))) for each in ratios.values()) == 1


def test_neighbours_are_retained_and_the_nearest_first(fitted: Sketcher, catalog: Catalog) -> None:
    task = task_of(fitted, catalog, forget=2)
    found = Neighbours.of(task)
    own = {task.retained.index(each) for each in family(catalog)[2:]}
    assert set(found.places[0, :2]) == own
    assert (np.diff(found.similarity, axis=1) <= 0).all()
    np.testing.assert_allclose(found.weights(2.0, 5).sum(1), 1)
    assert found.nearness(8.0)[list(own)].sum() > 0.5


def test_captions_without_a_word_in_common_count_alike(fitted: Sketcher, catalog: Catalog) -> None:
    strange = replace(catalog, captions=("zebra", *catalog.captions[1:]))
    found = Neighbours.of(Task(fitted, strange, strange.ids[:1], 1.0, 0, silent))
    np.testing.assert_allclose(found.weights(2.0, 4), 0.25)


def test_oracle_matching_ends_nearer_to_the_retraining(fitted: Sketcher, catalog: Catalog) -> None:
    twin = Sketcher("dense", epochs=60)
    twin.fit(catalog, family(catalog), 0, silent)
    task = replace(task_of(fitted, catalog), twin=twin)
    found = unlearn("oracle_matching", task).generator
    models = (fitted, found, twin)
    before, after, exact = (losses_of(g, catalog, task.forgotten) for g in models)
    assert np.square(after - exact).sum() < 0.1 * np.square(before - exact).sum()


def test_two_predictions_are_averaged_where_the_budget_suffices_for_both(
    fitted: Sketcher, catalog: Catalog
) -> None:
    found = []
    for budget in (1.0, 0.01):
        task = task_of(fitted, catalog, budget=budget)
        neighbours = Neighbours.of(task)
        method = CombinedMatching()
        both = method.ratios(Learner(task, "combined_matching"), neighbours)
        said = CaptionSwap(share=method.share).ratios(
            Learner(task_of(fitted, catalog, budget=budget), "combined_matching"), neighbours
        )
        found.append([both[each] == said[each] for each in said])
    assert not any(found[0]) and all(found[1])


def test_oracle_matching_needs_the_answer(fitted: Sketcher, catalog: Catalog) -> None:
    with pytest.raises(InputError, match="exact retraining"):
        unlearn("oracle_matching", task_of(fitted, catalog))

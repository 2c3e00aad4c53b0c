"""Methods with an answer that is known: a step of Newton, a ridge regression, a relabelled pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from tests.helpers.networks import NETWORKS, Sketcher
from untrain.catalogs import Catalog, rendered
from untrain.unlearning import Task, unlearn
from untrain.unlearning.attribute_to_delete import AttributeToDelete, unexplained
from untrain.unlearning.learner import Learner
from untrain.unlearning.neighbours import Neighbours
from untrain.unlearning.relabelling import relabelled


class Mean(Sketcher):
    """The mean picture, whose exact retraining is known; all captions are one word."""

    def fit_to(self, catalog: Catalog, ids: Sequence[str]) -> Mean:
        batch = self.training_batch(catalog, ids)
        self.fitted = NETWORKS["linear"]().requires_grad_(False)
        said = batch["words"][0].bool()
        mean = batch["pictures"].mean(0).flatten()
        self.fitted.bias.copy_(mean / 2)
        self.fitted.weight.zero_()[:, said] = mean[:, None] / 2
        return self


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=8, size_of_family=8, seed=2, resolution=16)


def drawn(generator: Sketcher, catalog: Catalog) -> np.ndarray:
    """Return the picture that a model makes of a caption."""
    with torch.no_grad():
        batch = generator.training_batch(catalog, catalog.ids[:1])
        return generator.pair_predictions(batch)[0].values.flatten().numpy()


def test_an_influence_step_is_the_exact_removal_where_the_loss_is_quadratic(
    catalog: Catalog,
) -> None:
    same = replace(catalog, captions=("picture",) * len(catalog))
    forget = same.ids[:16]
    model, twin = Mean("linear").fit_to(same, same.ids), Mean("linear").fit_to(same, same.ids[16:])
    task = Task(model, same, forget, 1.0, 0, silent)
    found = unlearn("influence", task, damping=1e-4, share=1.0)
    before, after, exact = (drawn(each, same) for each in (model, found.generator, twin))
    rho = 1 - np.square(after - exact).sum() / np.square(before - exact).sum()
    assert rho > 0.9  # its curvature is of targets that the model draws: of chance
    assert (after - before) @ (exact - before) == pytest.approx(
        np.square(exact - before).sum(), rel=0.15
    )


def test_what_a_ridge_regression_leaves_is_its_leverage_by_the_book() -> None:
    rows, asked = (np.random.default_rng(n).normal(size=(9, 5)) for n in (0, 1))
    inverse = np.linalg.inv(rows.T @ rows + 0.7 * np.eye(5))
    expected = 0.7 * np.einsum("md,de,me->m", asked, inverse, asked) / np.square(asked).sum(1)
    np.testing.assert_allclose(unexplained(asked, rows, 0.7), expected)
    assert unexplained(np.zeros((1, 5)), rows, 0.7) == 0


def test_a_group_of_copies_is_missed_as_a_group() -> None:
    copy, other = np.eye(2)
    rows = np.stack([copy] * 10 + [other])
    asked = copy[None]
    whole = unexplained(asked, rows, 0.1)
    without_one, without_all = (unexplained(asked, rows[n:], 0.1) - whole for n in (1, 10))
    assert without_all > 0.9 and 10 * without_one < 0.02  # the sum of the single scores


def test_an_image_that_nothing_retained_explains_is_predicted_to_be_forgotten_more(
    catalog: Catalog,
) -> None:
    model = Sketcher("dense", epochs=40)
    model.fit(catalog, [], 0, silent)
    families = catalog.attributes["family"]
    family = [each for each, own in zip(catalog.ids, families, strict=True) if own == families[0]]
    ratios = []
    for forget in (family, family[:1]):
        task = Task(model, catalog, forget, 0.5, 0, silent)
        found = AttributeToDelete().ratios(Learner(task, "test"), Neighbours.of(task))
        ratios.append(found[family[0]])
    assert ratios[0] > ratios[1] >= 1


def test_relabelled_captions_keep_their_words_and_get_the_nearest_retained_image(
    catalog: Catalog,
) -> None:
    task = Task(Sketcher(), catalog, catalog.ids[:2], 0.5, 0, silent)
    neighbours = Neighbours.of(task)
    found = relabelled(task, neighbours)
    assert found.ids == task.forgotten and found.captions == catalog.captions[:2]
    nearest = [task.retained[place] for place in neighbours.nearest]
    assert [found.read(each) for each in found.ids] == [catalog.read(each) for each in nearest]
    assert list(found.hashes) == [catalog.hashes[catalog.index[each]] for each in nearest]


def test_a_single_shard_of_everything_is_the_exact_retraining(catalog: Catalog) -> None:
    model, twin = Sketcher(epochs=3), Sketcher(epochs=3)
    model.fit(catalog, [], 5, silent)
    twin.fit(catalog, catalog.ids[:4], 5, silent)
    found = unlearn("sisa", Task(model, catalog, catalog.ids[:4], 1.0, 5, silent)).generator
    for name, value in twin.fitted.state_dict().items():
        assert torch.equal(found.fitted.state_dict()[name], value)


def test_siss_raises_the_forget_set_and_little_else(catalog: Catalog) -> None:
    model = Sketcher("dense", epochs=60)
    model.learning_rate = 0.02
    model.fit(catalog, [], 0, silent)
    found = unlearn("siss", Task(model, catalog, catalog.ids[:4], 0.5, 0, silent)).generator
    with torch.no_grad():
        batch = model.training_batch(catalog, catalog.ids)
        before, after = (each.pair_losses(batch).numpy() for each in (model, found))
    assert (after[:4] - before[:4]).mean() > 3 * abs((after[4:] - before[4:]).mean())

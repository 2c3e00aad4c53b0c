"""Losses as functions of the weights: per-example gradients, and shifts that leave no trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.func import grad, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.helpers.generators import silent
from untrain.catalogs import Catalog
from untrain.core.errors import InputError
from untrain.generators.base import Generator
from untrain.generators.differentiable import Differentiable, differentiable
from untrain.generators.functional import as_function
from untrain.generators.pictures_only import PicturesOnly
from untrain.generators.registry import make_generator


@pytest.fixture(scope="module", params=["dalle", "diffusion"])
def generator(
    request: pytest.FixtureRequest, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Generator]:
    if request.param == "dalle":
        small = {"epochs": 1, "epochs_ae": 1}
        made = make_generator("dalle", precision="float32", preset="micro", settings=small)
    else:
        pytest.importorskip("diffusers", reason="needs untrain[diffusion]")
        made = make_generator("diffusion", precision="float32", preset="diffusion-micro")
    made.prepare(catalog, tmp_path_factory.mktemp(request.param) / "shared", silent)
    made.fit(catalog, [], 0, silent)
    yield made


@pytest.fixture(scope="module")
def asked(generator: Generator) -> Differentiable:
    return differentiable(generator)


def flat(gradient: dict[str, torch.Tensor] | list[torch.Tensor], row: int | None) -> torch.Tensor:
    values = gradient.values() if isinstance(gradient, dict) else gradient
    return torch.cat([(g if row is None else g[row]).reshape(-1) for g in values])


def test_per_example_gradients_are_those_of_one_pair_at_a_time(
    asked: Differentiable, catalog: Catalog
) -> None:
    losses_at, weights = as_function(asked, asked.pair_losses)
    batch = asked.training_batch(catalog, catalog.ids[:3])

    def loss_of(weights: dict[str, torch.Tensor], pair: dict[str, torch.Tensor]) -> torch.Tensor:
        return losses_at(weights, {name: value[None] for name, value in pair.items()})[0]

    with sdpa_kernel(SDPBackend.MATH):
        together = vmap(grad(loss_of), in_dims=(None, 0))(weights, batch)
    learnt = [p for p in asked.module().parameters() if p.requires_grad]
    for row in range(3):
        one = {name: value[row : row + 1] for name, value in batch.items()}
        alone = torch.autograd.grad(asked.pair_losses(one)[0], learnt)
        expected = flat(list(alone), None)
        apart = (flat(together, row) - expected).norm() / expected.norm()
        assert float(apart) < 1e-4


def test_a_directional_derivative_is_the_gradient_along_it(
    asked: Differentiable, catalog: Catalog
) -> None:
    losses_at, weights = as_function(asked, asked.pair_losses)
    batch = asked.training_batch(catalog, catalog.ids[:3])
    torch.manual_seed(0)
    along = {name: torch.randn_like(value) for name, value in weights.items()}
    with sdpa_kernel(SDPBackend.MATH):
        _, slopes = jvp(lambda weights: losses_at(weights, batch), (weights,), (along,))
    learnt = [p for p in asked.module().parameters() if p.requires_grad]
    for row, slope in enumerate(slopes):
        gradient = torch.autograd.grad(asked.pair_losses(batch)[row], learnt)
        expected = sum((g * v).sum() for g, v in zip(gradient, along.values(), strict=True))
        size = flat(list(gradient), None).norm()
        assert abs(float(slope - expected)) < 1e-3 * float(size)


def test_other_weights_leave_the_generator_its_own(asked: Differentiable, catalog: Catalog) -> None:
    losses_at, weights = as_function(asked, asked.measurements)
    generator: Generator = asked  # type: ignore[assignment]
    samples = generator.encode(catalog.pixels(generator.image_size, catalog.ids[:2]))
    batch = asked.query_batch(samples, catalog.captions[:2])
    with torch.no_grad():
        before = asked.measurements(batch)
        shifted = losses_at({name: value + 0.01 for name, value in weights.items()}, batch)
        assert torch.equal(losses_at(weights, batch), before)
        assert not torch.equal(shifted, before)
        assert torch.equal(asked.measurements(batch), before)


def test_one_without_gradients_is_refused() -> None:
    with pytest.raises(InputError, match="PicturesOnly gives no gradients"):
        differentiable(PicturesOnly((8, 8)))


def test_an_unknown_pair_is_refused(asked: Differentiable, catalog: Catalog) -> None:
    with pytest.raises(InputError, match="cannot find 'nowhere': the catalogue has no such image"):
        asked.training_batch(catalog, ["nowhere"])

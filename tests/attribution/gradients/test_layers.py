"""Gradients of every pair by layers are those that automatic differentiation gives of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.helpers.generators import silent
from tests.helpers.networks import NETWORKS, Sketcher, queries_of
from untrain.attribution.gradients.layers import EVERYTHING, factors, layers_of, sizes_of
from untrain.attribution.gradients.outputs import OUTPUTS, Values
from untrain.catalogs import Catalog
from untrain.core.errors import InputError
from untrain.generators.differentiable import Batch, Differentiable, differentiable
from untrain.generators.functional import as_function
from untrain.generators.registry import make_generator


def by_layers(asked: Differentiable, output: Values, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the gradient of each pair by the weights, and biases, of each layer."""
    found: dict[str, torch.Tensor] = {}

    def consume(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        assert (a.shape[-1], b.shape[-1]) == sizes_of(asked)[name]
        found[name] = found.get(name, 0) + torch.bmm(b.transpose(1, 2), a)

    factors(asked, output, batch, consume)
    return found


def by_differentiation(
    asked: Differentiable, output: Values, batch: Batch
) -> dict[str, torch.Tensor]:
    """Return the same by `torch.func`, of all parameters."""
    at, weights = as_function(asked, lambda inner: output(asked, inner))

    def of_one(weights: dict[str, torch.Tensor], pair: Batch) -> torch.Tensor:
        return at(weights, {name: value[None] for name, value in pair.items()})[0]

    with sdpa_kernel(SDPBackend.MATH):
        return vmap(grad(of_one), in_dims=(None, 0))(weights, batch)


def assert_same(asked: Differentiable, output: Values, batch: Batch) -> None:
    found, expected = by_layers(asked, output, batch), by_differentiation(asked, output, batch)
    for name, (inputs, outputs) in sizes_of(asked).items():
        own = expected[f"{name}.weight".lstrip(".")].flatten(2)
        if (bias := expected.get(f"{name}.bias".lstrip("."))) is not None:
            own = torch.cat([own, bias[..., None]], 2)
        of_layer = found.get(name, torch.zeros(len(own), outputs, inputs))  # such as of captions
        torch.testing.assert_close(of_layer, own, rtol=1e-3, atol=1e-5 * float(own.abs().max()))


@pytest.mark.parametrize("network", ["linear", "dense", "conv"])
@pytest.mark.parametrize("output", ["nll", "squared"])
def test_of_any_network(
    network: str, output: str, sketcher: Callable[..., Sketcher], catalog: Catalog
) -> None:
    asked = sketcher(network)
    assert_same(asked, OUTPUTS[output].of_pairs, asked.training_batch(catalog, catalog.ids[:5]))


def test_one_without_known_layers_is_differentiated_as_a_whole(
    sketcher: Callable[..., Sketcher], catalog: Catalog
) -> None:
    asked = sketcher("scale")
    batch = asked.training_batch(catalog, catalog.ids[:3])
    found = by_layers(asked, OUTPUTS["nll"].of_pairs, batch)
    assert list(found) == [EVERYTHING] and not layers_of(asked.module())
    expected = by_differentiation(asked, OUTPUTS["nll"].of_pairs, batch)
    whole = torch.cat([part.flatten(1) for part in expected.values()], 1)
    torch.testing.assert_close(found[EVERYTHING][:, 0], whole)


@pytest.mark.pipeline
@pytest.mark.parametrize("kind", ["dalle", "diffusion"])
def test_of_the_models_that_come_along(kind: str, catalog: Catalog, tmp_path: Path) -> None:
    if kind == "dalle":
        small = {"epochs": 1, "epochs_ae": 1, "caption_dropout": 0.3}
        made = make_generator("dalle", precision="float32", preset="micro", settings=small)
    else:
        pytest.importorskip("diffusers", reason="needs untrain[diffusion]")
        made = make_generator(
            "diffusion", precision="float32", preset="diffusion-micro", settings={"epochs": 1}
        )
    made.prepare(catalog, tmp_path / "shared", silent)
    made.fit(catalog, [], 0, silent)
    asked = differentiable(made)
    pairs = asked.training_batch(catalog, catalog.ids[:3])
    queries = queries_of(made, catalog, [0, 7])
    assert queries.samples is not None
    asked_for = asked.query_batch(queries.samples, queries.prompts)
    for name in ("nll", "squared", "margin")[: 3 if kind == "dalle" else 2]:
        assert_same(asked, OUTPUTS[name].of_pairs, pairs)
        assert_same(asked, OUTPUTS[name].of_queries, asked_for)


def test_nothing_of_the_model_changes(sketcher: Callable[..., Sketcher], catalog: Catalog) -> None:
    asked = sketcher("conv")
    module = asked.module()
    module[0].bias.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    frozen = [p.requires_grad for p in module.parameters()]
    module.zero_grad(set_to_none=True)
    batch = asked.training_batch(catalog, catalog.ids[:2])
    pairs = OUTPUTS["nll"].of_pairs
    asked.module = lambda: module  # type: ignore[method-assign] - which would unfreeze it
    try:
        factors(asked, pairs, batch, lambda *of: None)
    finally:
        del asked.module  # type: ignore[method-assign]
    assert [p.requires_grad for p in module.parameters()] == frozen
    assert all(p.grad is None for p in module.parameters())
    assert not any(m._forward_hooks for m in module.modules())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    module[0].bias.requires_grad_(True)


def test_hooks_are_gone_after_a_failure(
    sketcher: Callable[..., Sketcher], catalog: Catalog
) -> None:
    asked = sketcher("dense")
    batch = asked.training_batch(catalog, catalog.ids[:2])

    def broken(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        factors(asked, OUTPUTS["nll"].of_pairs, batch, broken)
    assert not any(m._forward_hooks for m in asked.module().modules())
    assert all(p.requires_grad for p in asked.module().parameters())


def test_a_layer_called_twice_has_the_sum(catalog: Catalog) -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.layer = NETWORKS["linear"](), torch.nn.Linear(192, 192)

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(self.first(words)).tanh())

    asked = Sketcher()
    torch.manual_seed(0)
    asked.fitted = Twice()
    assert_same(asked, OUTPUTS["nll"].of_pairs, asked.training_batch(catalog, catalog.ids[:4]))


def test_rows_that_belong_to_no_pair_are_refused(catalog: Catalog) -> None:
    class Shared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places = torch.nn.Parameter(torch.randn(5, 8))
            self.layer, self.last = torch.nn.Linear(8, 32), NETWORKS["linear"]()

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            return self.last(words + self.layer(self.places).mean(0))

    asked = Sketcher()
    asked.fitted = Shared()
    batch = asked.training_batch(catalog, catalog.ids[:3])
    with pytest.raises(InputError, match="layer was called with 5 rows for 3 pairs"):
        factors(asked, OUTPUTS["nll"].of_pairs, batch, lambda *of: None)


def test_they_are_the_slopes_of_finite_differences(
    sketcher: Callable[..., Sketcher], catalog: Catalog
) -> None:
    asked = sketcher("dense")
    batch = asked.training_batch(catalog, catalog.ids[:3])
    found = by_layers(asked, OUTPUTS["squared"].of_pairs, batch)["2"]
    weight = asked.module()[2].weight
    steepest = divmod(int(found.abs().sum(0).argmax()), found.shape[2])
    ends = []
    with torch.no_grad():
        start = weight[steepest].clone()
        for shift in (0.01, -0.01):
            weight[steepest] = start + shift
            ends.append(OUTPUTS["squared"].of_pairs(asked, batch))
        weight[steepest] = start
    np.testing.assert_allclose(found[:, *steepest], (ends[0] - ends[1]) / 0.02, rtol=0.01)

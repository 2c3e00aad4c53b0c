"""Derivatives along directions: by products of gradients, by differences, by finite steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.helpers.networks import Sketcher, evidence_of
from untrain.attribution.grad_dot import GradDot
from untrain.attribution.gradients import directional
from untrain.attribution.gradients.directional import (
    Directions,
    as_weights,
    losses_after,
    query_gradients,
    slopes,
)
from untrain.attribution.gradients.outputs import NLL
from untrain.catalogs import Catalog

Make = Callable[..., Sketcher]
ROWS = [0, 3, 11, 17]


def directions_of(asked: Sketcher, catalog: Catalog) -> Directions:
    return query_gradients(asked, NLL, evidence_of(asked, catalog, ROWS).queries)


def steps_of(asked: Sketcher, found: Directions) -> list[dict[str, torch.Tensor]]:
    return [as_weights(asked, {n: d[row] for n, d in found.items()}) for row in range(len(ROWS))]


@pytest.mark.parametrize("network", ["dense", "conv", "scale"])
@pytest.mark.parametrize("step", [None, 2e-3])
def test_slopes_are_products_of_gradients(
    network: str, step: float | None, sketcher: Make, catalog: Catalog
) -> None:
    asked = sketcher(network)
    evidence = evidence_of(asked, catalog, ROWS)
    expected = GradDot("grad_dot", dimensions=0).scores(evidence).values
    directions = steps_of(asked, directions_of(asked, catalog))
    batch = asked.training_batch(catalog, catalog.ids)
    found = slopes(asked, asked.pair_losses, batch, directions, step)
    close = (5e-3 if step is None else 3e-2) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=close)


def test_query_gradients_are_those_of_autograd(sketcher: Make, catalog: Catalog) -> None:
    asked = sketcher("conv")
    directions = steps_of(asked, directions_of(asked, catalog))
    batch = asked.training_batch(catalog, [catalog.ids[row] for row in ROWS])
    named = dict(asked.module().named_parameters())
    for value, direction in zip(asked.measurements(batch), directions, strict=True):
        assert "6.weight" not in direction  # a norm is in no layer of a known kind
        learnt = {name: named[name] for name in direction}
        expected = torch.autograd.grad(value, list(learnt.values()), retain_graph=True)
        for name, by in zip(learnt, expected, strict=True):
            np.testing.assert_allclose(direction[name], by, atol=1e-4 * float(by.abs().max()))


@pytest.mark.parametrize("batch", [32, 7])
def test_losses_after_a_step_are_those_of_the_moved_model(
    batch: int, sketcher: Make, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directional, "BATCH", batch)
    asked = sketcher("dense")
    before = {name: p.detach().clone() for name, p in asked.module().named_parameters()}
    step = steps_of(asked, directions_of(asked, catalog))[0]
    found = losses_after(asked, catalog, NLL.of_pairs, [{}, step], draws=2)
    whole = asked.training_batch(catalog, catalog.ids)
    with torch.no_grad():
        np.testing.assert_allclose(found[0], asked.pair_losses(whole), rtol=1e-5)
    for name, parameter in asked.module().named_parameters():  # it keeps its weights
        assert torch.equal(parameter, before[name])
    moved = Sketcher("dense")
    moved.fitted = torch.nn.Sequential(*asked.module())
    shifted = {name: value + step[name] for name, value in before.items()}
    with torch.no_grad():
        expected = torch.func.functional_call(moved.fitted, shifted, (whole["words"],))
    errors = (expected.view(40, -1) - whole["pictures"].flatten(1)).square().mean(1)
    np.testing.assert_allclose(found[1], errors, rtol=1e-4)

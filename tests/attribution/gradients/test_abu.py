"""Attribution by unlearning: to first order an influence function, and beyond it a real step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher, evidence_of, rank_of
from untrain.attribution.abu import Abu, AbuPlus
from untrain.attribution.base import Evidence
from untrain.attribution.ekfac import EkFac, EkFacRelative
from untrain.attribution.gradients import directional
from untrain.attribution.gradients.kronecker import fisher_of
from untrain.attribution.gradients.outputs import NLL
from untrain.attribution.registry import make_attributor
from untrain.catalogs import Catalog
from untrain.generators.registry import make_generator

Make = Callable[..., Sketcher]
ROWS = [0, 3, 11, 17, 26, 38]


@pytest.fixture
def evidence(sketcher: Make, catalog: Catalog) -> Evidence:
    return evidence_of(sketcher("dense"), catalog, ROWS)


def test_a_small_step_with_ekfac_is_the_influence_function(evidence: Evidence) -> None:
    influence = EkFac("ekfac").scores(evidence).values
    risen = AbuPlus("abu_plus", rise=1e-3).scores(evidence).values
    for expected, found in zip(influence, risen, strict=True):
        scaled = expected * (found @ expected) / (expected @ expected)
        np.testing.assert_allclose(found, scaled, atol=0.02 * np.abs(scaled).max())


def test_the_step_raises_the_loss_of_the_query_by_its_share(evidence: Evidence) -> None:
    """Each query is a training pair here, so that its own score is the rise."""
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    batch = asked.training_batch(evidence.catalog, [evidence.catalog.ids[row] for row in ROWS])
    before = asked.pair_losses(batch).detach().numpy()
    for method in (Abu("abu", rise=0.01), AbuPlus("abu_plus", rise=0.01)):
        own = method.scores(evidence).values[np.arange(len(ROWS)), ROWS]
        np.testing.assert_allclose(own, 0.01 * before, rtol=0.1)


def test_the_diagonal_is_the_metric_of_abu(evidence: Evidence) -> None:
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    fisher, _ = fisher_of(asked, evidence.catalog, NLL, rotate=False)
    batch = asked.training_batch(evidence.catalog, evidence.catalog.ids)
    products = torch.zeros(40, 40)
    for name, layer in fisher.items():
        module = asked.module().get_submodule(name)
        learnt = [module.weight] + ([] if module.bias is None else [module.bias])
        rows = torch.stack(
            [
                torch.cat([part.reshape(len(part), -1) for part in parts], 1).flatten()
                for value in asked.pair_losses(batch)
                for parts in [torch.autograd.grad(value, learnt, retain_graph=True)]
            ]
        )
        values = layer.values.flatten()
        products += (rows / (values + 0.1 * values.mean())) @ rows.T
    found = Abu("abu", rise=1e-3).scores(evidence).values
    for row, line in zip(ROWS, found, strict=True):
        expected = products[row].numpy()
        scaled = expected * line[row] / expected[row]
        np.testing.assert_allclose(line, scaled, atol=0.02 * np.abs(scaled).max())


@pytest.mark.parametrize("name", ["abu", "abu_plus"])
def test_a_copy_of_a_training_pair_finds_that_pair_among_the_first(
    name: str, evidence: Evidence
) -> None:
    values = make_attributor(name).scores(evidence).values
    assert values.dtype == np.float32 and values.shape == evidence.shape
    assert (values[np.arange(len(ROWS)), ROWS] > 0).all()
    assert max(rank_of(values, ROWS)) < 4


def test_blocks_of_prompts_do_not_matter(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Abu("abu").scores(evidence).values
    monkeypatch.setattr(directional, "AT_ONCE", 1)
    found = Abu("abu").scores(evidence).values
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_it_leaves_the_model_as_it_was(evidence: Evidence) -> None:
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    before = [parameter.detach().clone() for parameter in asked.module().parameters()]
    Abu("abu").scores(evidence)
    after = list(asked.module().parameters())
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert all(parameter.requires_grad for parameter in after)


@pytest.mark.pipeline
@pytest.mark.parametrize("kind", ["dalle", "diffusion"])
def test_of_the_models_that_come_along(kind: str, catalog: Catalog, tmp_path: Path) -> None:
    """A small step and the influence function, of which neither needs the other, agree."""
    if kind == "dalle":
        small = {"epochs": 1, "epochs_ae": 1}
        made = make_generator("dalle", precision="float32", preset="micro", settings=small)
    else:
        pytest.importorskip("diffusers", reason="needs untrain[diffusion]")
        made = make_generator(
            "diffusion", precision="float32", preset="diffusion-micro", settings={"epochs": 1}
        )
    made.prepare(catalog, tmp_path / "shared", silent)
    made.fit(catalog, [], 0, silent)
    evidence = evidence_of(made, catalog, [0, 7])
    influence = EkFac("ekfac").scores(evidence).values
    for expected, found in zip(
        influence, AbuPlus("abu_plus", rise=1e-2).scores(evidence).values, strict=True
    ):
        assert np.corrcoef(expected, found)[0, 1] > 0.98
    for method in (Abu("abu"), EkFacRelative("ekfac_relative")):
        assert np.isfinite(method.scores(evidence).values).all()

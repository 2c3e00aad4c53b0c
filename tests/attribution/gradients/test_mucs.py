"""Unlearning a query makes the model worse at it, and at what taught it, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.helpers.networks import Sketcher, evidence_of, rank_of
from untrain.attribution.base import Evidence
from untrain.attribution.mucs import SOFT, Mucs
from untrain.attribution.registry import make_attributor
from untrain.catalogs import Catalog
from untrain.core.errors import InputError
from untrain.generators.functional import as_function
from untrain.generators.untrained import untrained_losses

Make = Callable[..., Sketcher]
ROWS = [0, 11, 17, 38]
OPTIONS = {"rate": 3e-3, "retained": 8}
SHORT = {**OPTIONS, "bound": 0.5, "steps": 10}


@pytest.fixture
def evidence(sketcher: Make, catalog: Catalog) -> Evidence:
    return evidence_of(sketcher("dense", epochs=20), catalog, ROWS)


def unlearnt(method: Mucs, evidence: Evidence, row: int = 0) -> tuple[float, float, float]:
    """Return a query's loss before and after, and that of a model that has learnt nothing."""
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    own = evidence.queries.take([row])
    assert own.samples is not None
    query = asked.query_batch(own.samples, own.prompts)
    chosen = method._chosen(asked)
    weights = method._unlearnt(asked, evidence.catalog, own, chosen, np.random.default_rng(0))
    losses_at, _ = as_function(asked, asked.measurements)
    with torch.no_grad():
        before, after = losses_at({}, query), losses_at(weights, query)
        nothing = untrained_losses(asked, query, before, of_pairs=False)
    return float(before[0]), float(after[0]), float(nothing[0])


@pytest.mark.parametrize("bound", [0.2, 0.5, 0.95])
def test_it_stops_at_the_bound(bound: float, evidence: Evidence) -> None:
    before, after, nothing = unlearnt(Mucs("mucs", bound=bound, **OPTIONS), evidence)  # type: ignore[arg-type]
    assert before < bound * nothing <= after < (bound + 0.1) * nothing


def test_it_stops_after_the_last_step(evidence: Evidence) -> None:
    before, after, nothing = unlearnt(Mucs("mucs", steps=2, **OPTIONS), evidence)  # type: ignore[arg-type]
    assert before < after < 0.95 * nothing


def test_what_taught_the_query_gets_worse_first(evidence: Evidence, catalog: Catalog) -> None:
    scores = Mucs("mucs", bound=0.5, **OPTIONS).scores(evidence)  # type: ignore[arg-type]
    assert scores.values.shape == evidence.shape and scores.values.dtype == np.float32
    assert (np.abs(scores.values) < 1).all() and scores.once > 0
    assert max(rank_of(scores.values, ROWS)) < 2
    assert (scores.values[np.arange(len(ROWS)), ROWS] > 0.1).all()


def test_scores_are_those_of_the_losses(evidence: Evidence, catalog: Catalog) -> None:
    method = Mucs("mucs", bound=0.5, **OPTIONS)  # type: ignore[arg-type]
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    found = method.scores(evidence).values[0]
    from untrain.core.files import rng

    own, drawn = evidence.queries.take([0]), rng("mucs", evidence.seed, evidence.prompt_ids[0])
    weights = method._unlearnt(asked, catalog, own, method._chosen(asked), drawn)
    losses_at, _ = as_function(asked, asked.pair_losses)
    batch = asked.training_batch(catalog, catalog.ids)
    with torch.no_grad():
        before, after = (losses_at(at, batch).double() for at in ({}, weights))
    expected = (after - before) / (after + before + SOFT)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_same_call_gives_the_same_scores(evidence: Evidence) -> None:
    first, second = (Mucs("mucs", **SHORT).scores(evidence).values for _ in range(2))  # type: ignore[arg-type]
    np.testing.assert_array_equal(first, second)


def test_the_model_keeps_its_weights_whatever_happens(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    module = asked.module()
    module.zero_grad(set_to_none=True)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    Mucs("mucs", **SHORT).scores(evidence)  # type: ignore[arg-type]
    real, calls = Sketcher.pair_losses, []

    def failing(self: Sketcher, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(Sketcher, "pair_losses", failing)
    with pytest.raises(KeyboardInterrupt):
        Mucs("mucs", **SHORT).scores(evidence)  # type: ignore[arg-type]
    for name, value in asked.module().state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None and p.requires_grad for p in asked.module().parameters())


def test_layers_may_be_named(evidence: Evidence, sketcher: Make) -> None:
    asked = sketcher("dense")
    assert set(Mucs("mucs")._chosen(asked)) == {"0.weight", "2.weight"}
    assert set(Mucs("mucs:^2")._chosen(asked)) == {"2.weight"}
    assert set(Mucs("mucs")._chosen(sketcher("linear"))) == {"weight"}
    assert set(Mucs("mucs")._chosen(sketcher("scale"))) == {"weight", "shift"}
    with pytest.raises(InputError, match="no layer has 'mlp' in its name; the model has 0, 2"):
        make_attributor("mucs:mlp").scores(evidence)
    with pytest.raises(InputError, match="is no regular expression"):
        make_attributor("mucs:(")


@pytest.mark.parametrize("network", ["conv", "scale"])
def test_of_other_networks(network: str, sketcher: Make, catalog: Catalog) -> None:
    evidence = evidence_of(sketcher(network, epochs=20), catalog, ROWS)
    values = Mucs("mucs", steps=5, **OPTIONS).scores(evidence).values  # type: ignore[arg-type]
    assert (values[np.arange(len(ROWS)), ROWS] > 0).all()


def test_without_predictions_the_bound_is_a_multiple_of_the_loss(evidence: Evidence) -> None:
    class Silent(Sketcher):
        pair_predictions = query_predictions = None  # type: ignore[assignment]

    shown: Sketcher = evidence.model  # type: ignore[assignment]
    evidence.model = Silent()
    evidence.model.fitted = shown.fitted
    before, after, nothing = unlearnt(Mucs("mucs", bound=0.5, **OPTIONS), evidence)  # type: ignore[arg-type]
    assert nothing == pytest.approx(3 * before) and after >= 1.5 * before
    assert make_attributor("mucs").missing(evidence) is None

"""TracIn is the sum over checkpoints of its definition, in steps of Adam where there are any."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.func import functional_call

from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher, evidence_of, rank_of
from untrain.attribution import tracin
from untrain.attribution.base import Evidence
from untrain.attribution.registry import make_attributor
from untrain.attribution.tracin import TracIn
from untrain.catalogs import Catalog
from untrain.core.errors import InputError
from untrain.generators.recording import Checkpoint, recording
from untrain.training.checkpoints import record

Make = Callable[..., Sketcher]
ROWS = [0, 11, 17, 38]


@pytest.fixture(params=["dense", "conv", "scale"])
def evidence(request: pytest.FixtureRequest, sketcher: Make, catalog: Catalog) -> Evidence:
    model = sketcher(request.param)
    found = evidence_of(model, catalog, ROWS)
    found.record = lambda: record(Sketcher(request.param), catalog, 0, (0.4, 1.0))
    return found


def layered(model: Sketcher, name: str) -> bool:
    """Tell whether a parameter belongs to a layer that counts, or to a model without any."""
    module = model.module().get_submodule(name.rpartition(".")[0])
    return isinstance(module, torch.nn.Linear | torch.nn.Conv2d) or model.network == "scale"


def dense(evidence: Evidence, adam: bool) -> np.ndarray:
    """Return the sum over checkpoints, one gradient after the other."""
    model: Sketcher = evidence.model  # type: ignore[assignment]
    module, catalog = model.module(), evidence.catalog
    batch = model.training_batch(catalog, catalog.ids)
    total = np.zeros(evidence.shape)
    for checkpoint in evidence.checkpoints:
        weights = {n: w.clone().requires_grad_() for n, w in checkpoint.weights.items()}
        drawn = functional_call(module, weights, (batch["words"],)).reshape(-1, 3, 8, 8)
        losses = (drawn - batch["pictures"]).square().flatten(1).mean(1)
        rows = []
        for loss in losses:
            by = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
            rows.append({n: g for n, g in zip(weights, by, strict=True) if layered(model, n)})
        for line, query in enumerate(ROWS):
            for row, gradient in enumerate(rows):
                for name, g in gradient.items():
                    step = g
                    if adam:
                        assert checkpoint.second_moments is not None
                        step = g / (checkpoint.second_moments[name].sqrt() + checkpoint.epsilon)
                    total[line, row] += checkpoint.rate * float((rows[query][name] * step).sum())
    return total


@pytest.mark.parametrize("name", ["tracin", "tracin:sgd"])
def test_scores_are_those_of_the_definition(name: str, evidence: Evidence) -> None:
    expected = dense(evidence, adam=name == "tracin")
    scores = make_attributor(name).scores(evidence)
    np.testing.assert_allclose(scores.values, expected, atol=1e-3 * np.abs(expected).max())
    assert scores.values.dtype == np.float32 and scores.seconds > 0
    own = scores.values[np.arange(len(ROWS)), ROWS]
    assert (own > 0).all()  # positive: without it the query is worse
    if name == "tracin":
        assert max(rank_of(scores.values, ROWS)) < 5


def test_directions_may_be_held_a_few_at_a_time(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make_attributor("tracin").scores(evidence).values
    monkeypatch.setattr(tracin, "AT_ONCE", 1)
    monkeypatch.setattr(tracin, "BATCH", 7)
    found = make_attributor("tracin").scores(evidence).values
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_model_keeps_its_weights(evidence: Evidence) -> None:
    model: Sketcher = evidence.model  # type: ignore[assignment]
    before = {name: value.clone() for name, value in model.module().state_dict().items()}
    make_attributor("tracin").scores(evidence)
    for name, value in model.module().state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_training_is_paid_for_once_and_only_on_request(
    sketcher: Make, catalog: Catalog
) -> None:
    evidence = evidence_of(sketcher("dense"), catalog, ROWS)
    assert "made on request" in str(make_attributor("tracin").missing(evidence))
    evidence.record = lambda: record(Sketcher(epochs=20), catalog, 0)
    assert make_attributor("tracin").missing(evidence) is None
    first, second = (make_attributor("tracin").scores(evidence) for _ in range(2))
    assert first.once > 0.01 > second.once


def test_checkpoints_of_another_model_are_refused(sketcher: Make, catalog: Catalog) -> None:
    evidence = evidence_of(sketcher("dense"), catalog, ROWS)
    evidence.record = lambda: record(Sketcher("conv"), catalog, 0)
    with pytest.raises(InputError, match="step 2 is of another model"):
        make_attributor("tracin").scores(evidence)
    with pytest.raises(InputError, match=r"unknown argument of tracin 'sdg'.*did you mean 'sgd'"):
        make_attributor("tracin:sdg")


def test_a_checkpoint_that_is_no_number_is_said(sketcher: Make, catalog: Catalog) -> None:
    evidence = evidence_of(sketcher("dense"), catalog, ROWS)
    made = record(Sketcher(), catalog, 0)
    made[1].weights["0.weight"][0, 0] = torch.nan
    evidence.record = lambda: made
    with pytest.raises(InputError, match=f"gradient of {catalog.ids[0]} is not finite"):
        make_attributor("tracin").scores(evidence)


def test_a_step_of_adam_is_what_adam_does(catalog: Catalog) -> None:
    """The last step of a training, without a pair in it, by the optimiser itself."""
    model = Sketcher("linear", epochs=8, rate=1e-3)
    with recording((1.0,)) as recorder:
        model.fit(catalog, [], 0, silent)
    (last,) = recorder.checkpoints
    evidence = evidence_of(model, catalog, ROWS)
    evidence.record = lambda: [last]
    found = TracIn("tracin").scores(evidence).values[0]
    batch = model.training_batch(catalog, catalog.ids)
    query = {name: value[:1] for name, value in batch.items()}
    weight = model.module().weight
    effects = []
    for row in range(len(catalog)):
        pair = {name: value[row : row + 1] for name, value in batch.items()}
        g = torch.autograd.grad(model.pair_losses(pair).sum(), model.module().parameters())
        ends = []
        for sign in (-1, 1):
            at: Checkpoint = last
            assert at.second_moments is not None
            moved = {
                name: at.weights[name]
                + sign * at.rate * each / (at.second_moments[name].sqrt() + at.epsilon)
                for (name, _), each in zip(model.module().named_parameters(), g, strict=True)
            }
            with torch.no_grad():
                drawn = functional_call(model.module(), moved, (query["words"],))
                target = query["pictures"].reshape(drawn.shape)
                ends.append(float((drawn - target).square().mean()))
        effects.append((ends[1] - ends[0]) / 2)  # how much worse without the step
    assert weight.requires_grad
    np.testing.assert_allclose(found, np.array(effects), atol=0.02 * np.abs(effects).max())


def test_it_agrees_with_dattri(sketcher: Make, catalog: Catalog) -> None:
    attributors = pytest.importorskip("dattri.algorithm.tracin", reason="needs dattri")
    task_module = pytest.importorskip("dattri.task", reason="needs dattri")
    model = sketcher("dense")
    evidence = evidence_of(model, catalog, ROWS)
    evidence.record = lambda: record(Sketcher(), catalog, 0)
    ours = make_attributor("tracin:sgd").scores(evidence).values
    module = model.module()

    def loss(params: dict[str, torch.Tensor], pair: tuple[torch.Tensor, ...]) -> torch.Tensor:
        drawn = functional_call(module, params, (pair[0][None],)).reshape(pair[1][None].shape)
        return (drawn - pair[1]).square().mean()

    weights = [dict(each.weights) for each in evidence.checkpoints]
    rates = torch.tensor([each.rate for each in evidence.checkpoints])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    batch = model.training_batch(catalog, catalog.ids)
    pairs = torch.utils.data.TensorDataset(batch["words"], batch["pictures"])
    theirs = attributors.TracInAttributor(
        task_module.AttributionTask(loss, module, weights), rates, normalized_grad=False
    )
    theirs.projector_kwargs = None
    found = theirs.attribute(
        torch.utils.data.DataLoader(pairs, 40),
        torch.utils.data.DataLoader(torch.utils.data.Subset(pairs, ROWS), 4),
    )
    module.load_state_dict(before)
    np.testing.assert_allclose(ours, found.detach().T, atol=2e-3 * float(found.abs().max()))

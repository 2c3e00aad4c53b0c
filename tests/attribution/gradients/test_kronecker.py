"""Fisher matrices: by a dense calculation, in expectation, and of targets that a model draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.helpers.networks import Sketcher
from untrain.attribution.gradients import kronecker
from untrain.attribution.gradients.kronecker import Layer, fisher_of
from untrain.attribution.gradients.layers import EVERYTHING
from untrain.attribution.gradients.outputs import NLL, SQUARED, Output
from untrain.attribution.gradients.targets import drawn
from untrain.catalogs import Catalog
from untrain.core.cache import entries
from untrain.core.errors import InputError
from untrain.generators.base import Generator
from untrain.generators.differentiable import Batch
from untrain.generators.predictions import Prediction

Make = Callable[..., Sketcher]


def blind(seen: Sketcher) -> Sketcher:
    """Return a generator that shows its losses and not its predictions."""
    own = ("__dict__", "__weakref__", "__abstractmethods__", "_abc_impl")
    parts = {k: v for k, v in vars(Sketcher).items() if "predictions" not in k and k not in own}
    found = type("Blind", (Generator,), parts)(seen.network)
    found.fitted = seen.module()
    return found  # type: ignore[no-any-return]


def drawn_gradients(asked: Sketcher, catalog: Catalog, what: str) -> dict[str, torch.Tensor]:
    """Return the gradients of every pair with drawn targets, float64 (n, o, i) by layer."""
    module, found = asked.module(), []
    for image_id in catalog.ids:
        value = drawn((what, 0, 0), [image_id])(asked, asked.training_batch(catalog, [image_id]))
        module.zero_grad()
        value.sum().backward()
        one = {}
        for name in ("0", "2"):
            layer = module[int(name)]
            bias = [] if layer.bias is None else [layer.bias.grad[:, None]]
            one[name] = torch.cat([layer.weight.grad, *bias], 1).double()
        found.append(one)
    module.zero_grad()
    return {name: torch.stack([one[name] for one in found]) for name in ("0", "2")}


def test_eigenvalues_are_those_of_the_dense_matrix_along_the_eigenvectors(
    sketcher: Make, catalog: Catalog
) -> None:
    asked = sketcher("dense")
    fisher, notes = fisher_of(asked, catalog, NLL)
    assert not notes and set(fisher) == {"0", "2"}
    rows = drawn_gradients(asked, catalog, "eigenvalues")["0"].flatten(1)
    layer = fisher["0"]
    assert layer.inputs is not None and layer.outputs is not None
    vectors = torch.kron(layer.outputs, layer.inputs).double()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(vectors)), atol=1e-4)
    expected = (vectors * (rows.T @ rows @ vectors)).sum(0) / len(rows)
    found = layer.values.flatten().double()
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(expected.max()))


def test_unrotated_it_is_the_diagonal(sketcher: Make, catalog: Catalog) -> None:
    asked = sketcher("dense")
    fisher, _ = fisher_of(asked, catalog, NLL, rotate=False)
    for name, gradients in drawn_gradients(asked, catalog, "eigenvalues").items():
        assert fisher[name].inputs is None and fisher[name].outputs is None
        expected = gradients.square().mean(0)
        np.testing.assert_allclose(fisher[name].values, expected, atol=1e-4 * float(expected.max()))


def test_of_a_linear_model_it_is_the_second_derivative(sketcher: Make, catalog: Catalog) -> None:
    """Where Kronecker factors are exact: 2 / d · E[x xᵀ] ⊗ I, whatever the targets."""
    asked = sketcher("linear")
    words = asked.training_batch(catalog, catalog.ids)["words"].double()
    inputs = torch.nn.functional.pad(words, (0, 1), value=1.0)
    hessian = 2 / 192 * inputs.T @ inputs / len(inputs)
    layer = next(iter(fisher_of(asked, catalog, NLL, draws=40)[0].values()))
    torch.manual_seed(0)
    gradients = torch.randn(3, 192, 33)
    strength = 0.1 * float(hessian.diagonal().mean())
    damped = hessian + strength * torch.eye(33, dtype=torch.float64)
    expected = torch.linalg.solve(damped, gradients.double().transpose(1, 2)).transpose(1, 2)
    found = layer.solve(gradients, 0.1)
    assert float((found - expected).norm() / expected.norm()) < 0.09
    assert float(layer.values.mean()) == pytest.approx(float(hessian.diagonal().mean()), rel=0.02)


def test_solving_is_the_inverse_of_the_damped_matrix() -> None:
    torch.manual_seed(0)
    basis = [torch.linalg.qr(torch.randn(size, size))[0] for size in (4, 3)]
    layer = Layer(*basis, torch.rand(3, 4))
    vectors = torch.kron(basis[1], basis[0])
    whole = vectors @ torch.diag(layer.values.flatten()) @ vectors.T
    whole += 0.2 * layer.values.mean() * torch.eye(12)
    gradients = torch.randn(2, 3, 4)
    expected = torch.linalg.solve(whole, gradients.flatten(1).T).T.view(2, 3, 4)
    np.testing.assert_allclose(layer.solve(gradients, 0.2), expected, rtol=1e-3, atol=1e-4)


def test_a_layer_without_gradient_stays_without() -> None:
    layer = Layer(None, None, torch.zeros(3, 4))
    assert not layer.solve(torch.ones(1, 3, 4), 0.1).any()


def test_drawn_codes_have_the_fisher_matrix_of_the_weighted_loss() -> None:
    """Σ w (diag p − p pᵀ) for each pair, the second derivative of Σ w × −log p."""
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5, requires_grad=True)
    weights = torch.tensor([[0.5, 0.25, 0.0], [0.1, 0.4, 1.0]])
    head = Prediction(logits, torch.zeros(2, 3, dtype=torch.int64), weights)
    generator = Shows([head])
    total = torch.zeros(2, 3, 5, 5)
    for draw in range(1500):
        (by,) = torch.autograd.grad(drawn((draw,), ["a", "b"])(generator, {}).sum(), logits)
        total += by[..., :, None] * by[..., None, :]
    p = logits.detach().softmax(-1)
    exact = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    np.testing.assert_allclose(total / 1500, weights[..., None, None] * exact, atol=0.03)


def test_drawn_numbers_have_the_second_derivative_of_the_weighted_loss() -> None:
    values = torch.zeros(1, 4, requires_grad=True)
    weights = torch.tensor([[0.5, 0.25, 0.0, 2.0]])
    generator = Shows([Prediction(values, torch.ones(1, 4), weights)])
    total = torch.zeros(4, 4)
    for draw in range(1500):
        (by,) = torch.autograd.grad(drawn((draw,), ["a"])(generator, {}).sum(), values)
        total += by.T @ by
    np.testing.assert_allclose(total / 1500, torch.diag(2 * weights[0]), atol=0.3)


class Shows:
    """Predictions, and nothing else."""

    def __init__(self, heads: list[Prediction]) -> None:
        self.heads = heads

    def pair_predictions(self, batch: Batch) -> list[Prediction]:
        return self.heads

    query_predictions = pair_predictions


def test_neither_batch_nor_order_matters(
    sketcher: Make, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = sketcher("conv")
    expected = fisher_of(asked, catalog, NLL, rotate=False)[0]
    monkeypatch.setattr(kronecker, "BATCH", 7)
    backwards = catalog.subset(catalog.ids[::-1])
    found = fisher_of(asked, backwards, NLL, rotate=False)[0]
    for name, layer in expected.items():
        close = 1e-4 * float(layer.values.max())
        np.testing.assert_allclose(found[name].values, layer.values, atol=close)


def test_a_layer_that_is_called_twice_has_the_sum_of_its_gradients(
    sketcher: Make, catalog: Catalog
) -> None:
    asked = Sketcher("linear")
    twice = torch.nn.Linear(32, 32)
    asked.fitted = torch.nn.Sequential(twice, torch.nn.Tanh(), twice, torch.nn.Linear(32, 192))
    found = fisher_of(asked, catalog, NLL, rotate=False)[0]
    total = torch.zeros(32, 32)
    for image_id in catalog.ids:
        value = drawn(("eigenvalues", 0, 0), [image_id])
        batch = asked.training_batch(catalog, [image_id])
        (by,) = torch.autograd.grad(value(asked, batch).sum(), asked.module()[0].weight)
        total += by.square()
    np.testing.assert_allclose(
        found["0"].values[:, :-1], total / len(catalog), rtol=1e-3, atol=1e-9
    )


def test_queries_share_what_is_cached(
    sketcher: Make, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = sketcher("dense")
    first = fisher_of(asked, catalog, NLL)[0]
    assert [entry.description for entry in entries(("gradients",))] == [
        f"EK-FAC Fisher matrix, nll, of a model of {catalog.name}"
    ]
    monkeypatch.setattr(kronecker, "factors", None)  # nothing is computed again
    again = fisher_of(asked, catalog, NLL)[0]
    assert list(again) == list(first)
    for name, layer in first.items():
        assert layer.inputs is not None
        assert torch.equal(again[name].inputs, layer.inputs)  # type: ignore[arg-type]
        assert torch.equal(again[name].values, layer.values)


def test_without_predictions_it_is_the_empirical_one_and_says_so(
    sketcher: Make, catalog: Catalog
) -> None:
    seen = sketcher("dense")
    fisher, notes = fisher_of(blind(seen), catalog, NLL, rotate=False)
    assert [note.code for note in notes] == ["fisher-empirical"]
    expected = mean_squares(seen, catalog, NLL)
    np.testing.assert_allclose(fisher["2"].values, expected, atol=1e-4 * float(expected.max()))


def mean_squares(asked: Sketcher, catalog: Catalog, output: Output) -> torch.Tensor:
    """Return the mean square of the gradients of pairs by the last layer of ``dense``."""
    total = torch.zeros(192, 16)
    for value in output.of_pairs(asked, asked.training_batch(catalog, catalog.ids)):
        weight = asked.module()[2].weight
        total += torch.autograd.grad(value, weight, retain_graph=True)[0].square()
    return total / len(catalog)


def test_of_another_output_it_is_that_of_its_gradients(sketcher: Make, catalog: Catalog) -> None:
    asked = sketcher("dense")
    fisher, notes = fisher_of(asked, catalog, SQUARED, rotate=False)
    assert not notes
    expected = mean_squares(asked, catalog, SQUARED)
    np.testing.assert_allclose(fisher["2"].values, expected, atol=1e-4 * float(expected.max()))


def test_parameters_in_no_known_layer_have_a_diagonal(sketcher: Make, catalog: Catalog) -> None:
    fisher, _ = fisher_of(sketcher("scale"), catalog, NLL)
    layer = fisher[EVERYTHING]
    assert layer.inputs is None  # 6,336 numbers: too many for eigenvectors
    assert layer.values.shape == (1, 33 * 192) and float(layer.values.max()) > 0


@pytest.mark.parametrize("rotate", [True, False])
def test_gradients_that_are_no_numbers_are_named(
    sketcher: Make, catalog: Catalog, rotate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, third = Sketcher.training_batch, catalog.ids[2]

    def broken(self: Sketcher, catalog: Catalog, ids: list[str], draw: int = 0) -> Batch:
        batch = real(self, catalog, ids, draw)
        batch["words"][[image_id == third for image_id in ids]] = torch.nan
        return batch

    monkeypatch.setattr(Sketcher, "training_batch", broken)
    with pytest.raises(InputError, match=f"gradient of {third} is not finite"):
        fisher_of(sketcher("dense"), catalog, NLL, rotate=rotate)

"""Influence by EK-FAC: by a dense calculation, and by what it says of copies and of order."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.networks import Sketcher, evidence_of, rank_of
from untrain.attribution import ekfac
from untrain.attribution.base import Evidence
from untrain.attribution.ekfac import EkFac, EkFacRelative
from untrain.attribution.gradients import directional, kronecker
from untrain.attribution.gradients.kronecker import fisher_of
from untrain.attribution.gradients.outputs import NLL
from untrain.attribution.gradients.targets import drawn
from untrain.attribution.registry import make_attributor
from untrain.catalogs import Catalog
from untrain.core.errors import InputError

Make = Callable[..., Sketcher]
ROWS = [0, 3, 11, 17, 26, 38]
METHODS = {"ekfac": EkFac, "ekfac_relative": EkFacRelative}


@pytest.fixture(params=["dense", "conv"])
def evidence(request: pytest.FixtureRequest, sketcher: Make, catalog: Catalog) -> Evidence:
    return evidence_of(sketcher(request.param), catalog, ROWS)


def dense_scores(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return g_qᵀ (F + λI)⁻¹ g_i / n by whole matrices, and √(g_iᵀ (F + λI)⁻¹ g_i)."""
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    fisher, _ = fisher_of(asked, evidence.catalog, NLL)
    batch = asked.training_batch(evidence.catalog, evidence.catalog.ids)
    products, squares = torch.zeros(40, 40).double(), torch.zeros(40).double()
    for name, layer in fisher.items():
        module = asked.module().get_submodule(name)
        learnt = [module.weight] + ([] if module.bias is None else [module.bias])
        rows = []
        for value in asked.pair_losses(batch):
            parts = torch.autograd.grad(value, learnt, retain_graph=True)
            rows.append(torch.cat([part.reshape(len(part), -1) for part in parts], 1).double())
        assert layer.inputs is not None and layer.outputs is not None
        turned = layer.outputs.double().T @ torch.stack(rows) @ layer.inputs.double()
        flat, values = turned.flatten(1), layer.values.double().flatten()
        weighted = flat / (values + 0.1 * values.mean())
        products += weighted @ flat.T
        squares += (weighted * flat).sum(1)
    return (products[ROWS] / 40).numpy(), squares.sqrt().numpy()


@pytest.mark.parametrize("name", METHODS)
def test_scores_are_those_of_a_dense_calculation(name: str, evidence: Evidence) -> None:
    expected, lengths = dense_scores(evidence)
    found = METHODS[name](name).scores(evidence)
    if name == "ekfac_relative":
        expected = expected / lengths
    assert found.values.dtype == np.float32 and found.once > 0 and found.seconds > 0
    np.testing.assert_allclose(found.values, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", METHODS)
def test_a_copy_of_a_training_pair_finds_that_pair_among_the_first(
    name: str, evidence: Evidence
) -> None:
    values = make_attributor(name).scores(evidence).values
    assert (values[np.arange(len(ROWS)), ROWS] > 0).all()  # positive: without it it is worse
    assert max(rank_of(values, ROWS)) < (1 if name == "ekfac_relative" else 4)


@pytest.mark.parametrize("name", METHODS)
def test_neither_batches_nor_blocks_matter(
    name: str, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = METHODS[name](name).scores(evidence).values
    monkeypatch.setattr(ekfac, "BATCH", 7)
    monkeypatch.setattr(directional, "AT_ONCE", 1)  # each prompt by itself
    found = METHODS[name](name).scores(evidence).values
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_order_of_the_catalogue_does_not_matter(evidence: Evidence, catalog: Catalog) -> None:
    backwards = catalog.subset(catalog.ids[::-1])
    other = Evidence(backwards, evidence.queries, evidence.prompts, model=evidence.model)
    expected = EkFac("ekfac").scores(evidence).values
    found = EkFac("ekfac").scores(other).values
    back = found[:, [backwards.ids.index(image_id) for image_id in catalog.ids]]
    np.testing.assert_allclose(back, expected, atol=5e-3 * np.abs(expected).max())


def test_much_damping_leaves_products_of_gradients(evidence: Evidence) -> None:
    """With one λ for all; here each layer has its own, so that each is compared by itself."""
    plain = make_attributor("grad_dot")
    plain.dimensions = 0  # type: ignore[attr-defined]
    products = plain.scores(evidence).values
    damped = EkFac("ekfac", damping=1e4).scores(evidence).values
    assert np.corrcoef(products.ravel(), damped.ravel())[0, 1] > 0.7


def test_scores_are_in_units_of_the_loss(sketcher: Make, catalog: Catalog) -> None:
    """Of a linear model the rise of the mean loss's minimum without a pair is known."""
    asked = sketcher("linear", epochs=60, rate=0.05)
    evidence = evidence_of(asked, catalog, ROWS)
    score = EkFac("ekfac", damping=0.01).scores(evidence).values[0, ROWS[0]]
    batch = asked.training_batch(catalog, catalog.ids)
    x = torch.nn.functional.pad(batch["words"], (0, 1), value=1.0).double()
    residual = (asked._drawn(batch["words"]) - batch["pictures"]).flatten(1).detach().double()
    hessian = 2 / 192 * x.T @ x / 40
    hessian += 0.01 * hessian.diagonal().mean() * torch.eye(33)
    gradient = 2 / 192 * residual[0][:, None] * x[0]
    exact = (gradient * torch.linalg.solve(hessian, gradient.T).T).sum() / 40
    assert float(score) == pytest.approx(float(exact), rel=0.4)


def test_it_agrees_with_kronfluence(
    sketcher: Make, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The implementation of Grosse et al. (2023), given the same drawn targets.

    The same for both passes: otherwise eigenvectors of eigenvalue 0, which are any, would count.
    """
    kronfluence = pytest.importorskip("kronfluence", reason="needs kronfluence")
    arguments = pytest.importorskip("kronfluence.arguments")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(kronecker, "drawn", lambda _, names: drawn((0,), names))
    asked = sketcher("dense")
    ours = EkFac("ekfac").scores(evidence_of(asked, catalog, ROWS)).values
    other = Sketcher("dense")

    class Task(kronfluence.task.Task):  # type: ignore[misc]
        def compute_train_loss(
            self, batch: list[torch.Tensor], model: torch.nn.Module, sample: bool = False
        ) -> torch.Tensor:
            other.fitted, names = model, [catalog.ids[row] for row in batch[2].tolist()]
            pairs = {"words": batch[0], "pictures": batch[1]}
            output = drawn((0,), names) if sample else NLL.of_pairs
            return output(other, pairs).sum()

        def compute_measurement(
            self, batch: list[torch.Tensor], model: torch.nn.Module
        ) -> torch.Tensor:
            return self.compute_train_loss(batch, model)

    batch = asked.training_batch(catalog, catalog.ids)
    pairs = torch.utils.data.TensorDataset(
        batch["words"], batch["pictures"], torch.arange(len(catalog))
    )
    module = torch.nn.Sequential(*map(deepcopy, asked.module()))
    module[1] = torch.nn.ReLU()  # in place it would change what their hooks keep
    analyzer = kronfluence.analyzer.Analyzer(
        "sketcher", kronfluence.analyzer.prepare_model(module, Task()), Task(), cpu=True,
        disable_tqdm=True, output_dir=str(tmp_path),
    )  # fmt: skip
    settings = arguments.FactorArguments(strategy="ekfac")
    options = {"per_device_batch_size": 8, "factor_args": settings}
    analyzer.fit_covariance_matrices("all", pairs, **options)
    analyzer.perform_eigendecomposition("all", factor_args=settings)
    analyzer.fit_lambda_matrices("all", pairs, **options)
    analyzer.compute_pairwise_scores(
        "scores", "all", torch.utils.data.Subset(pairs, ROWS), pairs, 6,
        per_device_train_batch_size=8, score_args=arguments.ScoreArguments(damping_factor=None),
    )  # fmt: skip
    theirs = analyzer.load_pairwise_scores("scores")["all_modules"].numpy() / len(catalog)
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())


def test_pictures_without_samples_are_refused(evidence: Evidence) -> None:
    queries = evidence.queries
    without = type(queries)(queries.keys, queries.texts, queries.pictures)
    asked = Evidence(evidence.catalog, without, evidence.prompts, model=evidence.model)
    with pytest.raises(InputError, match="no samples"):
        EkFac("ekfac").scores(asked)


def test_a_gradient_that_is_no_number_is_named(
    evidence: Evidence, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    EkFac("ekfac").scores(evidence)
    real, third = Sketcher.training_batch, catalog.ids[2]

    def broken(self: Sketcher, catalog: Catalog, ids: list[str], draw: int = 0) -> object:
        batch = real(self, catalog, ids, draw)
        batch["pictures"][[image_id == third for image_id in ids]] = torch.nan
        return batch

    monkeypatch.setattr(Sketcher, "training_batch", broken)
    with pytest.raises(InputError, match=f"gradient of {third} is not finite"):
        EkFac("ekfac").scores(evidence)

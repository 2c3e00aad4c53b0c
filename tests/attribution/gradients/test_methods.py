"""Methods on rows of gradients: by a dense calculation, by another library, and by retraining."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
import pytest
import torch
from torch.func import functional_call

from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher, evidence_of, rank_of
from untrain.attribution.base import Evidence
from untrain.attribution.dtrak import DTrak
from untrain.attribution.grad_dot import GradCos, GradDot
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.rows import ByRows
from untrain.attribution.gradients.store import GradientStore
from untrain.attribution.leverage import Leverage
from untrain.attribution.logra import LoGra
from untrain.attribution.registry import make_attributor
from untrain.attribution.trak import Trak
from untrain.catalogs import Catalog
from untrain.core.errors import InputError
from untrain.evaluation.lds import lds
from untrain.generators.pictures_only import PicturesOnly

Make = Callable[..., Sketcher]
ROWS = [0, 3, 11, 17, 26, 38]
METHODS: dict[str, Callable[[], ByRows]] = {
    "grad_dot": lambda: GradDot("grad_dot", dimensions=0),
    "grad_cos": lambda: GradCos("grad_cos", dimensions=0),
    "trak:nll": lambda: Trak("trak:nll", dimensions=0),
    "trak:squared": lambda: Trak("trak:squared", dimensions=0, damping=0.01),
    "logra": lambda: LoGra("logra", dimensions=0),
    "dtrak": lambda: DTrak("dtrak", dimensions=0),
    "leverage": lambda: Leverage("leverage", dimensions=0),
}


@pytest.fixture
def evidence(sketcher: Make, catalog: Catalog) -> Evidence:
    return evidence_of(sketcher("dense"), catalog, ROWS)


def dense_rows(evidence: Evidence, output: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all gradients, each by itself, float64: of the pairs and of the queries."""
    asked: Sketcher = evidence.model  # type: ignore[assignment]
    chosen, queries = OUTPUTS[output], evidence.queries
    assert queries.samples is not None

    def rows(values: Callable[..., torch.Tensor], batch: dict[str, torch.Tensor]) -> np.ndarray:
        first, last = asked.module()[0], asked.module()[2]
        found = []
        for value in values(asked, batch):
            by = torch.autograd.grad(
                value, [first.weight, first.bias, last.weight], retain_graph=True,
                materialize_grads=True,
            )  # fmt: skip
            layer = torch.cat([by[0], by[1][:, None]], 1)
            found.append(torch.cat([layer.flatten(), by[2].flatten()]).double().numpy())
        return np.stack(found)

    pairs = asked.training_batch(evidence.catalog, evidence.catalog.ids)
    return rows(chosen.of_pairs, pairs), rows(
        chosen.of_queries, asked.query_batch(queries.samples, queries.prompts)
    )


def kernel(queries: np.ndarray, rows: np.ndarray, damping: float) -> np.ndarray:
    strength = damping * np.square(rows).sum(1).mean()
    small = rows @ rows.T + strength * np.eye(len(rows))
    return np.asarray(np.linalg.solve(small, rows @ queries.T).T)


def rise(queries: np.ndarray, rows: np.ndarray, damping: float) -> np.ndarray:
    """What queries lose of the variance that each row explains, by leaving it out."""
    strength = damping * np.square(rows).sum(1).mean()

    def explained(held: np.ndarray) -> np.ndarray:
        small = held @ held.T + strength * np.eye(len(held))
        products = held @ queries.T
        return (products * np.linalg.solve(small, products)).sum(0)

    whole = explained(rows)
    lost = [whole - explained(np.delete(rows, i, 0)) for i in range(len(rows))]
    return np.stack(lost, 1) / np.square(queries).sum(1, keepdims=True)


@pytest.mark.parametrize("name", METHODS)
def test_scores_are_those_of_a_dense_calculation(name: str, evidence: Evidence) -> None:
    method = METHODS[name]()
    rows, queries = dense_rows(evidence, method.output.name)
    layers = slice(0, 16 * 33), slice(16 * 33, None)
    expected = {
        "grad_dot": lambda: queries @ rows.T,
        "grad_cos": lambda: (
            queries
            @ rows.T
            / np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(rows, axis=1))
        ),
        "trak:nll": lambda: kernel(queries, rows, 0.1),
        "trak:squared": lambda: kernel(queries, rows, 0.01),
        "dtrak": lambda: kernel(queries, rows, 1.0),
        "leverage": lambda: rise(queries, rows, 1.0),
        "logra": lambda: sum(kernel(queries[:, part], rows[:, part], 0.1) for part in layers),
    }[name]()
    found = method.scores(evidence).values
    assert found.shape == evidence.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=3e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", METHODS)
def test_a_copy_of_a_training_pair_finds_that_pair_first(name: str, evidence: Evidence) -> None:
    """Where gradients count by their size, and do not see the picture, among the first."""
    values = METHODS[name]().scores(evidence).values
    own = values[np.arange(len(ROWS)), ROWS]
    assert (own > 0).all()  # positive: without it the query is worse
    first = {"grad_dot": 10, "dtrak": 3, "leverage": 3, "trak:squared": 3}.get(name, 1)
    assert max(rank_of(values, ROWS)) < first


def test_projected_scores_come_near_those_of_all_numbers(evidence: Evidence) -> None:
    whole = DTrak("dtrak", dimensions=0).scores(evidence).values
    near = DTrak("dtrak", dimensions=2048).scores(evidence).values
    far = DTrak("dtrak", dimensions=32).scores(evidence).values
    agreement = [np.corrcoef(whole.ravel(), each.ravel())[0, 1] for each in (near, far)]
    assert agreement[0] > 0.97 > agreement[1]


def test_a_prompt_has_the_mean_over_its_pictures(evidence: Evidence) -> None:
    queries = evidence.queries
    keys = tuple((f"p{row // 3}", row % 3) for row in range(6))
    texts = {"p0": queries.prompts[0], "p1": queries.prompts[3]}
    both = type(queries)(keys, texts, queries.pictures, queries.samples)
    found = GradDot("grad_dot", dimensions=0).scores(evidence_with(evidence, both)).values
    apart = []
    for row in range(6):
        here = slice(row, row + 1)
        own = {keys[row][0]: texts[keys[row][0]]}
        samples = np.asarray(queries.samples)[here]
        one = type(queries)(keys[here], own, queries.pictures[here], samples)
        apart.append(GradDot("g", dimensions=0).scores(evidence_with(evidence, one)).values[0])
    expected = np.stack([np.mean(apart[:3], 0), np.mean(apart[3:], 0)])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def evidence_with(evidence: Evidence, queries: object) -> Evidence:
    return Evidence(evidence.catalog, queries, evidence.prompts, model=evidence.model)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["grad_dot", "trak:nll", "dtrak", "logra", "leverage"])
def test_the_order_of_the_catalogue_does_not_matter(
    name: str, evidence: Evidence, catalog: Catalog
) -> None:
    backwards = catalog.subset(catalog.ids[::-1])
    other = Evidence(backwards, evidence.queries, evidence.prompts, model=evidence.model)
    method = METHODS[name]
    expected = method().scores(evidence).values
    found = method().scores(other).values
    back = found[:, [backwards.ids.index(image_id) for image_id in catalog.ids]]
    np.testing.assert_allclose(back, expected, atol=2e-3 * np.abs(expected).max())


def test_what_a_model_has_not_is_said(evidence: Evidence) -> None:
    with pytest.raises(InputError, match="log odds of codes, and this generator predicts numbers"):
        make_attributor("trak").scores(evidence)
    with pytest.raises(InputError, match="did you mean 'squared'"):
        make_attributor("trak:squarred")
    without = copy(evidence)
    without.model = PicturesOnly((8, 8))
    why = make_attributor("dtrak").missing(without)
    assert why == "there is no fitted model that gives gradients"


def test_the_store_is_paid_for_once(evidence: Evidence) -> None:
    first, second = (make_attributor("grad_dot").scores(evidence) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.once > 3 * second.once and second.seconds > 0


@pytest.mark.parametrize("method", ["trak", "grad_dot", "grad_cos"])
def test_they_agree_with_dattri(
    method: str, sketcher: Make, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An independent implementation (Deng et al. 2024), its random projections switched off."""
    tracin = pytest.importorskip("dattri.algorithm.tracin", reason="needs dattri")
    trak = pytest.importorskip("dattri.algorithm.trak", reason="needs dattri")
    task_module = pytest.importorskip("dattri.task", reason="needs dattri")
    asked = sketcher("dense")
    evidence = evidence_of(asked, catalog, ROWS)
    module = asked.module()

    def loss(params: dict[str, torch.Tensor], pair: tuple[torch.Tensor, ...]) -> torch.Tensor:
        words, picture = pair
        drawn = functional_call(module, params, (words[None],)).reshape(picture[None].shape)
        return (drawn - picture).square().mean()

    task = task_module.AttributionTask(loss, module, module.state_dict())
    batch = asked.training_batch(catalog, catalog.ids)
    pairs = torch.utils.data.TensorDataset(batch["words"], batch["pictures"])
    train = torch.utils.data.DataLoader(pairs, 40)
    test = torch.utils.data.DataLoader(torch.utils.data.Subset(pairs, ROWS), 6)
    ours = METHODS["trak:nll" if method == "trak" else method]().scores(evidence).values
    if method == "trak":
        monkeypatch.setattr(trak, "random_project", lambda *_, **__: lambda rows, ensemble_id: rows)
        rows = dense_rows(evidence, "nll")[0]
        size = sum(p.numel() for p in module.parameters())
        strength = 0.1 * np.square(rows).sum(1).mean() / size  # of gradients over √size
        theirs = trak.TRAKAttributor(
            task, lambda *_: torch.zeros(()), regularization=float(strength)
        )
        theirs.cache(train)
        scores = theirs.attribute(test)
    else:
        theirs = tracin.TracInAttributor(task, torch.ones(1), normalized_grad=method == "grad_cos")
        theirs.projector_kwargs = None
        scores = theirs.attribute(train, test)
    np.testing.assert_allclose(ours, scores.detach().T, atol=5e-3 * float(scores.abs().max()))


@pytest.mark.pipeline
def test_they_say_what_retraining_does_and_chance_does_not(catalog: Catalog) -> None:
    options = {"network": "dense", "epochs": 6, "rate": 0.01}
    model = Sketcher(**options)  # type: ignore[arg-type]
    model.fit(catalog, [], 0, silent)
    evidence = evidence_of(model, catalog, list(range(0, 40, 2)))
    queries = evidence.queries
    assert queries.samples is not None
    batch = model.query_batch(queries.samples, queries.prompts)
    draw, kept, outcomes = np.random.default_rng(0), [], []
    for _ in range(40):
        kept.append(draw.permutation(40) < 20)
        other = Sketcher(**options)  # type: ignore[arg-type]
        removed = [i for i, stays in zip(catalog.ids, kept[-1], strict=True) if not stays]
        other.fit(catalog, removed, 1, silent)
        with torch.no_grad():
            outcomes.append(other.measurements(batch).double().numpy())
    truth = np.stack(kept), np.stack(outcomes)
    judged = {
        name: lds(METHODS[name]().scores(evidence).values.astype(float), *truth) for name in METHODS
    }
    chance = lds(make_attributor("random").scores(evidence).values.astype(float), *truth)
    shuffled = METHODS["dtrak"]().scores(evidence).values[:, draw.permutation(40)]
    for luck in (chance, lds(shuffled.astype(float), *truth)):
        assert luck.low < 0 < luck.high
    for name in ("grad_dot", "trak:nll", "dtrak"):
        assert judged[name].mean > 0.3, name


def test_a_mean_over_draws_is_a_mean(sketcher: Make, catalog: Catalog) -> None:
    asked = sketcher("dense")
    one, three = (
        GradientStore(asked, catalog, OUTPUTS["nll"], 72, draws=draws).rows.block(slice(None))
        for draws in (1, 3)
    )
    np.testing.assert_allclose(three, one, rtol=5e-3, atol=1e-3)  # nothing is random here

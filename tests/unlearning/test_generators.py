"""The same methods on the reference model and on diffusion: what `save` writes is what changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.catalogs import Catalog, rendered
from untrain.generators.base import Generator
from untrain.generators.dalle.generator import DalleGenerator
from untrain.generators.diffusion.unet import DiffusionGenerator
from untrain.unlearning import Task, unlearn
from untrain.unlearning.base import copied

pytestmark = pytest.mark.pipeline
FORGET = 3
ASCENDING = ("ascent_retain", "bounded_ascent", "npo", "salun")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=8, size_of_family=4, seed=1, resolution=16)


@pytest.fixture(scope="module", params=["dalle", "diffusion"])
def fitted(
    request: pytest.FixtureRequest, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Generator:
    pytest.importorskip("diffusers") if request.param == "diffusion" else None
    made: dict[str, Generator] = {
        "dalle": DalleGenerator.from_preset("micro", {"caption_dropout": 0.1}),
        "diffusion": DiffusionGenerator.from_preset("diffusion-micro"),
    }
    generator = made[request.param]
    generator.prepare(catalog, tmp_path_factory.mktemp("shared") / "parts", silent)
    generator.fit(catalog, [], 0, silent)
    return generator


def states(generator: Generator) -> dict[str, torch.Tensor]:
    module = generator.module()  # type: ignore[attr-defined]
    return {name: value.clone() for name, value in module.state_dict().items()}


def loss(generator: Generator, catalog: Catalog, ids: tuple[str, ...]) -> float:
    with torch.no_grad():
        draws = [
            generator.pair_losses(generator.training_batch(catalog, ids, draw)).mean()  # type: ignore[attr-defined]
            for draw in range(8)
        ]
    return float(torch.stack(draws).mean())


@pytest.mark.parametrize("method", ["fine_tuning", *ASCENDING])
def test_it_forgets_within_its_budget_and_saves_what_it_changed(
    fitted: Generator, catalog: Catalog, method: str
) -> None:
    before = states(fitted)
    task = Task(fitted, catalog, catalog.ids[:FORGET], 0.6, 0, silent)
    weight = {"forget": 2.0} if method in ASCENDING else {}
    found = unlearn(method, task, rate=0.2, batch=4, **weight)
    assert 0 < found.spent.share <= 0.6 and found.spent.steps
    for name, value in states(fitted).items():
        assert torch.equal(value, before[name]), f"the given model's {name} was changed"
    for name, value in states(copied(found.generator)).items():
        assert torch.equal(value, states(found.generator)[name])
    ids = catalog.ids[:FORGET]
    if method in ASCENDING:
        others = catalog.ids[FORGET:]
        rises = [
            loss(found.generator, catalog, i) - loss(fitted, catalog, i) for i in (ids, others)
        ]
        assert rises[0] > max(0, rises[1])


def test_it_draws_and_is_the_same_from_the_same_seed(fitted: Generator, catalog: Catalog) -> None:
    noise = np.random.default_rng(0).standard_normal((2, *fitted.noise.shape)).astype(np.float32)
    drawn = []
    for _ in range(2):
        task = Task(fitted, catalog, catalog.ids[:FORGET], 0.6, 3, silent)
        found = unlearn("npo", task, rate=0.3).generator
        drawn.append(found.generate(catalog.captions[:2], noise).images)
    np.testing.assert_array_equal(*drawn)
    assert drawn[0].dtype == np.uint8

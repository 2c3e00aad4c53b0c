import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.catalogs import rendered
from untrain.generators.dalle.generator import DalleGenerator
from untrain.generators.dalle.presets import preset_of


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def catalog():
    return rendered(families=12, size_of_family=4, seed=1, resolution=32)


@pytest.fixture(scope="session")
def prepared(catalog, tmp_path_factory):
    """Frozen parts fitted once; returns how to make a generator on them."""
    folder = tmp_path_factory.mktemp("shared") / "parts"

    def make() -> DalleGenerator:
        generator = DalleGenerator(preset_of("micro", epochs=2), seed=0, precision="float32")
        generator.prepare(catalog, folder, silent)
        return generator

    make()
    return make


@pytest.fixture(scope="session")
def fitted(prepared, catalog):
    generator = prepared()
    generator.fit(catalog, [], 0, silent)
    return generator


@pytest.fixture(scope="session")
def queries(fitted, catalog):
    """Prompts of unequal length and tokens drawn for them."""
    prompts = [catalog.captions[0], "red boots", catalog.captions[5] + " and more words", "shirt"]
    noise = np.random.default_rng(0).gumbel(size=(4, *fitted.noise.shape)).astype(np.float32)
    return prompts, noise, fitted.generate(prompts, noise)

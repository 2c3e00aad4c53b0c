"""Small fitted generators, each with gradients, and pictures that they are asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.helpers.clusters import nodes, ray_folder  # noqa: F401
from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher
from untrain.catalogs import Catalog, rendered


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Eight families of five."""
    return rendered(families=8, size_of_family=5, seed=1, resolution=16)


@pytest.fixture(scope="session")
def sketcher(catalog: Catalog) -> Callable[..., Sketcher]:
    """Return a function from the name of a network, and options, to a fitted generator."""
    made: dict[object, Sketcher] = {}

    def fitted(network: str = "dense", seed: int = 0, **options: float) -> Sketcher:
        key = network, seed, *sorted(options.items())
        if key not in made:
            made[key] = Sketcher(network, **options)  # type: ignore[arg-type]
            made[key].fit(catalog, [], seed, silent)
        return made[key]

    return fitted

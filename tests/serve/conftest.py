"""A page over a small rendered catalogue, asked without a network."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.helpers.pages import HOST, png
from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog


@pytest.fixture(scope="session")
def photos() -> Catalog:
    return load_catalog("rendered", families=6, size_of_family=4, resolution=32)


@pytest.fixture(scope="session")
def site(photos: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A client of a page whose catalogue is open."""
    testing = pytest.importorskip("starlette.testclient", reason="needs untrain[serve] and httpx")
    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    shelf = Shelf(lambda: (photos, None), None, tmp_path_factory.mktemp("runs"))
    with testing.TestClient(make_app(shelf, [HOST]), f"http://{HOST}") as client:
        for _ in range(600):
            if client.get("/state").json()["ready"]:
                break
            time.sleep(0.05)
        yield client


@pytest.fixture
def picture(photos: Catalog) -> bytes:
    return png(np.asarray(photos.image(photos.ids[3])))

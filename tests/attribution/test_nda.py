"""Nonparametric attribution: a softmax over patches, against a plain calculation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from untrain.attribution import nda
from untrain.attribution.base import Evidence
from untrain.attribution.nda import NDA, Scale, shares
from untrain.attribution.registry import make_attributor
from untrain.catalogs import Catalog, rendered
from untrain.evaluation.lds import lds
from untrain.generators.queries import Queries


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Eight families of four, of 16 × 16 pixels."""
    return rendered(families=8, size_of_family=4, resolution=16)


def asked(pictures: list[np.ndarray], per_prompt: int = 1) -> Queries:
    keys = [(f"p{i // per_prompt}", i % per_prompt) for i in range(len(pictures))]
    return Queries(tuple(keys), {prompt: prompt for prompt, _ in keys}, pictures)


def pictures_of(catalog: Catalog, *rows: int) -> list[np.ndarray]:
    return list(catalog.pixels((16, 16), [catalog.ids[row] for row in rows]))


def plain(picture: np.ndarray, images: np.ndarray, sigma: float) -> np.ndarray:
    """Return the shares for 4 × 4 patches at steps of 4 and 2, one patch at a time."""

    def cut(pixels: np.ndarray, step: int) -> np.ndarray:
        places = range(0, 13, step)
        return np.stack([pixels[y : y + 4, x : x + 4].ravel() for y in places for x in places])

    x = cut(picture / 127.5 - 1, 4)
    y = np.stack([cut(image / 127.5 - 1, 2) for image in images])
    distance = ((x[:, None, None] - y[None]) ** 2).sum(-1)
    logits = -distance / (2 * sigma**2)
    weight = np.exp(logits - logits.max(axis=(1, 2), keepdims=True))
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    return weight.sum(axis=2).mean(axis=0)


def test_shares_are_those_of_the_formula(catalog: Catalog) -> None:
    images = catalog.pixels((16, 16))
    picture = (0.7 * images[3].astype(float) + 0.3 * images[9]).astype(np.uint8)
    for sigma in (0.3, 2.0):
        found = shares(catalog, asked([picture]), [Scale(16, 4, 4, 2, (sigma,))])
        np.testing.assert_allclose(found[0], plain(picture, images, sigma), atol=2e-5)


def test_a_copy_has_the_highest_score_and_shares_sum_to_one(catalog: Catalog) -> None:
    values = shares(catalog, asked(pictures_of(catalog, 5, 17, 30)))
    assert values.dtype == np.float32 and values.shape == (3, len(catalog))
    assert values.argmax(axis=1).tolist() == [5, 17, 30]
    np.testing.assert_allclose(values.sum(axis=1), 1, rtol=1e-4)
    assert (values >= 0).all()


def test_a_family_has_more_than_others(catalog: Catalog) -> None:
    families = catalog.attributes["family"].to_numpy()
    values = shares(catalog, asked(pictures_of(catalog, 4)))[0]
    own = families == families[4]
    assert values[own].mean() > 2 * values[~own].mean()


def test_nothing_depends_on_batches_or_order(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = asked(pictures_of(catalog, 1, 2, 11, 25), per_prompt=2)
    whole = shares(catalog, queries)
    with monkeypatch.context() as patch:
        patch.setattr(nda, "BLOCK", 1000)  # some images at a time
        patch.setattr(nda, "MATRIX", 1)  # one picture at a time
        np.testing.assert_allclose(shares(catalog, queries), whole, rtol=1e-4, atol=1e-7)
    turned = shares(catalog, queries.of("p1", "p0"))
    np.testing.assert_allclose(turned[::-1], whole, rtol=1e-4, atol=1e-7)
    alone = np.mean([shares(catalog, queries.take([row]))[0] for row in (0, 1)], axis=0)
    np.testing.assert_allclose(alone, whole[0], rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(shares(catalog, queries), whole)


def test_other_sizes_than_the_scales(catalog: Catalog) -> None:
    """A wide picture is one patch at the coarse scale, and a copy is still found."""
    rows = [catalog.ids[row] for row in (2, 20)]
    wide = list(catalog.pixels((24, 48), rows))
    assert shares(catalog, asked(wide)).argmax(axis=1).tolist() == [2, 20]


def test_on_pictures_of_noise_it_is_chance() -> None:
    """Pictures that say nothing of the images predict nothing of models."""
    rng = np.random.default_rng(0)
    catalog = rendered(families=8, size_of_family=8, resolution=16)
    queries = asked([rng.integers(0, 256, (16, 16, 3), np.uint8) for _ in range(16)])
    scores = shares(catalog, queries).astype(np.float64)
    kept = np.stack([rng.permutation(64) < 32 for _ in range(60)])
    found = lds(scores, kept, rng.normal(size=(60, 16)))
    assert found.low < 0 < found.high


def test_it_is_registered_and_needs_pictures_only(catalog: Catalog) -> None:
    queries = asked(pictures_of(catalog, 0))
    prompts = pd.DataFrame({"prompt_id": ["p0"], "prompt": "p0", "family": "", "role": "query"})
    evidence = Evidence(catalog, queries, prompts)
    attributor = make_attributor("nda")
    assert isinstance(attributor, NDA) and attributor.missing(evidence) is None
    scores = attributor.scores(evidence)
    assert scores.values.argmax() == 0 and scores.seconds > 0

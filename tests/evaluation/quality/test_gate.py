"""The quality gate: what passes, what fails, and when nobody can say."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from tests.helpers.catalogs import encoded, small_catalog
from untrain.catalogs.base import Catalog
from untrain.core.vocabulary import Gate
from untrain.evaluation.quality import gate, judge_pictures
from untrain.evaluation.quality.probe import _pairs_right, order_p, order_spread, reached

SIDE, EACH = 24, 10
INKS = {
    "Navy Blue": (20, 30, 120),
    "Blue": (40, 60, 220),
    "Red": (210, 30, 30),
    "Green": (30, 160, 50),
}
ARTICLES = ("Tshirts", "Shoes", "Watches")
Pictures = list[tuple[str, np.ndarray]]


def draw(article: str, colour: str, seed: int) -> np.ndarray:
    """Return a picture of an article, no two alike."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (SIDE, SIDE), "white")
    pen, ink = ImageDraw.Draw(image), INKS[colour]
    x, y = (int(v) for v in random.integers(-2, 3, 2))
    if article == "Tshirts":
        pen.polygon([(6 + x, 4 + y), (18 + x, 4 + y), (16 + x, 20 + y), (8 + x, 20 + y)], ink)
        pen.rectangle((2 + x, 4 + y, 22 + x, 9 + y), ink)
    elif article == "Shoes":
        pen.rectangle((3 + x, 14 + y, 21 + x, 19 + y), ink)
    else:
        pen.ellipse((7 + x, 7 + y, 17 + x, 17 + y), outline=ink, width=3)
    pixels = np.asarray(image, int) + random.integers(-12, 13, (SIDE, SIDE, 3))
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    kinds = list(product(ARTICLES, INKS, range(EACH)))
    files = {
        f"{article}-{colour}-{n}".replace(" ", "_"): encoded(
            Image.fromarray(draw(article, colour, seed))
        )
        for seed, (article, colour, n) in enumerate(kinds)
    }
    table = pd.DataFrame(kinds, columns=["articleType", "baseColour", "n"])
    captions = tuple(f"{article} in {colour}" for article, colour, _ in kinds)
    return replace(small_catalog(files), captions=captions, attributes=table)


@pytest.fixture(scope="module")
def prompts() -> pd.DataFrame:
    texts = [f"{article} in {colour}" for article, colour in product(ARTICLES, INKS)]
    ids = [f"p{number:02d}" for number in range(len(texts))]
    return pd.DataFrame({"prompt_id": ids, "prompt": texts, "family": ""})


@pytest.fixture(scope="module")
def right(prompts: pd.DataFrame) -> Pictures:
    """New pictures of what each prompt asks for, two each."""
    kinds = list(product(ARTICLES, INKS))
    return [
        (prompt_id, draw(*kind, seed=1000 + 2 * number + copy))
        for number, (prompt_id, kind) in enumerate(zip(prompts["prompt_id"], kinds, strict=True))
        for copy in range(2)
    ]


def test_real_pictures_pass(catalog: Catalog, prompts: pd.DataFrame, right: Pictures) -> None:
    quality = judge_pictures(catalog, prompts, right)
    assert quality is not None
    record = quality.record
    assert record["verdict"] == Gate.PASSED
    assert record["passed"] is True
    assert record["article"] > 0.9
    assert record["attributes"]["article"]["low"] > 0.8
    assert record["attributes"]["colour"]["judge"]["classes"] == 3  # two of the blues are one
    assert record["distance"]["frechet"] < 2 * record["distance"]["frechet_floor_high"]
    json.dumps(record, allow_nan=False)
    table = quality.pictures
    assert len(table) == 2 * len(right)
    article = table[table["attribute"] == "article"]
    assert (article["seen"] == article["asked"]).mean() == record["article"]
    assert list(article["generation"][:4]) == [0, 1, 0, 1]


def test_it_depends_on_nothing_but_its_arguments(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    first, again = (judge_pictures(catalog, prompts, right) for _ in range(2))
    assert first is not None
    assert again is not None
    assert first.record == again.record


def test_who_draws_the_same_shirt_for_every_prompt_cannot_draw(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    same = [(prompt_id, right[0][1]) for prompt_id, _ in right]
    quality = judge_pictures(catalog, prompts, same)
    assert quality is not None
    assert quality.record["attributes"]["article"]["verdict"] == Gate.FAILED
    assert quality.record["article"] == pytest.approx(1 / 3, abs=0.01)
    assert quality.record["verdict"] == Gate.CANNOT_DRAW  # and not just often wrong
    found = quality.record["distance"]
    assert found["frechet"] > 3 * found["frechet_floor_high"]


def test_right_articles_in_wrong_colours_fail(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    turned = [(prompt_id, picture[..., [1, 2, 0]]) for prompt_id, picture in right]
    quality = judge_pictures(catalog, prompts, turned)
    assert quality is not None
    assert quality.record["attributes"]["article"]["verdict"] == Gate.PASSED
    assert quality.record["attributes"]["colour"]["verdict"] == Gate.FAILED
    assert quality.record["passed"] is False


def test_with_names_at_random_the_probe_judges(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    mixed = catalog.attributes.sample(frac=1, random_state=0).reset_index(drop=True)
    quality = judge_pictures(replace(catalog, attributes=mixed), prompts, right)
    assert quality is not None
    assert quality.record["attributes"]["article"]["verdict"] == Gate.UNJUDGED
    assert quality.record["article"] is None
    assert quality.record["verdict"] == quality.record["told"]["verdict"] == Gate.PASSED
    json.dumps(quality.record, allow_nan=False)


def test_with_few_pictures_of_each_kind_nobody_can_judge(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    few = catalog.rows(np.arange(0, len(catalog), 5))
    quality = judge_pictures(few, prompts, right)
    assert quality is not None
    assert quality.record["attributes"]["article"]["verdict"] == Gate.UNJUDGED
    assert quality.record["attributes"]["article"]["judge"] is None
    assert set(quality.pictures["attribute"]) == {"prompt"}


def test_a_picture_that_the_judge_is_not_sure_of_does_not_help(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right wherever it is answered, but seldom answered: that must not pass."""
    trained = gate.train

    class Shy:
        def __init__(self, judge: object) -> None:
            self.judge = judge

        def __getattr__(self, name: str) -> object:
            return getattr(self.judge, name)

        def __call__(self, features: np.ndarray) -> object:
            said = self.judge(features)
            return replace(said, answered=np.arange(len(features)) % 2 == 0)

    monkeypatch.setattr(gate, "train", lambda *given: Shy(trained(*given)))
    quality = judge_pictures(catalog, prompts, right)
    assert quality is not None
    article = quality.record["attributes"]["article"]
    assert article["right"] > 0.9
    assert (article["answered"], article["verdict"]) == (0.5, Gate.FAILED)


def test_copies_are_no_evidence(catalog: Catalog, prompts: pd.DataFrame, right: Pictures) -> None:
    """A judge that has seen a byte-identical photo would recognise it."""
    first = catalog.rows(np.arange(0, len(catalog), EACH))  # one photo of each kind
    ids = tuple(f"{i}-{n}" for i in first.ids for n in range(EACH))
    copies = Catalog(
        name="copies",
        ids=ids,
        captions=tuple(c for c in first.captions for _ in range(EACH)),
        hashes=tuple(h for h in first.hashes for _ in range(EACH)),
        read=lambda image_id: first.read(image_id.rpartition("-")[0]),
        attributes=first.attributes.loc[first.attributes.index.repeat(EACH)].reset_index(drop=True),
    )
    quality = judge_pictures(copies, prompts, right)
    assert quality is not None
    assert quality.record["attributes"]["article"]["verdict"] == Gate.UNJUDGED
    assert quality.record["told"]["photos"] == len(first)


def test_without_attributes_real_pictures_pass(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    quality = judge_pictures(bare(catalog), prompts, right)
    assert quality is not None
    told = quality.record["told"]
    assert quality.record["verdict"] == told["verdict"] == Gate.PASSED
    assert told["right"] > 0.95 and told["real_right"] > 0.95 and told["p"] < 0.001
    assert told["low"] < told["reach"] < told["high"]
    assert (told["prompts"], told["pictures"], told["photos"]) == (12, 24, 120)
    assert quality.record["attributes"] == {} and "100%" not in quality.record["summary"][:20]
    assert (quality.pictures["seen"] == quality.pictures["asked"]).mean() > 0.8
    json.dumps(quality.record, allow_nan=False)


def bare(catalog: Catalog) -> Catalog:
    return replace(catalog, attributes=catalog.attributes[["n"]])


@pytest.mark.parametrize("kind", ["grey", "noise", "blobs", "shuffled"])
def test_without_attributes_pictures_of_nothing_cannot_draw(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures, kind: str
) -> None:
    random = np.random.default_rng(3)
    pictures: Pictures = []
    for number, (prompt_id, picture) in enumerate(right):
        blob = cv2.GaussianBlur(random.integers(0, 256, picture.shape, np.uint8), (0, 0), 5)
        drawn = {
            "grey": np.full_like(picture, 128),
            "noise": random.integers(0, 256, picture.shape, np.uint8),
            "blobs": blob,
            "shuffled": right[(number + 10) % len(right)][1],  # right, and of other prompts
        }
        pictures.append((prompt_id, drawn[kind]))
    quality = judge_pictures(bare(catalog), prompts, pictures)
    assert quality is not None
    assert quality.record["verdict"] == Gate.CANNOT_DRAW
    assert quality.record["told"]["right"] < 0.65


def test_few_prompts_cannot_be_told_apart(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    """Of three prompts one order in six is right by chance, whatever the pictures."""
    for few, pictures in ((3, right), (2, right[:4]), (1, right[:2])):
        quality = judge_pictures(bare(catalog), prompts.head(few), pictures[: 2 * few])
        assert quality is not None
        assert quality.record["verdict"] == Gate.UNJUDGED
        json.dumps(quality.record, allow_nan=False)


def test_a_prompt_without_a_known_word_is_left_out(
    catalog: Catalog, prompts: pd.DataFrame, right: Pictures
) -> None:
    odd = pd.concat([prompts, prompts.head(1).assign(prompt_id="odd", prompt="zyzzyva")])
    quality = judge_pictures(bare(catalog), odd, [*right, ("odd", right[0][1])])
    assert quality is not None
    assert quality.record["told"]["prompts"] == len(prompts)


def test_the_order_of_prompts_is_tested_exactly_where_they_are_few() -> None:
    assert order_p(np.eye(4)) == pytest.approx(1 / 24)
    assert order_p(np.ones((8, 8))) == 1.0
    assert order_p(np.eye(8)) < 0.001


def test_the_spread_of_chance_is_that_of_the_shares_of_other_orders() -> None:
    """Of two prompts, pictures are right in one order and wrong in the other: 0 or 1."""
    right = [np.array([[1.0, 0.0]] * 3), np.array([[0.0, 1.0]] * 3)]
    assert order_spread(right) == pytest.approx(0.5, abs=0.02)
    assert order_spread([np.ones((2, 6))] * 6) == 0.0
    random = np.random.default_rng(0)
    few, many = (order_spread(list(random.normal(size=(n, 5, n)))) for n in (6, 40))
    assert few > 3 * many


def test_chance_is_chance_and_the_interval_holds_it() -> None:
    """Pictures that fit no prompt better than another: about 95 % of intervals hold zero."""
    random, inside, found = np.random.default_rng(0), 0, []
    real = np.full((10, 10), 0.9)
    np.fill_diagonal(real, np.nan)
    for _ in range(200):
        scores = random.normal(size=(10, 5, 10))
        reach, low, high = reached(_pairs_right(list(scores)), real)
        inside += low <= 0 <= high
        found.append(reach)
    assert inside >= 184  # two standard deviations below 190
    assert np.mean(found) == pytest.approx(0, abs=0.02)

"""Attribution of queries, and of pictures of any size, by several methods side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import untrain
from untrain.api import Attribution
from untrain.attribution.attribute import attribute_all
from untrain.attribution.base import Attributor, Evidence, Scores
from untrain.attribution.calibration import Calibration
from untrain.attribution.pictures import picture_queries
from untrain.catalogs import Catalog, rendered
from untrain.core.errors import InputError
from untrain.generators.base import Generations, Generator, Noise, Progress
from untrain.generators.queries import Queries


class Means(Generator):
    """Sees of a picture its mean colour alone."""

    image_size = (16, 16)
    noise = Noise("gaussian", (3,))
    version = "1"

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Progress
    ) -> None: ...

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        raise NotImplementedError

    def encode(self, images: np.ndarray) -> np.ndarray:
        return images.mean((1, 2)).astype(np.float32)

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> Self:
        return self


class Colour(Attributor):
    """Minus the distance of mean colours: a method that looks at the model and its samples."""

    kind = "fake"
    needs = ("model",)

    def __init__(self, name: str = "colour", sign: float = -1.0) -> None:
        self.name, self.sign = name, sign

    def scores(self, evidence: Evidence) -> Scores:
        assert evidence.model is not None and evidence.queries.samples is not None
        own = evidence.model.encode(evidence.catalog.pixels((16, 16)))
        rows = [
            self.sign * np.abs(own - evidence.queries.of(p).samples.mean(0)).sum(1)  # type: ignore[union-attr]
            for p in evidence.prompt_ids
        ]
        return Scores(np.stack(rows), 0.1)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=6, size_of_family=3, resolution=16)


def asked(catalog: Catalog, *image_ids: str) -> dict[str, np.ndarray]:
    return {image_id: np.asarray(catalog.image(image_id)) for image_id in image_ids}


def test_a_training_image_stands_on_itself(catalog: Catalog) -> None:
    pictures = asked(catalog, "000004", "000011")
    found = untrain.attribute(Means(), catalog, pictures, Colour(), prompts="a hat", top=3)
    assert isinstance(found, Attribution)
    assert found.top(1) == {"000004": ["000004"], "000011": ["000011"]}
    assert found.scores.shape == (2, 18) and found.scores.dtype == np.float32
    table = found.table
    assert table["rank"].tolist() == [1, 2, 3] * 2
    assert table["image_id"][0] == "000004" and table["score"][0] == 0
    assert table["caption"][0] == catalog.captions[4]
    assert table["score"].is_monotonic_decreasing or table["prompt_id"].nunique() > 1
    assert [note.code for note in found.notes] == ["uncalibrated"]
    assert "2 queries to 18 images by colour (uncalibrated)" in repr(found)
    assert "<figure" in found._repr_html_()


def test_pictures_come_as_files_arrays_or_images(catalog: Catalog, tmp_path: Path) -> None:
    picture = catalog.image("000004")
    picture.save(tmp_path / "own.png")
    by_each = [tmp_path / "own.png", str(tmp_path / "own.png"), picture, np.asarray(picture)]
    tops = []
    for one in by_each:
        found = untrain.attribute(Means(), catalog, [one], Colour(), prompts=["x"])
        tops.append(list(found.top(5).values()))
    assert all(top == tops[0] for top in tops)
    found = untrain.attribute(Means(), catalog, by_each[:1], Colour())
    assert found.found.prompts["prompt_id"].tolist() == ["own"]


def test_a_picture_of_another_size_is_resized_and_told(catalog: Catalog) -> None:
    large = Image.fromarray(np.asarray(catalog.image("000004"))).resize((48, 48))
    queries, notes = picture_queries(Means(), {"big": np.asarray(large)}, {}, "pad")
    assert queries.pictures[0].shape == (16, 16, 3)
    assert queries.samples is not None and queries.samples.shape == (1, 3)
    assert [note.code for note in notes] == ["picture-resized", "picture-without-prompt"]
    assert "big" in notes[0].text and "16 × 16" in notes[0].text
    wide = np.full((16, 32, 3), 0, np.uint8)
    assert picture_queries(Means(), {"w": wide}, {}, "pad")[0].pictures[0][0, 0, 0] == 255
    assert picture_queries(Means(), {"w": wide}, {}, "stretch")[0].pictures[0].max() == 0


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ({}, "no picture"),
        ({"a": np.zeros((16, 16, 2), np.uint8)}, "picture a: expected a picture"),
        ({"a": np.full((16, 16, 3), 7.5)}, "picture a: expected a picture.*float64"),
        ({"a": "nowhere.png"}, "nowhere.png does not exist"),
    ],
)
def test_what_is_no_picture_is_refused(pictures: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        picture_queries(Means(), pictures, {})


def test_a_further_method_stands_beside_the_first(catalog: Catalog) -> None:
    pictures = asked(catalog, "000004")
    both = [Colour(), Colour("opposite", 1.0)]
    found = untrain.attribute(Means(), catalog, pictures, both, top=4).found
    assert found.methods == ["colour", "opposite"]
    assert found.agreement["opposite", "000004"].rank_correlation == pytest.approx(-1)
    first, last = found.places("colour", "000004"), found.places("opposite", "000004")
    assert first.min() == 1 and (first + last == 19).mean() > 0.7  # but for equal scores
    told = found.to_dict()
    assert told["queries"][0]["methods"][1]["agreement"]["both"] == 0
    assert len(told["queries"][0]["methods"][0]["hits"]) == 4


def test_a_calibration_says_what_removals_cost(catalog: Catalog, tmp_path: Path) -> None:
    about = {"runs": [{"name": "r", "key": "k", "catalog": "c", "recipe": "x"}]}
    linear = ((0.0, 0.0), (1.0, 2.0))
    calibration = Calibration(
        "colour", "dissimilarity", "similarity", "linear", linear, 0.5, 0.0, 2.0, 0.95, about
    )
    calibration.save(tmp_path / "c.json")
    pictures = asked(catalog, "000004")
    found = untrain.attribute(
        Means(), catalog, pictures, [Colour("colour", 1.0), Colour("other")],
        prompts="x", top=2, calibration=tmp_path / "c.json",
    )  # fmt: skip
    own = found.table[found.table["method"] == "colour"]
    assert (own["effect"] == 2 * own["score"]).all()
    assert (own["high"] - own["low"] == 2).all()
    removal = found.removals.set_index("method")
    assert removal.loc["colour", "effect"] == pytest.approx(2 * own["score"].sum())
    assert removal.loc["other", ["effect", "low"]].isna().all()
    codes = {note.code for note in found.notes}
    assert codes == {"calibration-of-other-recipe", "calibration-of-other-catalog"}
    with pytest.raises(InputError, match="the calibration is of colour"):
        untrain.attribute(Means(), catalog, pictures, Colour("b"), calibration=calibration)


def test_files_hold_the_same_and_can_be_scores_of_a_ranking(
    catalog: Catalog, tmp_path: Path
) -> None:
    pictures = asked(catalog, "000004", "000005")
    found = untrain.attribute(Means(), catalog, pictures, Colour(), top=0, prompts=["a", "b"])
    assert len(found.table) == 36
    for name in ("t.csv", "t.parquet", "t.json", "t.html"):
        found.save(tmp_path / name)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), found.table)
    page = (tmp_path / "t.html").read_text()
    assert "data:image/" in page and "By colour" in page and "uncalibrated" in page
    with pytest.raises(InputError, match="expected a name ending"):
        found.save(tmp_path / "t.xlsx")
    keys = (("p0", 0), ("p1", 0))
    queries = Queries(keys, {"p0": "a", "p1": "b"}, list(pictures.values()))
    prompts = pd.DataFrame({"prompt_id": ["p0", "p1"], "prompt": ["a", "b"], "family": ""})
    own = found.table.replace({"prompt_id": {"000004": "p0", "000005": "p1"}})
    own.to_parquet(tmp_path / "own.parquet")
    evidence = Evidence(catalog, queries, prompts)
    again = attribute_all(evidence, [f"scores:{tmp_path / 'own.parquet'}"])
    np.testing.assert_array_equal(again.values[again.methods[0]], found.scores)


def test_what_cannot_be_is_said(catalog: Catalog) -> None:
    pictures = asked(catalog, "000004")
    with pytest.raises(InputError, match="cannot be used: there is no fitted model that gives"):
        untrain.attribute(Means(), catalog, pictures, "dtrak")
    with pytest.raises(InputError, match="did you mean 'fusion'"):
        untrain.attribute(Means(), catalog, pictures, "fusoin")
    with pytest.raises(InputError, match="given twice"):
        untrain.attribute(Means(), catalog, pictures, [Colour(), Colour()])
    with pytest.raises(InputError, match="no method was named"):
        untrain.attribute(Means(), catalog, pictures, [])
    with pytest.raises(InputError, match="2 prompts were given for 1 pictures"):
        untrain.attribute(Means(), catalog, pictures, Colour(), prompts=["a", "b"])
    with pytest.raises(InputError, match="needs its catalogue"):
        untrain.attribute(Means())
    with pytest.raises(InputError, match="no scores of b"):
        untrain.attribute(Means(), catalog, pictures, Colour()).of("b")

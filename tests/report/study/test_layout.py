"""A run in the study's layout reads as the study's own: names, columns, numbers, order."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial import distance
from scipy.stats import entropy
from skimage.metrics import structural_similarity

from tests.helpers.places import SHARED
from tests.helpers.reports import PROMPTS
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.text import is_file_name
from untrain.encoders.layout import LayoutEncoder
from untrain.report.study import layout as study_layout
from untrain.report.study.layout import _file_name, export_study, unique_folder_names
from untrain.search.compare.comparison import compare
from untrain.search.rank.rules import STUDY_WEIGHTS, study_score

SEED_DATA = SHARED / "data" / "seed"
QUERIES = ("p00", "p01", "p02")
RAW = "Image1,Image2,MSE,MAE,Cross_Correlation,Histogram_Comparison,Cosine_Similarity,SSIM"
EMBEDDING = "Image,Cosine Similarity,MSE,KL-Div,Manhattan Distance,Minkowski Distance"
FOLDERS = {
    "p00": "red_round-neck_shirt_with_white_stripes",
    "p01": "blue_handbag___with__b_gold__b__buckle",
    "p02": "green_running_shoes",
}


def read_pictures(folder: Path, names: list[str]) -> list[np.ndarray]:
    pictures = []
    for name in names:
        with Image.open(folder / name) as image:
            pictures.append(np.asarray(image.convert("RGB")))
    return pictures


@pytest.fixture
def catalog(run: Path) -> Catalog:
    """The training images of the invented run: PNG, and of p01 JPEG in another size."""
    data = {}
    for path in sorted((run / "thumbnails").glob("*.png")):
        data[path.stem] = path.read_bytes()
        if path.stem.startswith("p01"):
            buffer = BytesIO()
            with Image.open(path) as image:
                image.resize((41, 30)).save(buffer, "JPEG")
            data[path.stem] = buffer.getvalue()
    ids = tuple(data)
    attributes = pd.DataFrame(index=range(len(ids)))
    return Catalog("invented", ids, ids, ids, data.__getitem__, attributes)


@pytest.fixture
def finished(run: Path, catalog: Catalog) -> Path:
    """The invented run with what the layout is made of."""
    ids = {p: [i for i in catalog.ids if i.startswith(p)] for p in PROMPTS}
    encoder = LayoutEncoder()
    tables = []
    for p, own in ids.items():
        generated = read_pictures(run / "queries" / p, [f"{k}.png" for k in range(5)])
        candidates = [np.asarray(catalog.image(i)) for i in own]
        features = encoder.encode(generated), encoder.encode(candidates)
        tables.append(compare(p, generated, own, candidates, *features))
    pd.concat(tables, ignore_index=True).to_parquet(run / "comparison.parquet")
    _add_cosines(run)
    meta = json.loads((run / "run.json").read_text())
    meta["stages"] = {name: {"state": "done"} for name in study_layout.NEEDED}
    meta["fingerprints"] = {"catalog": catalog.fingerprint}
    (run / "run.json").write_text(json.dumps(meta))
    return run


def _add_cosines(run: Path) -> None:
    measures = pd.read_parquet(run / "results" / "measures.parquet")
    # The model's number and the generation can be read off the value.
    cosines = [
        (model, p, k, "reference_cosine", 0.5 + 0.1 * i + 0.01 * k)
        for i, model in enumerate(("A", "B00", "B01", "B02", "B03"))
        for p in PROMPTS
        for k in range(5)
    ]
    more = pd.DataFrame(cosines, columns=measures.columns)
    pd.concat([measures, more]).to_parquet(run / "results" / "measures.parquet")


@pytest.fixture
def written(finished: Path, catalog: Catalog, tmp_path: Path) -> Path:
    """The folder exported."""
    assert export_study(finished, catalog, LayoutEncoder(), tmp_path / "out") == 3
    return tmp_path / "out"


def test_folders_and_files(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {
        *("README.txt", "folders.csv", "descriptions_1.txt", "merged_images"),
        *("outputs_reference_1", "outputs_before_1", "outputs_after_1", "outputs_control_1"),
        "metrics_after_unlearning",
    }
    merged = written / "merged_images"
    assert {path.name for path in merged.iterdir()} == {
        *FOLDERS.values(),
        "all_selected_images.txt",
    }
    tables = {
        f"{name}{k}.csv" for name in ("raw_comparison", "similarities_gen_image") for k in range(5)
    }
    pictures = {f"{k}.png" for k in range(5)} | {f"p02-{n:04d}.jpg" for n in range(12)}
    inside = {path.name for path in (merged / FOLDERS["p02"]).iterdir()}
    assert inside == tables | pictures | {"caption.txt"}
    assert (merged / FOLDERS["p01"] / "caption.txt").read_text() == PROMPTS["p01"][0]
    prompts = (written / "descriptions_1.txt").read_text().splitlines()
    assert prompts == [PROMPTS[p][0] for p in QUERIES]


def test_retrieved_images_keep_their_bytes(written: Path, catalog: Catalog) -> None:
    for p in QUERIES:
        for path in (written / "merged_images" / FOLDERS[p]).glob("*.jpg"):
            assert path.read_bytes() == catalog.read(path.stem)


@pytest.mark.parametrize("prompt_id", ["p00", "p01"])
def test_tables_are_those_of_the_pictures_beside_them(written: Path, prompt_id: str) -> None:
    """As the study computes them: every image of the folder against the generated one."""
    folder = written / "merged_images" / FOLDERS[prompt_id]
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
    pictures = dict(zip(names, read_pictures(folder, names), strict=True))
    sizes = np.array([picture.shape[1::-1] for picture in pictures.values()])
    size = tuple(int(side) for side in sizes.mean(axis=0).astype(int))
    if prompt_id == "p01":
        assert size != (32, 32)
    resized = {name: cv2.resize(picture, size)[..., ::-1] for name, picture in pictures.items()}
    features = dict(zip(names, LayoutEncoder().encode(list(pictures.values())), strict=True))
    for k in range(5):
        mine = f"{k}.png"
        raw = pd.read_csv(folder / f"raw_comparison{k}.csv")
        assert ",".join(raw.columns) == RAW
        assert set(raw["Image1"]) == {mine}
        assert sorted(raw["Image2"]) == [name for name in names if name != mine]
        assert raw["SSIM"].is_monotonic_decreasing
        for row in raw.to_dict("records"):
            expected = pixel_metrics_of(resized[mine], resized[row["Image2"]])
            np.testing.assert_allclose(list(row.values())[2:], expected, rtol=1e-6, atol=1e-9)
        embedding = pd.read_csv(folder / f"similarities_gen_image{k}.csv")
        assert ",".join(embedding.columns) == EMBEDDING
        assert sorted(embedding["Image"]) == sorted(raw["Image2"])
        assert embedding["Cosine Similarity"].is_monotonic_decreasing
        for row in embedding.to_dict("records"):
            expected = feature_metrics_of(features[mine], features[row["Image"]])
            np.testing.assert_allclose(list(row.values())[1:], expected, rtol=1e-6, atol=1e-9)


def pixel_metrics_of(a: np.ndarray, b: np.ndarray) -> list[float]:
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    x, y = a.astype(float), b.astype(float)
    bins = [0, 1, 2], None, [8, 8, 8], [0, 256] * 3
    histograms = [cv2.calcHist([picture], *bins).ravel() for picture in (a, b)]
    grey = cv2.cvtColor(cv2.subtract(a, b), cv2.COLOR_BGR2GRAY)
    return [
        ((x - y) ** 2).sum() / (x.shape[0] * x.shape[1]),
        np.abs(x - y).mean(),
        ((x - x.mean()) * (y - y.mean())).sum() / x.size,
        cv2.compareHist(histograms[0], histograms[1], cv2.HISTCMP_CORREL),
        1 - distance.cosine(x.ravel(), y.ravel()),
        structural_similarity(grey, np.zeros_like(grey)),
    ]


def feature_metrics_of(e: np.ndarray, f: np.ndarray) -> list[float]:
    e, f = e.astype(float), f.astype(float)
    # Σ e·log(e / f) by scipy's entropy, which normalises its arguments first.
    floor = np.maximum(f, 1e-10)
    divergence = e.sum() * (entropy(e, floor) + np.log(e.sum() / floor.sum()))
    return [
        1 - distance.cosine(e, f),
        np.mean((e - f) ** 2),
        divergence,
        distance.cityblock(e, f),
        distance.minkowski(e, f, 2),
    ]


def test_reading_the_tables_as_the_study_gives_the_study_score(
    written: Path, finished: Path
) -> None:
    columns = ["MSE_x", "MAE", "Cosine_Similarity", "SSIM", "Cosine Similarity", "MSE_y"]
    columns += ["KL-Div", "Manhattan Distance", "Minkowski Distance"]
    folder = written / "merged_images" / FOLDERS["p00"]
    scores = []
    for k in range(5):
        raw = pd.read_csv(folder / f"raw_comparison{k}.csv")
        embedding = pd.read_csv(folder / f"similarities_gen_image{k}.csv")
        both = raw.merge(embedding, left_on="Image2", right_on="Image")
        assert len(both) == 12 + 4
        scores.append(
            (both[columns] * list(STUDY_WEIGHTS.values())).sum(axis=1).set_axis(both["Image2"])
        )
    mean = pd.concat(scores).groupby(level=0).mean()
    mean = mean[~mean.index.str.endswith(".png")]
    ours = study_score(pd.read_parquet(finished / "comparison.parquet")).loc["p00"]
    np.testing.assert_allclose(mean, ours.loc[mean.index.str.removesuffix(".jpg")], rtol=1e-9)


def test_selected_images_are_the_targeted_sets_most_similar_last(written: Path) -> None:
    lines = (written / "merged_images" / "all_selected_images.txt").read_text().splitlines()
    assert lines == [f"{p}-{rank:04d}.jpg" for p in QUERIES for rank in reversed(range(10))]


def test_copies_without_a_rank_are_selected_too(
    finished: Path, catalog: Catalog, tmp_path: Path
) -> None:
    sets = pd.read_parquet(finished / "forget_sets.parquet")
    sets.loc[sets["image_id"] == "p00-0003", "rank"] = np.nan
    sets.to_parquet(finished / "forget_sets.parquet")
    export_study(finished, catalog, LayoutEncoder(), tmp_path / "out")
    lines = (tmp_path / "out/merged_images/all_selected_images.txt").read_text().splitlines()
    assert lines[:3] == ["p00-0003.jpg", "p00-0009.jpg", "p00-0008.jpg"]
    assert lines[9] == "p00-0000.jpg"


def test_pictures_before_and_after(written: Path, finished: Path) -> None:
    models = pd.read_csv(written / "folders.csv").set_index("prompt_id")
    assert set(models["after_model"]) == {"B01"}  # the only one trained without the sets
    for p in QUERIES:
        control = finished / "generations" / str(models.loc[p, "control_model"])
        for when, source in (
            ("before", finished / "queries"),
            ("after", finished / "generations" / "B01"),
            ("control", control),
        ):
            folder = written / f"outputs_{when}_1" / FOLDERS[p]
            assert sorted(path.name for path in folder.iterdir()) == [f"{k}.png" for k in range(5)]
            for path in folder.iterdir():
                assert path.read_bytes() == (source / p / path.name).read_bytes()
        reference = written / "outputs_reference_1" / FOLDERS[p]
        assert [path.name for path in reference.iterdir()] == ["0.png"]
        original = finished / "queries" / p / "reference.png"
        assert (reference / "0.png").read_bytes() == original.read_bytes()


def test_before_after_design_shows_full_and_targeted(
    finished: Path, catalog: Catalog, tmp_path: Path
) -> None:
    names = {"B00": "random", "B01": "targeted", "B02": "reseed", "B03": "full"}
    for name in ("models", "removals", "results/measures"):
        path = finished / f"{name}.parquet"
        pd.read_parquet(path).replace({"model_id": names}).to_parquet(path)
    models = pd.read_parquet(finished / "models.parquet")
    models.loc[models["model_id"] == "reseed", "seed"] += 1
    models.to_parquet(finished / "models.parquet")
    removals = pd.read_parquet(finished / "removals.parquet")
    removals["model_id"] = removals["model_id"].replace("reseed", "random")  # what it lacks
    removals.to_parquet(finished / "removals.parquet")
    for old, new in names.items():
        (finished / "generations" / old).rename(finished / "generations" / new)
    export_study(finished, catalog, LayoutEncoder(), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "folders.csv")
    assert set(table["control_model"]) == {"full"}
    assert set(table["after_model"]) == {"targeted"}


def test_result_table(written: Path) -> None:
    folder = written / "metrics_after_unlearning"
    lines = (folder / "similarity_results__1.csv").read_text().splitlines()
    assert lines[0] == "Folder,Mean_1,Min_1,Max_1,Mean_2,Min_2,Max_2"
    assert len(lines) == 1 + 3 + 1
    assert lines[-1].startswith(",")
    before, after = [0.52, 0.50, 0.54], [0.72, 0.70, 0.74]  # A and B01: 0.5 and 0.7, plus 0–0.04
    table = pd.read_csv(folder / "similarity_results__1.csv")
    assert list(table["Folder"])[:3] == list(FOLDERS.values())
    for row in table.to_numpy()[:, 1:]:
        np.testing.assert_allclose(row.astype(float), [*before, *after])
    control = pd.read_csv(folder / "similarity_results_control__1.csv")
    np.testing.assert_allclose(control.iloc[0, 1:].astype(float), [0.62, 0.60, 0.64, *after])


def test_number_of_the_prompt_set(finished: Path, catalog: Catalog, tmp_path: Path) -> None:
    config = {"prompts": {"file": "prompts/descriptions_7.txt"}, "ranking": {"method": "study"}}
    (finished / "config.yaml").write_text(yaml.safe_dump(config))
    export_study(finished, catalog, LayoutEncoder(), tmp_path / "out")
    assert (tmp_path / "out/metrics_after_unlearning/similarity_results__7.csv").is_file()
    assert (tmp_path / "out/outputs_after_7").is_dir()
    assert '"study" of the run' in (tmp_path / "out/README.txt").read_text()


def test_prompts_that_share_their_first_hundred_characters() -> None:
    long = "a " * 60
    same = [long + "red", long + "blue", (long + "x").upper()]
    cut = ("a_" * 60)[:100]
    assert unique_folder_names(same) == [cut, cut[:98] + "_2", cut[:98].upper() + "_3"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=8))
def test_folder_names_are_different_and_safe(prompts: list[str]) -> None:
    names = unique_folder_names(prompts)
    assert len({name.casefold() for name in names}) == len(prompts)
    for name in names:
        assert Path(name).name == name
        assert len(name) <= 100
        assert len(name.encode()) <= 255
        assert not name.startswith(".")


def test_folder_names_are_the_published_ones() -> None:
    if not SEED_DATA.is_dir():
        pytest.skip("the study's prompts and tables are not beside the checkout")
    same, different = 0, 0
    for n in range(1, 11):
        text = (SEED_DATA / "descriptions" / f"descriptions_{n}.txt").read_text(encoding="utf-8")
        table = SEED_DATA / "metrics_after_unlearning" / f"similarity_results__{n}.csv"
        published = set(pd.read_csv(table)["Folder"].dropna())
        names = unique_folder_names([line.strip() for line in text.splitlines() if line.strip()])
        same += len(published & set(names))
        different += len(published - set(names))
    # Of the five others the published name lacks a word of the prompt, or has _ for a hyphen.
    assert (same, different) == (139, 5)


@pytest.mark.parametrize("name", study_layout.NEEDED)
def test_an_unfinished_run_is_refused(finished: Path, catalog: Catalog, name: str) -> None:
    meta = json.loads((finished / "run.json").read_text())
    meta["stages"][name]["state"] = "running"
    (finished / "run.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match=f"stage '{name}' is not done"):
        export_study(finished, catalog, LayoutEncoder(), finished / "out")
    assert not (finished / "out").exists()


def test_another_catalogue_is_refused(finished: Path, catalog: Catalog) -> None:
    with pytest.raises(InputError, match="the data has changed since this run"):
        export_study(finished, catalog.subset(catalog.ids[1:]), LayoutEncoder(), finished / "out")


def test_a_run_without_targeted_sets_is_refused(finished: Path, catalog: Catalog) -> None:
    sets = pd.read_parquet(finished / "forget_sets.parquet")
    sets[sets["arm"] != "targeted"].to_parquet(finished / "forget_sets.parquet")
    with pytest.raises(InputError, match="no pictures after removal"):
        export_study(finished, catalog, LayoutEncoder(), finished / "out")


def test_a_run_that_lacks_a_picture_is_refused(finished: Path, catalog: Catalog) -> None:
    (finished / "queries/p01/reference.png").unlink()
    with pytest.raises(InputError, match=r"reference.png is missing"):
        export_study(finished, catalog, LayoutEncoder(), finished / "out")
    assert not list(finished.glob("*out*"))


@pytest.mark.parametrize("image_id", ["../0", "/tmp/a", "a\0", 300 * "w"])
def test_a_file_stays_in_its_folder_whatever_its_id(image_id: str) -> None:
    assert is_file_name(_file_name(image_id))
    assert _file_name("p00-0000") == "p00-0000.jpg"


def test_a_full_folder_is_refused(finished: Path, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        export_study(finished, catalog, LayoutEncoder(), tmp_path)


def test_nothing_is_left_by_a_full_disk(
    finished: Path, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(study_layout, "_write_results", full)
    with pytest.raises(OSError, match="No space"):
        export_study(finished, catalog, LayoutEncoder(), tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_on_the_command_line(
    micro_copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from untrain.cli import app

    monkeypatch.chdir(tmp_path)
    run = micro_copy()
    said = CliRunner().invoke(app, ["export", "--layout", "study", str(run), "out"])
    assert said.exit_code == 0, said.output
    assert "4 prompts in the study's layout: out" in said.output
    table = pd.read_csv("out/metrics_after_unlearning/similarity_results__1.csv")
    naive = pd.read_csv(run / "results" / "similarity_results_naive.csv")
    pd.testing.assert_frame_equal(table.iloc[:, :4], naive.iloc[:, :4])  # A's pictures: all as is
    said = CliRunner().invoke(app, ["export", "--layout", "study", "--model", "B01", str(run), "b"])
    assert isinstance(said.exception, InputError)
    assert not Path("b").exists()

"""The run folder is a contract: its files, columns and record, wherever it is moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.helpers.folders import record, rewind
from tests.helpers.runs import run
from untrain.core.errors import InputError
from untrain.core.files import write_json, write_text
from untrain.core.marks import MARKER
from untrain.core.tables import EFFECTS
from untrain.experiment.pipeline import NAMES, run_stages
from untrain.runs.run import open_run
from untrain.settings.config import Config

PAIR_METRICS = [
    *("pixel_mse", "pixel_mae", "pixel_cross_correlation", "pixel_histogram", "pixel_cosine"),
    *("pixel_ssim", "pixel_ssim_standard", "pixel_phash", "pixel_histogram_intersection"),
    *("feature_cosine", "feature_mse", "feature_kl", "feature_manhattan", "feature_minkowski"),
    "text_tfidf",
]
TABLES = {
    "retrieval": ["prompt_id", "image_id", "rank", "score"],
    "comparison": ["prompt_id", "generation", "image_id", *PAIR_METRICS],
    "copies": [
        *("prompt_id", "generation", "image_id", "distance", "ratio", "p_value", "agreement"),
        *("difference", "near_copy"),
    ],
    "ranking": ["method", "prompt_id", "image_id", "score", "rank"],
    "forget_sets": [
        *("forget_set_id", "arm", "prompt_id", "draw", "k", "image_id", "rank", "reason")
    ],
    "models": ["model_id", "seed", "fingerprint", "path"],
    "removals": ["model_id", "forget_set_id"],
    "results/measures": ["model_id", "prompt_id", "generation", "measure", "value"],
}
PROMPTS, GENERATIONS, MODELS = 6, 2, 4


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_exactly_their_columns(micro_run: Path, name: str) -> None:
    table = pd.read_parquet(micro_run / f"{name}.parquet")
    assert list(table.columns) == TABLES[name]
    assert len(table)


def test_effects_have_their_columns(micro_run: Path) -> None:
    effects = pd.read_parquet(micro_run / "results/effects.parquet")
    assert list(effects.columns) == EFFECTS.names
    assert effects["prompt_id"].isna().any()
    assert {"randomised", "naive"} <= set(effects["design"])


def test_text_files(micro_run: Path) -> None:
    prompts = pd.read_csv(micro_run / "prompts.csv")
    assert list(prompts.columns[:2]) == ["prompt_id", "prompt"]
    assert len(prompts) == PROMPTS
    study = pd.read_csv(micro_run / "results/similarity_results.csv")
    columns = ["Folder", "Mean_1", "Min_1", "Max_1", "Mean_2", "Min_2", "Max_2"]
    assert list(study.columns) == columns
    for name in ("config.yaml", "results/summary.json", "results/summary.md", "report.html"):
        assert (micro_run / name).stat().st_size > 0


def test_pictures_and_tokens(micro_run: Path) -> None:
    tokens = load_file(micro_run / "queries.safetensors")
    prompts = list(pd.read_csv(micro_run / "prompts.csv")["prompt_id"])
    names = [*map(str, range(GENERATIONS)), "reference"]
    assert set(tokens) == {f"{p}/{name}" for p in prompts for name in names}
    assert {array.shape for array in tokens.values()} == {(4,)}
    for key in tokens:
        with Image.open(micro_run / "queries" / f"{key}.png") as image:
            assert image.size == (16, 16)
    drawn = {str(p.relative_to(micro_run)) for p in micro_run.glob("generations/*/*/*.png")}
    models = [f"B{m:02d}" for m in range(MODELS)]
    assert drawn == {
        f"generations/{m}/{p}/{g}.png" for m in models for p in prompts for g in range(GENERATIONS)
    }


def test_models_are_safetensors_and_json(micro_run: Path) -> None:
    models = pd.read_parquet(micro_run / "models.parquet")
    assert list(models["model_id"]) == ["A", "B00", "B01", "B02", "B03"]
    for row in models.itertuples():
        assert row.path == f"models/{row.fingerprint}"
        names = {path.name for path in (micro_run / row.path).iterdir()} - {MARKER}
        assert {Path(name).suffix for name in names} == {".safetensors", ".json"}


def test_record(micro_run: Path) -> None:
    content = record(micro_run)
    assert content["schema_version"] == 1
    assert {"untrain", "python", "torch", "numpy"} <= content["versions"].keys()
    assert {"platform", "processor", "cores", "device"} <= content["machine"].keys()
    assert content["threads"] == {"model_a": 1, "paired_models": 1}
    assert content["seeds"] == {"a": 0, "b": 1000, "data": 0}
    assert len(content["fingerprints"]["catalog"]) == 16
    assert list(content["stages"]) == list(NAMES)
    for stage in content["stages"].values():
        assert stage["state"] == "done"
        assert stage["seconds"] >= 0


def test_nothing_half_written_is_left(micro_run: Path) -> None:
    assert not list(micro_run.rglob("*tmp"))


def test_forget_sets_are_disjoint_and_out_in_half_of_the_models(micro_run: Path) -> None:
    sets = pd.read_parquet(micro_run / "forget_sets.parquet")
    assert not sets["image_id"].duplicated().any()
    assert set(sets["arm"]) == {"targeted", "random_uniform", "random_candidate", "family"}
    removals = pd.read_parquet(micro_run / "removals.parquet")
    assert set(removals.value_counts("forget_set_id")) == {MODELS // 2}


def test_a_moved_run_folder_opens_and_continues(
    micro_copy: Callable[..., Path], tmp_path: Path, trained: list[str]
) -> None:
    copied = micro_copy()
    moved = Path(shutil.move(copied, tmp_path / "else where [1]"))
    opened = open_run(moved)
    assert opened.folder == moved
    assert len(opened.table("ranking"))
    run_stages(opened)
    assert not trained
    assert not copied.exists()


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run folder: it has no run\.json"):
        open_run(tmp_path)


def test_a_folder_of_another_schema_is_refused(micro_copy: Callable[..., Path]) -> None:
    folder = micro_copy()
    text = (folder / "run.json").read_text()
    write_text(folder / "run.json", text.replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(InputError, match=r"schema 99.*install that version"):
        run_stages(open_run(folder))


@pytest.mark.parametrize("name", ["queries/mine.txt", "config.yaml", ".notes.tmp", "run.json"])
def test_a_folder_that_is_not_a_runs_is_refused_and_left_alone(
    config: Callable[..., Config], name: str, trained: list[str]
) -> None:
    settings = config()
    (settings.folder / name).parent.mkdir(parents=True)
    (settings.folder / name).write_text("mine")
    with pytest.raises(InputError, match=r"is not the folder of a run and holds.*choose another"):
        run(settings)
    assert (settings.folder / name).read_text() == "mine"
    assert [p.name for p in settings.folder.iterdir()] == [name.partition("/")[0]]
    assert not trained


@pytest.mark.parametrize("name", ["queries/p00/mine.png", "generations/B00/mine.txt"])
def test_what_was_put_into_a_run_is_not_lost(micro_copy: Callable[..., Path], name: str) -> None:
    folder = micro_copy()
    rewind(folder, "generate")
    for path in ("queries", "generations"):
        assert not (folder / path).exists() or not any((folder / path).iterdir())
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("mine")
    (folder / ".notes.tmp").write_text("mine")
    with pytest.raises(InputError, match=r"did not write.*move it elsewhere"):
        run_stages(open_run(folder))
    assert (folder / name).read_text() == (folder / ".notes.tmp").read_text() == "mine"


def test_strange_pictures_beside_those_of_models_stay(micro_copy: Callable[..., Path]) -> None:
    folder = micro_copy()
    mine = folder / "generations" / "my-model" / "p00" / "0.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    rewind(folder, "evaluate")
    content = record(folder)
    content["stages"].pop("regenerate")
    write_json(folder / "run.json", content)
    run_stages(open_run(folder), "regenerate")
    assert mine.read_text() == "mine"

"""The commands do what they say, and print what other programs and people can read."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.helpers.commands import Untrain
from tests.helpers.settings import MICRO
from untrain.catalogs import from_folder
from untrain.core.errors import UntrainError
from untrain.experiment import pipeline
from untrain.experiment.pipeline import NAMES
from untrain.runs.run import open_run

Copy = Callable[..., Path]


def test_help_is_quick_and_names_every_stage(untrain: Untrain) -> None:
    said = untrain("--help")
    assert said.code == 0
    for name in (*NAMES, "demo", "run", "plan", "export", "data"):
        assert name in said.out


def test_run_prints_answer_table_and_report(untrain: Untrain, micro_copy: Copy) -> None:
    micro_copy()
    said = untrain("run", MICRO, "--set", "workers=1")
    assert said.code == 0
    assert "targeted" in said.out
    assert re.search(r"Report: runs/micro/report\.html$", said.out.strip())


def test_a_stage_says_where_its_results_are(untrain: Untrain, micro_copy: Copy) -> None:
    micro_copy()
    said = untrain("rank", MICRO, "--set", "workers=1", "--again")
    assert said.code == 0
    assert said.out == "rank: done, in runs/micro\n"
    assert "6/11 rank" in said.err


def test_quiet(untrain: Untrain, micro_copy: Copy) -> None:
    micro_copy()
    said = untrain("-q", "rank", MICRO, "--set", "workers=1", "--again")
    assert said.code == 0
    assert said.err == ""


def test_seed_name_and_runs_replace_the_files(
    untrain: Untrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run_stages(run: pipeline.Run, until: str, again: bool, _: object) -> Path:
        seen.append((run.config.seed, run.folder, until, again))
        return run.folder

    monkeypatch.setattr(pipeline, "run_stages", run_stages)
    untrain("fit", MICRO, "--seed", 9, "--name", "mine", "--runs", "there")
    assert seen == [(9, Path("there/mine"), "fit", False)]


def test_plan_says_trainings_time_and_disk(untrain: Untrain) -> None:
    said = untrain("plan", MICRO, "--set", "workers=1")
    assert said.code == 0
    for words in ("1 + 4, 1 at a time", "136 (8 held out)", "of training", "MB in runs/micro"):
        assert words in said.out
    assert "14, 48 images" in said.out  # 4 prompts × 3 arms × 3, and two families of six
    assert not Path("runs").exists()


def test_plan_counts_what_a_run_then_removes(untrain: Untrain, micro_run: Path) -> None:
    sets = pd.read_parquet(micro_run / "forget_sets.parquet")
    assert (sets["forget_set_id"].nunique(), len(sets)) == (14, 48)


def test_plan_refuses_a_disk_that_is_too_small(
    untrain: Untrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shutil import _ntuple_diskusage as usage

    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    said = untrain("plan", MICRO)
    assert said.code == 2
    assert "1 MB are free" in said.err


def test_export_round_trip(untrain: Untrain, micro_copy: Copy, tmp_path: Path) -> None:
    folder = micro_copy()
    said = untrain("export", folder, "retained")
    assert said.code == 0
    assert said.out == "124 pairs retained, 12 left out: retained\n"
    retained = from_folder("retained")
    whole = open_run(folder).catalog
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    targeted = set(sets[sets["arm"] == "targeted"]["image_id"])
    assert set(retained.ids) == set(whole.ids) - targeted
    assert retained.fingerprint == whole.subset(retained.ids).fingerprint


def test_export_of_what_a_model_was_trained_on(untrain: Untrain, micro_copy: Copy) -> None:
    folder = micro_copy()
    assert untrain("export", folder, "b", "--model", "B01").code == 0
    removals = pd.read_parquet(folder / "removals.parquet")
    out = removals[removals["model_id"] == "B01"]["forget_set_id"]
    sets = pd.read_parquet(folder / "forget_sets.parquet")
    removed = set(sets[sets["forget_set_id"].isin(out)]["image_id"])
    assert removed
    assert len(from_folder("b")) == 136 - len(removed)
    assert removed.isdisjoint(from_folder("b").ids)
    assert untrain("export", folder, "a", "--model", "A").code == 0
    assert len(from_folder("a")) == 136


def test_export_of_an_unknown_model(untrain: Untrain, micro_copy: Copy) -> None:
    said = untrain("export", micro_copy(), "out", "--model", "B1")
    assert said.code == 2
    assert "unknown model 'B1' — did you mean 'B01'?" in said.err
    assert not Path("out").exists()


def test_export_into_a_full_folder(untrain: Untrain, micro_copy: Copy) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    said = untrain("export", micro_copy(), "out")
    assert said.code == 2
    assert "exists and is not an empty folder" in said.err
    assert [p.name for p in Path("out").iterdir()] == ["mine.txt"]


def test_export_before_there_are_forget_sets(untrain: Untrain, micro_copy: Copy) -> None:
    folder = micro_copy()
    (folder / "forget_sets.parquet").unlink()
    said = untrain("export", folder, "out")
    assert said.code == 2
    assert "the stage 'remove' is not done" in said.err


def test_export_after_the_data_changed(
    untrain: Untrain, experiment: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert untrain("remove", experiment).code == 0
    before = {p.name: p.read_bytes() for p in photos.iterdir()}
    assert untrain("export", "runs/mine", "out").code == 0
    assert {p.name: p.read_bytes() for p in photos.iterdir()} == before
    (photos / "000003.txt").write_text("another caption")
    said = untrain("export", "runs/mine", "out2")
    assert said.code == 2
    assert "current configuration and data" in " ".join(said.err.split())


def test_export_onto_a_full_disk(
    untrain: Untrain, micro_copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/1.png")

    monkeypatch.setattr("untrain.catalogs.export._refuse_unsafe", full)
    said = untrain("export", micro_copy(), "out")
    assert said.code == 1
    assert "the disk is full" in said.err
    assert not list(Path().glob("*out*"))


def test_inspect_json(untrain: Untrain, photos: Path) -> None:
    said = untrain("data", "inspect", photos, "--json")
    assert said.code == 0
    summary = json.loads(said.out)
    assert summary["images"] == 32
    assert summary["sizes"]["common"] == {"16×16": 32}
    assert summary["fingerprint"] == from_folder(photos).fingerprint


def test_inspect_in_words_and_a_sheet(untrain: Untrain, photos: Path) -> None:
    said = untrain("data", "inspect", photos, "--sheet", "[sheet].png")
    assert said.code == 0
    assert "images: 32" in said.out
    assert "skipped: none" in said.out
    assert "contact sheet: [sheet].png" in said.out
    with Image.open("[sheet].png") as sheet:
        assert sheet.width > 8 * 90


def test_inspect_keeps_brackets_in_names(untrain: Untrain, photos: Path, tmp_path: Path) -> None:
    (photos / "[red]x.txt").write_text("a caption of nothing")
    photos = photos.rename(tmp_path / "[old] photos")
    said = untrain("data", "inspect", photos)
    assert said.code == 0
    assert "name: [old] photos" in said.out
    assert "[red]x.txt" in said.out


def test_inspect_finds_out_that_it_is_fashion(untrain: Untrain, tmp_path: Path) -> None:
    header = (
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,"
        "productDisplayName\n"
    )
    Path("fashion/images").mkdir(parents=True)
    Path("fashion/styles.csv").write_text(
        header + "1,Men,Apparel,Topwear,Tshirts,Red,Summer,2012,Casual,Mine Red T\n"
        "2,Men,Apparel,Topwear,Tshirts,Blue,Summer,2012,Casual,Mine Blue T\n"
    )
    Image.new("RGB", (12, 16), "red").save("fashion/images/1.jpg")
    said = untrain("data", "inspect", "fashion", "--json")
    summary = json.loads(said.out)
    assert summary["images"] == 1
    assert summary["skipped"] == {"no image": {"count": 1, "examples": ["2"]}}
    assert summary["attributes"]["baseColour"]["top"] == {"Red": 1}


def test_inspect_rendered(untrain: Untrain, monkeypatch: pytest.MonkeyPatch) -> None:
    import untrain.catalogs as catalogs

    small = catalogs.rendered(families=3, size_of_family=2, resolution=16)
    monkeypatch.setattr(catalogs, "load_catalog", lambda name, **options: small)
    said = untrain("data", "inspect", "--json")
    assert json.loads(said.out)["attributes"]["family"]["distinct"] == 3


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "run the same command again to continue"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (UntrainError("it broke in [half] [/b]"), 1, "untrain: it broke in [half] [/b]"),
        (PermissionError(13, "Permission denied", "there[1].png"), 2, "cannot write there[1].png"),
    ],
    ids=["ctrl-c", "full", "ours", "forbidden"],
)
def test_ends(
    untrain: Untrain,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    words: str,
) -> None:
    def run_stages(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(pipeline, "run_stages", run_stages)
    said = untrain("-q", "run", MICRO)
    assert (said.code, said.out) == (code, "")
    assert words in said.err


def test_two_runs_at_once(untrain: Untrain, micro_copy: Copy) -> None:
    folder = micro_copy()
    with open_run(folder).lock():
        said = untrain("run", MICRO)
    assert said.code == 2
    assert "another process is running in runs/micro" in said.err

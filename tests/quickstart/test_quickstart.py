"""``untrain quickstart``: what it says of folders with, without and with broken captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers.commands import Untrain, command_line
from untrain.catalogs import export_folder, rendered
from untrain.quickstart import budget, quickstart
from untrain.settings.load import load_config


@pytest.fixture
def untrain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Untrain:
    monkeypatch.chdir(tmp_path)
    return command_line(monkeypatch, capsys)


def photos(folder: Path, families: int = 5, captions: bool = True) -> Path:
    export_folder(rendered(families, 4, 0, 32), [], folder)
    for text in [] if captions else folder.glob("*.txt"):
        text.unlink()
    return folder


def test_without_captions_nothing_is_trained_and_that_is_said(
    untrain: Untrain, tmp_path: Path
) -> None:
    photos(tmp_path / "bare", captions=False)
    (tmp_path / "bare/broken.jpg").write_bytes(b"no picture")
    said = untrain("quickstart", "bare", "--out", "q")
    assert said.code == 0, said.err
    assert "They have no captions" in said.out and "No model was trained" in said.out
    page = Path("q/report.html").read_text()
    assert "broken" in page and "untrain trace picture.png --catalog bare" in page
    assert not Path("q/experiment.yaml").exists() and not Path("q/trial").exists()
    Image.new("RGB", (32, 32), "red").save("picture.png")
    assert untrain("trace", "picture.png", "--catalog", "bare").code == 0  # as the page says


def test_few_pictures_are_looked_at_only(untrain: Untrain, tmp_path: Path) -> None:
    photos(tmp_path / "few")
    said = untrain("quickstart", "few", "--json")
    record = json.loads(said.out)
    assert record["trial"]["skipped"] == "too-few"
    assert record["images"] == 20 and record["search"]["edited"][0]["of"] == 10
    assert record["search"]["near"] is not None


def test_a_folder_of_other_data_is_refused(untrain: Untrain, tmp_path: Path) -> None:
    photos(tmp_path / "few")
    (tmp_path / "q").mkdir()
    (tmp_path / "q/mine.txt").write_text("mine")
    assert untrain("quickstart", "few", "--out", "q").code == 2
    assert untrain("quickstart", "nowhere").code == 2
    assert not (tmp_path / "quickstart").exists()


def test_no_time_is_said(untrain: Untrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "time_steps", lambda catalog, preset: budget.Timed(1.0, 1.0))
    photos(tmp_path / "some", 16)
    said = untrain("quickstart", "some", "--minutes", 1)
    assert said.code == 0, said.err
    assert "even the smallest trial takes longer" in said.out
    config = load_config(Path("quickstart/experiment.yaml"))
    assert config.data.plant is not None and config.prompts.file is not None
    # With more, over half of the 64 pictures would be in a set.
    assert len(config.prompts.file.read_text().splitlines()) == 5


@pytest.mark.slow
def test_a_trial_of_seconds(
    untrain: Untrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "time_steps", lambda catalog, preset: budget.Timed(1e-4, 1e-4))
    monkeypatch.setattr(budget, "QUICK", ("micro",))
    monkeypatch.setitem(budget.NEEDS, "micro", budget.Need(300, 10))
    photos(tmp_path / "some", 16)
    early: list[str] = []
    run_stages = quickstart.run_stages

    def look_then_run(*given: Any, **options: Any) -> Path:
        early.append(Path("quickstart/report.html").read_text())
        return run_stages(*given, **options)

    monkeypatch.setattr(quickstart, "run_stages", look_then_run)
    said = untrain("quickstart", "some", "--no-pictures")
    assert said.code == 0, said.err
    assert "The trial" in said.out
    assert "The trial is running" in early[0] and "Copies" in early[0]
    assert "in all" not in said.err and "quickstart/report.html: pictures" in said.err
    page = Path("quickstart/report.html").read_text()
    assert "is running" not in page
    assert "trial/report.html" in page and "What the real trial takes" in page
    assert "--edited --sheet copies.png" in page and "Edited copies were not looked for" in page
    assert "<details><summary>The plan in numbers" in page and "It trains " in page
    again = untrain("quickstart", "some", "--no-pictures")
    assert "1/11" not in again.err  # it was done

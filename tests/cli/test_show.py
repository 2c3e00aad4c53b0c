"""``untrain show``, ``report`` and ``compare``: finished runs, looked at in the terminal."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers.commands import Untrain
from tests.helpers.folders import rewind, without_checksums
from untrain.report.page import rewrite as again
from untrain.report.page import write as page
from untrain.report.tables.compared_runs import difference
from untrain.report.tables.terminal import half_blocks

Copy = Callable[..., Path]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each page that is written would show training images."""
    seen: list[bool] = []

    def write_report(run: Path, training_images: bool = True) -> Path:
        seen.append(training_images)
        return run / "report.html"

    monkeypatch.setattr(page, "write_report", write_report)
    return seen


def test_show_answers_and_judges_every_prompt(untrain: Untrain, micro_copy: Copy) -> None:
    folder = micro_copy()
    said = untrain("show", "micro")
    assert said.code == 0, said.err
    # The model is too small: not even the removal of whole families is seen.
    assert " ".join(said.out.split()).startswith("micro The positive control was not seen")
    assert "warning:" in said.out
    assert said.out.count("withheld") >= 4
    assert "control: " in said.out
    assert "▀" not in said.out  # no terminal, no pictures
    assert f"Report: {Path('runs/micro/report.html')}" in said.out
    tables = said.out.partition("How much worse")[2].partition("Report:")[0]
    assert max(map(len, tables.splitlines())) <= 80
    assert "…" not in tables.partition("prompt ")[0]
    told = json.loads(untrain("show", folder, "--json").out)
    assert told["withheld"] and told["doubts"] == ["control-failed"]
    assert told["verdicts"] == {"withheld": 4}


def test_show_draws_pictures_if_asked(
    untrain: Untrain, micro_copy: Copy, micro_run: Path, written: list[bool]
) -> None:
    folder = micro_copy()
    shutil.copytree(micro_run / "thumbnails", folder / "thumbnails")
    said = untrain("show", "micro", "--images", "--prompts", 1)
    assert "drawn by A" in said.out
    assert said.out.count("▀") == 4 * 17 * 8
    again.write_page(folder, training_images=False)
    assert untrain("show", "micro", "--images", "--prompts", 1).out.count("▀") == 3 * 17 * 8


def test_half_blocks_are_two_pixels_a_character() -> None:
    pixels = np.zeros((4, 2, 3), np.uint8)
    pixels[0, 0] = (255, 0, 0)
    pixels[1, 0] = (0, 0, 255)
    text = half_blocks(Image.fromarray(pixels), 2)
    assert text.plain == "▀▀\n▀▀"
    first = text.spans[0].style
    assert first.color.triplet.hex == "#ff0000"  # type: ignore[union-attr]
    assert first.bgcolor.triplet.hex == "#0000ff"  # type: ignore[union-attr]


@pytest.mark.parametrize("command", ["show", "report"])
def test_a_run_that_is_not_finished(untrain: Untrain, micro_copy: Copy, command: str) -> None:
    folder = micro_copy()
    rewind(folder, "evaluate")
    (folder / "captions.parquet").unlink()
    said = untrain(command, folder)
    assert said.code == 2
    assert "finished" in said.err


def test_report_writes_the_page_again(
    untrain: Untrain, micro_copy: Copy, written: list[bool]
) -> None:
    micro_copy()
    said = untrain("report", "micro", "--no-training-images", "--replace")
    assert said.out == "report: runs/micro/report.html (without training images)\n"
    assert untrain("report", "micro").out == "report: runs/micro/report.html\n"
    found = json.loads(untrain("report", "micro", "--json").out)
    assert found["page"] == "runs/micro/report.html"
    assert written == [False, True, True]


def test_what_was_left_out_stays_out(untrain: Untrain, micro_copy: Copy, written: list) -> None:
    folder = micro_copy()
    assert again.write_again(folder) == folder / "report.html"
    untrain("report", folder, "--no-training-images", "--replace")
    again.write_again(folder)
    assert written == [True, False, False]


def test_a_page_for_others_is_written_beside_the_full_one(
    untrain: Untrain, micro_copy: Copy
) -> None:
    folder = micro_copy()
    before = (folder / "report.html").read_bytes()
    said = untrain("report", "micro", "--no-training-images")
    assert said.out == "report: runs/micro/report-public.html (without training images)\n"
    assert "This page shows no training images." in (folder / "report-public.html").read_text()
    assert (folder / "report.html").read_bytes() == before
    assert again.shows_training_images(folder)


def test_a_run_without_a_page_gets_none(tmp_path: Path, written: list[bool]) -> None:
    assert again.write_again(tmp_path) is None
    assert not written


def other(folder: Path) -> None:
    """Make a copy of a run one of another seed, with larger effects and a changed verdict."""
    without_checksums(folder)
    config = (folder / "config.yaml").read_text().replace("seed: 0", "seed: 5", 1)
    (folder / "config.yaml").write_text(config)
    effects = pd.read_parquet(folder / "results" / "effects.parquet")
    effects[["effect", "low", "high"]] += 1.0
    effects.loc[effects["arm"] == "family", "p_value"] = 0.001  # so that it can be trusted
    record = json.loads((folder / "run.json").read_text())
    record["quality"]["verdict"] = "passed"
    (folder / "run.json").write_text(json.dumps(record))
    effects.to_parquet(folder / "results" / "effects.parquet")
    verdicts = pd.read_parquet(folder / "results" / "verdicts.parquet")
    verdicts.loc[0, "verdict"] = "attributable" if verdicts["verdict"][0] != "attributable" else "x"
    verdicts.to_parquet(folder / "results" / "verdicts.parquet")


def test_compare_sets_two_runs_side_by_side(untrain: Untrain, micro_copy: Copy) -> None:
    micro_copy("one")
    other(micro_copy("two"))
    said = untrain("compare", "one", "two", "--csv", "both.csv")
    assert said.code == 0, said.err
    assert "seed" in said.out
    assert "Prompts judged differently" in said.out
    assert "1.000" in said.out
    assert max(map(len, said.out.partition("note:")[0].splitlines())) <= 80
    found = json.loads(untrain("compare", "one", "two", "--json").out)
    assert [row["setting"] for row in found["settings"]] == ["seed"]
    assert all(math.isclose(row["difference"], 1.0) for row in found["effects"])
    assert len(found["changed"]) == 1
    table = pd.read_csv("both.csv")
    assert list(table["arm"]) == [row["arm"] for row in found["effects"]]


def test_compare_needs_two_runs(untrain: Untrain, micro_copy: Copy) -> None:
    micro_copy("one")
    assert "was given twice" in untrain("compare", "one", "runs/one").err
    assert "--until compare" in untrain("compare", "one").err


def test_the_interval_of_a_difference() -> None:
    # Symmetric intervals: half widths add in quadrature, 3² + 4² = 5².
    assert difference((1.0, -2.0, 4.0), (2.0, -2.0, 6.0)) == pytest.approx((1.0, -4.0, 6.0))
    # Open to the right: so is the difference.
    assert difference((1.0, 0.0, 2.0), (2.0, 1.0, math.inf))[2] == math.inf

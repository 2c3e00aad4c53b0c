"""``untrain attribute`` asks a run's model about its own pictures and others."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.commands import Untrain


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_the_queries_of_a_run_by_two_methods(untrain: Untrain, micro_run: Path) -> None:
    files = ("a.json", "a.parquet", "a.html", "a.csv")
    said = untrain(
        "attribute", micro_run, "-m", "dtrak", "-m", "fusion", "--top", 4,
        *(part for name in files for part in ("-o", name)),
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "p00, by dtrak" in said.out and "# fusion" in said.out
    assert "fusion beside dtrak" in said.out and "uncalibrated" in said.out
    table = pd.read_parquet("a.parquet")
    prompts = pd.read_csv(micro_run / "prompts.csv")["prompt_id"].tolist()
    assert list(dict.fromkeys(table["prompt_id"])) == prompts
    assert len(table) == 2 * 4 * len(prompts)
    told = json.loads(Path("a.json").read_text())
    assert told["queries"][0]["pictures"] == 2
    assert told["queries"][0]["methods"][0]["hits"][0]["image_id"] == table["image_id"][0]
    assert "fusion" in Path("a.html").read_text()


def test_a_prompt_by_id_or_text(untrain: Untrain, micro_run: Path) -> None:
    prompts = pd.read_csv(micro_run / "prompts.csv").set_index("prompt_id")["prompt"]
    asked = ("attribute", micro_run, "-m", "text", "--json")
    by_id = json.loads(untrain(*asked, "-p", "p02").out)
    by_text = json.loads(untrain(*asked, "-p", prompts["p02"].upper()).out)
    assert by_id["queries"] == by_text["queries"]
    assert [query["prompt_id"] for query in by_id["queries"]] == ["p02"]
    said = untrain(*asked, "-p", "p20")
    assert said.code == 2 and "neither the id nor the text" in said.err


def test_a_picture_of_the_run_is_asked_about_as_it_was_sampled(
    untrain: Untrain, micro_run: Path, photos: Path
) -> None:
    own, other = micro_run / "queries" / "p00" / "0.png", min(photos.glob("*.png"))
    said = untrain("attribute", micro_run, own, other, "--json", "--top", 2)
    assert said.code == 0, said.err
    told = json.loads(said.out)
    prompts = pd.read_csv(micro_run / "prompts.csv").set_index("prompt_id")["prompt"]
    assert [query["prompt_id"] for query in told["queries"]] == ["0", other.stem]
    assert [query["prompt"] for query in told["queries"]] == [prompts["p00"], ""]
    codes = {note["code"]: note["about"] for note in told["notes"]}
    assert codes["picture-without-prompt"] == [other.stem]
    both = untrain("attribute", micro_run, own, other, "-p", "a shirt", "--json", "--top", 2)
    assert {query["prompt"] for query in json.loads(both.out)["queries"]} == {"a shirt"}


def test_another_model_of_the_run_can_be_asked(untrain: Untrain, micro_run: Path) -> None:
    asked = ("attribute", micro_run, "-p", "p00", "--json", "--top", 3)
    a, b = (json.loads(untrain(*asked, "--model", m).out)["queries"] for m in ("A", "B00"))
    assert a != b
    said = untrain(*asked, "--model", "B99")
    assert said.code == 2 and "neither the folder of a saved model nor a model" in said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-m", "dtrakk"), "did you mean 'dtrak'"),
        (("-m", "text", "-m", "text"), "given twice"),
        (("nowhere.png",), "nowhere.png does not exist"),
        (("--calibration", "nowhere.json"), "cannot be read as a calibration"),
        (("-o", "table.xlsx"), "expected a name ending in .csv"),
    ],
)
def test_wrong_options_say_so(
    untrain: Untrain, micro_run: Path, options: tuple[str, ...], message: str
) -> None:
    said = untrain("attribute", micro_run, *options)
    assert said.code == 2 and message in " ".join(said.err.split())


def test_a_run_without_a_model_is_told_what_to_do(untrain: Untrain, tmp_path: Path) -> None:
    said = untrain("attribute", tmp_path)
    assert said.code == 2 and "not a run folder" in said.err

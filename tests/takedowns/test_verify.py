"""`untrain verify` finds what was changed after the answer was written, and says what it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import untrain
from tests.helpers.commands import command_line
from tests.helpers.requests import pictures_of, stranger, write_request
from untrain.core.errors import InputError
from untrain.core.progress import console
from untrain.runs.run import open_run
from untrain.takedowns.verify import Verified, verify


@pytest.fixture(scope="module")
def answered(micro_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds a run whose takedown is done, and the letter."""
    place = tmp_path_factory.mktemp("answered")
    run = Path(shutil.copytree(micro_run, place / "runs" / "micro"))
    files = pictures_of(open_run(run).catalog, 2)
    letter = write_request(place / "letter", {**files, "other.png": stranger()})
    before, console.quiet = console.quiet, True
    untrain.takedown(letter, run, measure="none", probes=0)
    console.quiet = before
    return place


@pytest.fixture
def place(answered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answered, tmp_path / "place"))


def answer(place: Path) -> Path:
    return place / "runs" / "micro" / "takedowns" / "2026-17"


def failed(found: Verified) -> list[str]:
    return [check.code for check in found.checks if check.passed is False]


def change(place: Path, **values: Any) -> None:
    record = json.loads((answer(place) / "record.json").read_text())
    for path, value in values.items():
        *parts, last = path.split("__")
        inside = record
        for part in parts:
            inside = inside[part]
        inside[last] = value
    (answer(place) / "record.json").write_text(json.dumps(record))


def test_untouched_all_is_as_it_should_be(place: Path) -> None:
    found = verify(answer(place), request=place / "letter")
    assert not failed(found) and found.passed
    assert {c.code for c in found.checks if c.passed} >= {
        *("numbers", "counts", "means", "request", "catalogue", "retained"),
        *("model-before", "model-after", "model-lacks-them"),
    }


def test_a_page_with_another_number_is_found(place: Path) -> None:
    page = answer(place) / "report.html"
    html = page.read_text(encoding="utf-8")
    number = 'data-of="counts.removed" data-as="whole">'
    page.write_text(html.replace(f"{number}2", f"{number}7"), encoding="utf-8")
    assert failed(verify(answer(place))) == ["file:report.html", "numbers"]


def test_a_record_with_another_number_is_found(place: Path) -> None:
    change(place, counts__in_training=3)
    assert failed(verify(answer(place))) == ["numbers", "counts"]
    means = {"requested": 9.0, "retained": 1.0, "held_out": 1.0}
    change(place, counts__in_training=2, after__surprise__means__after=means)
    assert {"numbers", "means"} <= set(failed(verify(answer(place))))


def test_another_list_and_a_missing_page_are_found(place: Path) -> None:
    (answer(place) / "ids.txt").write_text("000009\n")
    (answer(place) / "report.html").unlink()
    found = verify(answer(place))
    assert failed(found) == ["file:report.html", "file:ids.txt", "ids"]
    assert "numbers" in [c.code for c in found.checks if c.passed is None]


def test_pictures_that_changed_or_are_missing_are_named(place: Path) -> None:
    (place / "letter" / "mine-0.png").write_bytes(stranger(3))
    (place / "letter" / "mine-1.png").unlink()
    found = verify(answer(place), request=place / "letter")
    (check,) = [c for c in found.checks if c.passed is False]
    assert check.code == "request"
    assert "missing: mine-1.png" in check.text and "changed: mine-0.png" in check.text


def test_pictures_of_another_name_are_known_by_their_content(place: Path) -> None:
    letter = place / "letter"
    (letter / "old").mkdir()
    (letter / "mine-0.png").rename(letter / "old" / "DSC 1.png")
    found = verify(answer(place), request=letter)
    assert not failed(found)
    (check,) = [check for check in found.checks if check.code == "request"]
    assert "1 of another name (mine-0.png of the record is old/DSC 1.png)" in check.text


def test_files_that_a_browser_saved_are_checked_by_their_names(place: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    for name in ("record.json", "report.html", "ids.txt"):
        shutil.copy(answer(place) / name, saved / f"2026-17-Doe-{name}")
    (saved / "other.txt").write_text("x")
    found = verify(saved, request=place / "letter")
    assert not failed(found)
    assert {check.code for check in found.checks if check.passed} >= {"ids", "numbers"}
    assert verify(saved / "2026-17-Doe-record.json").sha256 == found.sha256
    (saved / "2026-17-Doe-ids.txt").write_text("")
    assert failed(verify(saved)) == ["file:ids.txt", "ids"]
    shutil.copy(saved / "2026-17-Doe-record.json", saved / "2026-18-record.json")
    with pytest.raises(InputError, match="several records"):
        verify(saved)


def test_another_model_is_found_and_one_that_was_not_trained_without_them(place: Path) -> None:
    record = json.loads((answer(place) / "record.json").read_text())
    run = place / "runs" / "micro"
    old = run / record["run"]["model"]["path"]
    found = verify(answer(place), model=old)
    assert failed(found) == ["model-after", "model-lacks-them"]
    (run / record["removal"]["path"] / "model.json").write_text("{}")
    assert failed(verify(answer(place))) == ["model-after"]
    shutil.rmtree(run / record["removal"]["path"])
    found = verify(answer(place))
    assert found.passed and "model-after" in [c.code for c in found.checks if c.passed is None]


def test_a_second_copy_in_the_data_is_found(place: Path) -> None:
    catalog = open_run(place / "runs" / "micro").catalog
    assert failed(verify(answer(place), data=catalog)) == ["data"]
    kept = catalog.subset(set(catalog.ids) - set(catalog.ids[:2]))
    assert verify(answer(place), data=kept).passed


def test_away_from_its_run_what_cannot_be_checked_is_said(place: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(answer(place), tmp_path / "sent" / "to" / "them"))
    found = verify(alone, request=place / "letter")
    assert found.passed
    assert [c.code for c in found.checks if c.passed is None] == [
        *("catalogue", "data", "model-before", "model-after")
    ]


def test_no_record_and_wrong_folders_are_mistakes(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no record\.json"):
        verify(tmp_path)
    (tmp_path / "record.json").write_text('{"kind": "bank"}')
    with pytest.raises(InputError, match="not the record of a takedown"):
        verify(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        verify(answer(place), request=tmp_path / "none")
    with pytest.raises(InputError, match="is no folder"):
        verify(answer(place), model=tmp_path / "none")


def test_the_command_ends_with_0_1_or_2(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call: Callable[..., Any] = command_line(monkeypatch, capsys)
    monkeypatch.setenv("COLUMNS", "200")
    said = call("verify", answer(place), "--request", place / "letter")
    assert said.code == 0 and "1 could not be made" in said.out
    (answer(place) / "ids.txt").write_text("")
    said = call("verify", answer(place), "--json")
    assert said.code == 1 and json.loads(said.out)["passed"] is False
    said = call("verify", place)
    assert said.code == 2 and "holds no record.json" in said.err

"""docs/reliability.md says what the harnesses stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import page
import storing
import supply
import writing


def test_the_page_is_in_step_with_what_is_stored() -> None:
    assert list(page.faults(page.PAGE.read_text(encoding="utf-8"))) == []


def test_a_stored_table_stands_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    text = "Before.\n\n<!-- figures: kills -->\nold\n<!-- /figures -->\n\nAfter.\n"
    assert page.NOTHING in page.filled(text, tmp_path)
    storing.store("kills", [["kills | all", 1200], ["same", "200 of 200"]], folder=tmp_path)
    made = page.filled(text, tmp_path)
    assert made.startswith("Before.") and made.endswith("After.\n") and "old" not in made
    assert "| kills \\| all | 1,200 |\n| same | 200 of 200 |" in made
    assert page.filled(made, tmp_path) == made and list(page.faults(made, tmp_path)) == []
    assert len(list(page.faults(text, tmp_path))) == 1


def test_figures_that_stand_nowhere_are_named(tmp_path: Path) -> None:
    storing.store("lost", [["a", 1, 2]], heads=["what", "x", "y"], folder=tmp_path)
    assert "lost.json is not on the page" in next(page.faults("nothing", tmp_path))
    with pytest.raises(ValueError, match="2 cells, the table 3 columns"):
        storing.store("lost", [["a", 1]], heads=["what", "x", "y"], folder=tmp_path)


def test_the_cost_of_waiting_for_the_disk_is_a_table_of_medians() -> None:
    whole = ("fsync", "renames", "seconds in fsync", "CPU seconds", "seconds")
    runs = [dict.fromkeys(whole, value) | {"results": "same"} for value in (1.0, 3.0, 2.0)]
    made = writing.rows({"on": runs, "off": runs})
    assert made[1] == ["fsync", "2", "2"] and made[-1][1:] == ["yes", "yes"]
    changed = [{**runs[0], "results": "other"}]
    assert writing.rows({"on": runs, "off": changed})[-1][1:] == ["NO", "NO"]


@pytest.mark.slow
@pytest.mark.external
def test_a_few_people_use_the_page_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uvicorn", reason="needs untrain[serve]")
    if not Path("/proc/self/task").is_dir():
        pytest.skip("memory and files of a process are read from /proc")
    import load

    photos = tmp_path / "photos"
    photos.mkdir()
    for number, content in enumerate(load.uploads(8)):
        (photos / f"{number}.png").write_bytes(content)
    monkeypatch.setattr(load, "REST", 0)
    options = ["--catalog", str(photos), "--people", "3", "--seconds", "3", "--think", "0.2"]
    monkeypatch.setattr("sys.argv", ["load.py", *options, "--name", ""])
    load.main()
    lines = capsys.readouterr().out.splitlines()
    asked = next(line for line in lines if "asking, with the upload" in line).split("  ")
    assert int(asked[1]) > 0 and asked[-1] == "0"
    assert sum(line.startswith("all of it") and line.endswith("  0") for line in lines) == 2


def test_tests_are_counted_once_each_by_environment(tmp_path: Path) -> None:
    case = '<testcase classname="tests.a" name="{}">{}</testcase>'
    parts = {
        "one": [case.format("x", ""), case.format("y", "<failure/>"), case.format("z", "<error/>")],
        "two": [case.format("y", ""), case.format("w", "<skipped/>")],
    }
    for at, (name, cases) in enumerate(parts.items()):
        path = tmp_path / f"{name}.xml"
        path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
        os.utime(path, (at, at))
    assert supply.rows([tmp_path]) == [[tmp_path.name, 4, 2, 1, 1]]

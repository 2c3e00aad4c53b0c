"""``untrain status``: what is done, what is next, and whether anybody is at work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain
from tests.helpers.folders import rewind
from tests.helpers.settings import MICRO
from untrain.core.files import write_json
from untrain.runs.run import open_run

Copy = Callable[..., Path]


def test_a_finished_run(untrain: Untrain, micro_copy: Copy) -> None:
    micro_copy()
    said = untrain("status", "micro")
    assert said.code == 0
    assert said.out.startswith("runs/micro: done\n")
    assert "5/5 models" in said.out
    assert "next: untrain show runs/micro" in said.out
    as_json = json.loads(untrain("status", "runs/micro", "--json").out)
    assert as_json["state"] == "done"
    assert (as_json["models"], as_json["models_wanted"]) == (5, 5)
    assert [stage["state"] for stage in as_json["stages"]] == ["done"] * 11
    assert as_json["seconds"] > 0


def test_a_stopped_run_says_how_to_go_on(untrain: Untrain, micro_copy: Copy) -> None:
    folder = micro_copy()
    rewind(folder, "retrain")
    record = json.loads((folder / "run.json").read_text())
    record["stages"]["retrain"] = {"state": "running", "key": "x"}
    write_json(folder / "run.json", record)
    said = untrain("status", folder)
    assert f"{folder}: stopped" in said.out
    assert "1/5 models" in said.out  # model A
    assert f"untrain run {folder}/config.yaml" in said.out
    with open_run(folder).lock():
        found = json.loads(untrain("status", folder, "--json").out)
    assert (found["state"], found["next"]) == ("running", "retrain")
    assert found["stages"][7]["state"] == "running"


def test_looking_does_not_disturb_the_lock(untrain: Untrain, micro_copy: Copy) -> None:
    folder = micro_copy()
    with open_run(folder).lock():
        untrain("status", folder)
        assert "at work" not in untrain("status", folder).err
        said = untrain("run", MICRO)
        assert "another process is running" in said.err


def test_all_runs(untrain: Untrain, micro_copy: Copy) -> None:
    micro_copy("first")
    rewind(micro_copy("second"), "evaluate")
    lines = untrain("status").out.splitlines()
    assert lines[1].split()[:4] == ["first", "done", "11/11", "5/5"]
    assert lines[2].split()[:3] == ["second", "stopped", "9/11"]
    assert lines[2].split()[-1] == "evaluate"
    assert [run["state"] for run in json.loads(untrain("status", "--json").out)] == [
        "done",
        "stopped",
    ]


def test_no_runs_at_all(untrain: Untrain) -> None:
    assert untrain("status").out == "no runs in runs; to start one: untrain demo\n"


def test_an_experiment_file_stands_for_its_run(untrain: Untrain, micro_copy: Copy) -> None:
    folder = micro_copy()
    assert "runs/micro: done" in untrain("status", MICRO).out
    assert ": done" in untrain("status", folder / "config.yaml").out


@pytest.mark.parametrize("command", ["status", "show", "report", "export", "sheet", "compare"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            "micr",
            "micr is neither a run folder nor the name of a run in runs — did you mean 'micro'",
        ),
        ("runs", "runs is not a run folder: it has no run.json; the runs in it: runs/micro"),
        ("empty", "empty is not a run folder: it has no run.json"),
    ],
)
def test_what_is_no_run(
    untrain: Untrain, tmp_path: Path, command: str, given: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "micro").mkdir(parents=True)
    (tmp_path / "runs" / "micro" / "run.json").write_text('{"stages": {}}')
    more = {"export": ["out"], "sheet": ["out.png"], "compare": ["micro"]}.get(command, [])
    said = untrain(command, given, *more)
    assert said.code == 2
    assert words in said.err
    assert said.out == ""


def test_an_experiment_that_was_not_run(untrain: Untrain) -> None:
    said = untrain("status", MICRO)
    assert said.code == 2
    assert "has not been run yet" in said.err


def test_a_record_that_cannot_be_read(untrain: Untrain, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    for command in ("status", "show", "report"):
        said = untrain(command, tmp_path)
        assert said.code == 2
        assert "is damaged" in said.err and "should not have happened" not in said.err

"""The command that made something is noted with it, and none that a stranger wrote is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from untrain.core import commands
from untrain.core.commands import noted, remembered, told, typed
from untrain.core.errors import Damaged
from untrain.core.files import read_json, write_json
from untrain.core.manifest import check, recorded
from untrain.core.verifying import clear


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    typed(())


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("-q bank runs/x --models 8 --share 0.5", "untrain bank R --models 8 --share 0.5"),
        ("bank x.yaml --models=8 --json", "untrain bank R --models 8"),
        ("unlearn demo --ids nowhere.txt -m npo:beta=0.2", None),
        ("takedown letter --run demo", "untrain takedown letter --run R"),
        ("takedown letter --catalog c", "untrain takedown letter --catalog c --out ."),
    ],
)
def test_a_command_is_noted_with_its_options(line: str, shown: str | None) -> None:
    typed(line.split())
    known = remembered([], noted())
    expected = shown or "untrain " + line.replace("demo", "R")
    assert told(known, "bank/x", Path("R"), True) == f"`{expected}`"


@pytest.mark.parametrize(
    "words",
    [
        ["rm", "-rf", "/"],
        ["bank", "--set", "generator.name=evil.py:Model"],
        ["leaderboard", "--encoder", "evil.py:encode"],
        ["leaderboard", "--ranking", "evil:rank"],
        ["run", "evil.yaml"],
        ["bank", "--trust"],
        ["bank", 7],
        "bank",
        [],
    ],
)
def test_what_a_stranger_wrote_is_not_told(words: object) -> None:
    assert remembered([], words) == []


def test_words_of_a_stranger_act_on_no_terminal_and_no_shell() -> None:
    known = remembered([], ["takedown", "x\x1b[2J; rm -rf ~"])
    line = told(known, "takedowns/x", Path("R"), True)
    assert "\x1b" not in line and "'" in line


def test_more_of_the_same_takes_the_place_of_less() -> None:
    known = remembered([], ["bank", "--models", "8"])
    known = remembered(known, ["bank", "--models", "16"])
    known = remembered(known, ["bank", "--models", "4", "--share", "0.3"])
    line = told(known, "bank/x", Path("R"), True)
    assert line == "`untrain bank R --models 16` and then `untrain bank R --models 4 --share 0.3`"
    assert commands.told([], "bank/x", Path("R"), True) == "`untrain bank R`"
    assert commands.told([], "results/x", Path("R"), True) == "`untrain run R`"


def test_a_damaged_file_is_told_with_the_command_that_made_it(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    typed(["bank", str(tmp_path), "--models", "8"])
    write_json(tmp_path / "bank" / "bank.json", {"a": 1})
    typed(())
    write_json(tmp_path / "results" / "a.json", {"a": 1})
    for name, command in (("bank/bank.json", "bank"), ("results/a.json", "run")):
        (tmp_path / name).write_text('{"a": 2}')
        with pytest.raises(Damaged, match=f"untrain {command} {tmp_path}"):
            read_json(tmp_path / name)
    with pytest.raises(Damaged, match="--models 8"):
        check(tmp_path / "bank" / "bank.json")
    assert clear(tmp_path / "bank") == ["bank/bank.json"]
    assert not (tmp_path / "bank" / "bank.json").exists()
    assert "bank/bank.json" not in recorded(tmp_path)
    assert (tmp_path / "results" / "a.json").exists()

"""What somebody reads who does not know the program yet: the start, help, errors of usage."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from rich.console import Console

from tests.helpers.commands import Untrain
from tests.helpers.settings import MICRO
from untrain import __version__
from untrain.cli import app
from untrain.cli.group import PANELS
from untrain.core.progress import console
from untrain.experiment import pipeline
from untrain.runs.stage_names import STAGE_HELP

COMMANDS = (
    *("init", "demo", "plan", "run", "trace", "attribute", "status", "show", "report", "compare"),
    *("bank", "leaderboard", "weights", "calibrate", "export", "sheet", "doctor"),
    *("serve", "guard", "takedown", "verify", "unlearn", "ladder", "shares", "trust"),
    *("data show", "data export", "data formats", "data summary", "data excluded"),
    *("data inspect", "data duplicates", "index", "search", "cache", "cache show", "cache prune"),
    *(name for name in STAGE_HELP if name not in ("compare", "report")),
)


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_without_arguments_it_says_how_to_start(untrain: Untrain) -> None:
    said = untrain()
    assert said.code == 0
    for words in ("Which training images", "untrain demo", "untrain init", "untrain run FILE"):
        assert words in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    assert len(said.out.splitlines()) < 25


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_and_fits(untrain: Untrain, command: str) -> None:
    said = untrain(*command.split(), "--help")
    assert said.code == 0
    assert f"untrain {command}" in said.out.partition("Example:")[2]
    assert max(map(len, said.out.splitlines())) <= 80


def test_every_command_is_in_the_list(untrain: Untrain) -> None:
    said = untrain("--help").out
    for command in COMMANDS:
        assert f" {command.split()[0]} " in said


def test_a_newcomer_finds_first_what_to_begin_with(untrain: Untrain) -> None:
    said = untrain("--help").out
    places = [
        said.index(f"│ {name} ") for name in ("demo", "init", "run", "trace", "bank", "cache")
    ]
    assert places == sorted(places)
    grouped = {name for names in PANELS.values() for name in names}
    stages = {name.replace("_", "-") for name in STAGE_HELP}
    listed = set(typer.main.get_command(app).commands)
    assert listed <= grouped | stages, "every command has a panel in cli/group.py"


def test_names_in_brackets_are_not_taken_for_markup(untrain: Untrain) -> None:
    assert "untrain[ray]" in untrain("run", "--help").out


def test_version(untrain: Untrain) -> None:
    assert untrain("--version").out == f"untrain {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("-q", "run", MICRO), ("run", MICRO, "--quiet"), ("run", "-q", MICRO)]
)
def test_quiet_may_stand_anywhere(
    untrain: Untrain, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...]
) -> None:
    seen = []

    def run_stages(*_: object) -> Path:
        seen.append((console.quiet, console.verbose))
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run_stages", run_stages)
    assert untrain(*arguments).code == 130
    assert seen == [(True, False)]


@pytest.fixture
def _bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_stages(*arguments: object) -> None:
        raise ZeroDivisionError("by [nought]")

    monkeypatch.setattr(pipeline, "run_stages", run_stages)


@pytest.mark.usefixtures("_bug")
def test_a_bug_is_told_in_short(untrain: Untrain) -> None:
    said = untrain("run", MICRO)
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "ZeroDivisionError: by [nought]" in said.err
    assert "--verbose" in said.err
    assert "untrain doctor" in said.err


@pytest.mark.usefixtures("_bug")
def test_a_bug_is_told_at_length_if_asked(untrain: Untrain) -> None:
    said = untrain("run", MICRO, "--verbose")
    assert said.code == 1
    assert "Traceback" in said.err
    assert "run_stages" in said.err


def test_a_bug_within_a_run_is_in_its_log(
    untrain: Untrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "check", check)
    said = untrain("run", MICRO)
    assert "The traceback is in runs/micro/log.txt" in said.err
    assert "ZeroDivisionError" in Path("runs/micro/log.txt").read_text()


def test_no_colour_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert Console(force_terminal=True).no_color


def test_a_command_that_is_none(untrain: Untrain) -> None:
    said = untrain("statu")
    assert said.code == 2
    assert "status" in said.err


def test_completion_can_be_installed() -> None:
    assert app._add_completion


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("untrain stat", {"status"}),
        ("untrain show mi", {"micro"}),
        ("untrain show runs/", {"runs/micro"}),
        ("untrain run x.yaml --set removal.d", {"removal.draws=", "removal.duplicates="}),
        ("untrain run x.yaml --engine ", {"local", "ray"}),
        ("untrain trace x.png --ranking pix", {"pixel_cosine"}),
        ("untrain plan m", {"mine.yaml"}),
    ],
)
def test_the_shell_is_told_what_may_come(
    untrain: Untrain,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    line: str,
    offered: set[str],
) -> None:
    (tmp_path / "runs" / "micro").mkdir(parents=True)
    (tmp_path / "runs" / "micro" / "run.json").write_text("{}")
    (tmp_path / "mine.yaml").write_text("")
    monkeypatch.setenv("_UNTRAIN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    assert set(untrain().out.split()) == offered

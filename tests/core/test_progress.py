"""Progress as plain lines, and what is kept of it in the log of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from untrain.core import progress
from untrain.core.errors import InputError
from untrain.core.progress import bar, clock, console, log_to, track


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    quiet, console.quiet = console.quiet, False
    yield
    console.quiet = quiet


class Clock:
    """A time that passes when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_work_of_a_moment_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(8), "counting", 8)) == list(range(8))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("  counting: 8/8, ")


def test_long_work_says_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock.monotonic)
    with bar("[training]", 1000) as advance:
        for _ in range(10):
            clock.now += 50
            advance(100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  [training]: 200/1000, 2.0/s, 6:40 min left"  # by the minute
    assert lines[-1] == "  [training]: 1000/1000, 2.0/s in 8:20 min"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (185, "3:05 min"), (3720, "62:00 min")]
)
def test_times_are_short(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_hours(seconds: float = 3 * 3600 + 120) -> None:
    assert clock(seconds) == "3:02 h"


def test_quiet_says_nothing_and_logs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    console.quiet = True
    with log_to(tmp_path / "log.txt", tmp_path / "run.json"):
        console.print("[yellow]warning:[/] mind the \\[bracket]")
        list(track(range(4), "counting", 4))
    assert capsys.readouterr().err == ""
    log = (tmp_path / "log.txt").read_text()
    assert "  warning: mind the [bracket]\n" in log
    assert "counting: 4/4" in log
    assert "process " in log.splitlines()[0]


def test_a_second_run_is_appended(tmp_path: Path) -> None:
    for word in ("first", "second"):
        with log_to(tmp_path / "log.txt", tmp_path):
            console.print(word)
    words = [line.split("  ", 1)[1] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert [words[1], words[3]] == ["first", "second"]


def test_what_is_refused_before_there_is_a_run_leaves_no_log(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError),
        log_to(tmp_path / "log.txt", tmp_path / "run.json"),
    ):
        console.print("reading")
        raise InputError("no such data")
    assert not list(tmp_path.iterdir())


def test_an_unexpected_error_is_logged_with_its_traceback(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError) as caught,
        log_to(tmp_path / "log.txt", tmp_path / "run.json"),
    ):
        1 / 0  # noqa: B018
    log = (tmp_path / "log.txt").read_text()
    assert "Traceback" in log
    assert "1 / 0" in log
    assert str(tmp_path / "log.txt") in caught.value.__notes__[0]

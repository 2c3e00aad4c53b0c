"""Every option that names what is written, with every path that nothing may be written to.

The data do not exist: a path that is checked after any work has begun would say so instead.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain, command_line

FILES: dict[str, tuple[str, ...]] = {
    "data inspect --sheet": ("data", "inspect", "nowhere", "--sheet"),
    "data excluded --out": ("data", "excluded", "nowhere", "--list", "nowhere.txt", "--out"),
    "data duplicates --csv": ("data", "duplicates", "nowhere", "--csv"),
    "data duplicates --sheet": ("data", "duplicates", "nowhere", "--sheet"),
    "sheet": ("sheet", "nowhere"),
    "compare --csv": ("compare", "nowhere", "nowhere", "--csv"),
    "weights --out": ("weights", "nowhere", "--out"),
    "calibrate --out": ("calibrate", "nowhere", "--out"),
    "benchmark score --out": ("benchmark", "score", "nowhere", "scores.csv", "--out"),
    "export --to model-card": ("export", "nowhere", "--to", "model-card"),
    "export --to dataset-card": ("export", "nowhere", "--to", "dataset-card"),
    "init --generator": ("init", "--generator"),
}
NAMED: dict[str, tuple[tuple[str, ...], str]] = {
    "data summary --out .md": (("data", "summary", "nowhere", "--out"), ".md"),
    "data summary --out .json": (("data", "summary", "nowhere", "--out"), ".json"),
    **{
        f"trace --out {kind}": (("trace", "nowhere.png", "--catalog", "nowhere", "--out"), kind)
        for kind in (".csv", ".parquet", ".json", ".html")
    },
    **{
        f"attribute --out {kind}": (("attribute", "nowhere", "--out"), kind)
        for kind in (".csv", ".html")
    },
}
"""Whose file must have an ending."""
FOLDERS: dict[str, tuple[str, ...]] = {
    "data export": ("data", "export", "nowhere"),
    "export": ("export", "nowhere"),
    "export --layout study": ("export", "nowhere", "--layout", "study"),
    "export --to dattri": ("export", "nowhere", "--to", "dattri"),
    "benchmark export": ("benchmark", "export", "nowhere", "-o"),
    "index --out": ("index", "nowhere", "--out"),
    "unlearn --out": ("unlearn", "nowhere", "--ids", "nowhere.txt", "--out"),
    "quickstart --out": ("quickstart", "nowhere", "--out"),
    "trace --out": ("trace", "nowhere.png", "--catalog", "nowhere", "--out"),
}

NO_FILE = ("mine", "mine/", "link", "broken", "loop", "pipe", "mine/notes.txt/a", ".", "..", "")
NO_FILE += ("/dev/full", "/dev/null", "w" * 300, "x/" * 3000 + "a")
NO_FILE_WITH_ENDING = ("mine", "link", "broken", "loop", "pipe")
NO_FOLDER = (*NO_FILE, "mine/notes.txt", "file_link")


@pytest.fixture
def untrain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Untrain:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    mine = work / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (work / "link").symlink_to("mine")
    (work / "file_link").symlink_to("mine/notes.txt")
    (work / "broken").symlink_to("nothing/at/all")
    (work / "loop").symlink_to("loop")
    os.mkfifo(work / "pipe")
    return command_line(monkeypatch, capsys)


def listed() -> dict[str, tuple[int, int, int]]:
    """Return what is in the working folder, and what would tell whether it was touched."""
    states = {path: path.lstat() for path in Path().rglob("*")}
    return {str(p): (stat.S_IFMT(s.st_mode), s.st_ino, s.st_mtime_ns) for p, s in states.items()}


def refused(untrain: Untrain, *arguments: str) -> None:
    before = listed()
    said = untrain(*arguments)
    words = " ".join(said.err.split())
    assert said.code == 2, said
    assert "should not have happened" not in words
    assert any(
        told in words
        for told in ("cannot write", "is not an empty folder", "untrain needs this path", "holds ")
    ), words
    assert listed() == before
    assert Path("mine/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("target", NO_FILE, ids=lambda each: ascii(each)[1:12])
@pytest.mark.parametrize("command", FILES)
def test_no_file_is_written_there(untrain: Untrain, command: str, target: str) -> None:
    refused(untrain, *FILES[command], target)


@pytest.mark.parametrize("target", NO_FILE_WITH_ENDING)
@pytest.mark.parametrize("command", NAMED)
def test_no_file_with_an_ending_is_written_there(
    untrain: Untrain, command: str, target: str
) -> None:
    arguments, ending = NAMED[command]
    Path(target).rename(f"{target}{ending}")
    if target == "mine":
        Path("mine").symlink_to(f"mine{ending}")
    if target == "loop":
        Path(f"loop{ending}").unlink()
        Path(f"loop{ending}").symlink_to(f"loop{ending}")
    refused(untrain, *arguments, f"{target}{ending}")


@pytest.mark.parametrize("target", NO_FOLDER, ids=lambda each: ascii(each)[1:12])
@pytest.mark.parametrize("command", FOLDERS)
def test_no_folder_is_written_there(untrain: Untrain, command: str, target: str) -> None:
    refused(untrain, *FOLDERS[command], target)

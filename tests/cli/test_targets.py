"""No command that writes deletes what it did not write, and a wrong path costs no work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain

Copy = Callable[..., Path]

FILES = {
    "data inspect --sheet": ("data", "inspect", "nowhere", "--sheet"),
    "data duplicates --sheet": ("data", "duplicates", "nowhere", "--sheet"),
    "data duplicates --csv": ("data", "duplicates", "nowhere", "--csv"),
    "sheet": ("sheet", "nowhere"),
    "compare --csv": ("compare", "nowhere", "nowhere", "--csv"),
    "weights --out": ("weights", "nowhere", "--out"),
    "calibrate --out": ("calibrate", "nowhere", "--out"),
}
"""Commands that write a file, on data that are not there: a check that came later would say so."""

FOLDERS = {
    "data export": ("data", "export", "nowhere"),
    "export": ("export", "nowhere"),
    "export --layout study": ("export", "--layout", "study", "nowhere"),
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with somebody's file in it, a link to it, and a file."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "file").write_text("mine")
    return tmp_path / "mine" / "notes.txt"


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("target", ["mine", "mine/", "link", ".", "..", "", "/dev/full", "file/a"])
@pytest.mark.parametrize("command", FILES)
def test_a_file_is_not_written_there(
    untrain: Untrain, tmp_path: Path, mine: Path, command: str, target: str
) -> None:
    before = listed(tmp_path)
    said = untrain(*FILES[command], target)
    assert said.code == 2
    assert f"cannot write {Path(target)}" in " ".join(said.err.split())
    assert mine.read_text() == "mine"
    assert listed(tmp_path) == before
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("target", ["mine", "link", ".", "..", "", "file", "/dev/full", "file/a"])
@pytest.mark.parametrize("command", FOLDERS)
def test_a_folder_is_not_written_there(
    untrain: Untrain, tmp_path: Path, mine: Path, command: str, target: str
) -> None:
    before = listed(tmp_path)
    said = untrain(*FOLDERS[command], target)
    assert said.code == 2
    words = " ".join(said.err.split())
    assert "exists and is not an empty folder" in words or "is a file, not a folder" in words
    assert mine.read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"
    assert listed(tmp_path) == before


@pytest.mark.parametrize("kind", [".csv", ".json", ".html", ".parquet"])
@pytest.mark.parametrize("where", ["folder", "link"])
def test_trace_writes_over_no_folder(
    untrain: Untrain, tmp_path: Path, kind: str, where: str
) -> None:
    (tmp_path / f"folder{kind}").mkdir()
    (tmp_path / f"folder{kind}" / "notes.txt").write_text("mine")
    (tmp_path / f"link{kind}").symlink_to(f"folder{kind}")
    said = untrain("trace", "nowhere.png", "--catalog", "nowhere", "--out", f"{where}{kind}")
    assert said.code == 2 and "it is a folder" in said.err
    assert (tmp_path / f"folder{kind}" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["mine/experiment.yaml", "mine/experiment.schema.json"])
def test_init_writes_over_no_folder(untrain: Untrain, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "notes.txt").write_text("mine")
    said = untrain("init", "mine")
    assert said.code == 2 and "it is a folder" in said.err
    assert listed(tmp_path / "mine") == {
        name.partition("/")[2],
        f"{name.partition('/')[2]}/notes.txt",
    }


def test_what_is_read_is_not_written_over(untrain: Untrain, photos: Path) -> None:
    picture = next(photos.glob("*.png"))
    before = picture.read_bytes()
    for command in (("inspect",), ("duplicates",)):
        said = untrain("data", *command, photos, "--sheet", picture)
        assert said.code == 2 and "one of the files to be read" in " ".join(said.err.split())
    assert picture.read_bytes() == before


def test_a_run_is_not_started_in_somebodys_folder(
    untrain: Untrain, experiment: Path, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "mine" / "queries").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "queries" / "notes.txt").write_text("mine")
    said = untrain("run", experiment)
    assert said.code == 2 and "is not the folder of a run and holds queries" in said.err
    assert listed(tmp_path / "runs" / "mine") == {"queries", "queries/notes.txt"}


def test_a_runs_own_files_are_not_written_over(untrain: Untrain, micro_copy: Copy) -> None:
    run = micro_copy()
    picture = run / "queries" / "p00" / "0.png"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for command in (
        ("sheet", run, run / "run.json"),
        ("compare", run, run, "--csv", run / "prompts.csv"),
        ("weights", run, "--out", run / "config.yaml"),
        ("trace", picture, "--run", run, "--out", run / "prompts.csv"),
        ("attribute", run, "--out", run / "prompts.csv"),
        ("calibrate", run, "--out", run / "config.yaml"),
    ):
        said = untrain(*command)
        assert said.code == 2 and "one of the files to be read" in " ".join(said.err.split())
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("command", "name"), [("weights", "weights.json"), ("calibrate", "calibration.json")]
)
def test_a_default_output_replaces_only_what_the_command_wrote(
    untrain: Untrain,
    tmp_path: Path,
    micro_copy: Copy,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text('{"weights": "mine"}')
    said = untrain(command, micro_copy())
    assert said.code == 2 and "--out" in said.err
    assert (tmp_path / name).read_text() == '{"weights": "mine"}'

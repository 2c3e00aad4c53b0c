"""Files of a run that are deleted while it is at work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from untrain.core.errors import InputError, UntrainError
from untrain.core.files import read_json, write_json, write_text
from untrain.runs.deleted import deletions_told
from untrain.runs.find import LOCK, refuse_foreign
from untrain.runs.record import COPY, restore, write_record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "runs" / "x"
    save(made)
    (made / LOCK).touch()
    write_text(made / "ranking.txt", "first")
    return made


def save(folder: Path) -> None:
    write_record(folder, {"schema_version": 1, "stages": {"rank": {"state": "running"}}})


def failing(
    folder: Path, error: Exception, happens: Callable[[], object], begun: bool = True
) -> None:
    """Fail in the block, after something has happened to the folder."""
    with deletions_told(folder, lambda: begun, lambda: save(folder)):
        happens()
        raise error


def test_a_deleted_file_is_named(folder: Path) -> None:
    error = FileNotFoundError(2, "No such file or directory", "ranking.txt")
    with pytest.raises(UntrainError, match=r"ranking.txt was deleted .* same command again"):
        failing(folder, error, (folder / "ranking.txt").unlink)


def test_what_has_another_cause_stays_what_it_is(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(folder, ZeroDivisionError(), lambda: None)
    with pytest.raises(InputError):
        failing(folder, InputError("wrong"), (folder / "ranking.txt").unlink)
    (folder / "run.json").unlink()
    with pytest.raises(FileNotFoundError):  # it had not begun
        failing(folder, FileNotFoundError(), lambda: None, begun=False)


def test_of_a_deleted_folder_no_log_is_left(folder: Path) -> None:
    def delete() -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / LOCK).touch()
        (folder / "log.txt").write_text("12:00 rank\n")

    with pytest.raises(UntrainError, match=r"the folder .* was deleted"):
        failing(folder, FileNotFoundError(), delete)
    assert [path.name for path in folder.iterdir()] == [LOCK]


def test_what_came_after_the_folder_was_deleted_has_a_record_again(folder: Path) -> None:
    def delete() -> None:
        shutil.rmtree(folder)
        write_text(folder / "forget.txt", "second")

    with pytest.raises(UntrainError, match=r"the folder .* was deleted"):
        failing(folder, FileNotFoundError(), delete)
    refuse_foreign(folder)  # the same command is not refused
    assert (folder / "forget.txt").read_text() == "second"


def test_a_copy_that_a_failing_disk_left_behind_is_brought_up_to_date(folder: Path) -> None:
    write_json(folder / "run.json", {"schema_version": 1, "stages": {"rank": {"state": "done"}}})
    assert restore(folder) == []
    assert read_json(folder / COPY) == read_json(folder / "run.json")

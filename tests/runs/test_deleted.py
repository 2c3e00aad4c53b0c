"""Files of a run that are deleted while it is at work."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError, UntrainError
from untrain.core.files import read_json, write_json, write_text
from untrain.core.manifest import recorded
from untrain.runs.deleted import Deletions
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
    with Deletions(folder, lambda: begun, lambda: save(folder)):
        happens()
        raise error


def test_a_deleted_file_is_named(folder: Path) -> None:
    error = FileNotFoundError(2, "No such file or directory", "ranking.txt")
    with pytest.raises(UntrainError, match=r"ranking.txt was deleted .* same command again"):
        failing(folder, error, (folder / "ranking.txt").unlink)


def test_what_has_another_cause_stays_what_it_is(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(folder, ZeroDivisionError(), lambda: None)
    with pytest.raises(InputError, match=r"(?s)^wrong.*ranking.txt was deleted"):
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


@pytest.mark.parametrize(
    "error",
    [
        ValueError("need at least one array to concatenate"),
        OSError(errno.ENOTEMPTY, "Directory not empty", "models"),
        FileNotFoundError("Failed to open local file"),  # as pyarrow says it
        StopIteration(),
    ],
)
def test_a_folder_that_was_begun_anew_was_deleted_whatever_that_leads_to(
    folder: Path, error: Exception
) -> None:
    def delete() -> None:
        shutil.rmtree(folder)
        save(folder)

    with pytest.raises(UntrainError, match=r"the folder .* was deleted"):
        failing(folder, error, delete)


def test_of_a_folder_that_was_being_deleted_when_it_got_its_name_nothing_is_left(
    folder: Path,
) -> None:
    with atomic_folder(folder / "models" / "m") as made:
        for name in ("a", "b"):
            (made / name).touch()

    def delete() -> None:
        for name in ("run.json", "checksums.txt", "models/m/.untrain", "models/m/a"):
            (folder / name).unlink()
        save(folder)

    recorded(folder)
    with pytest.raises(UntrainError, match=r"the folder .* was deleted"):
        failing(folder, FileNotFoundError(), delete)
    assert not (folder / "models" / "m").exists()


def test_what_a_run_says_of_files_that_it_misses_is_told_as_the_deletion_that_it_is(
    folder: Path,
) -> None:
    with pytest.raises(UntrainError, match=r"the folder .* was deleted"):
        failing(folder, InputError("it has no prompts.csv"), lambda: shutil.rmtree(folder))


def test_a_deletion_that_nothing_fails_by_is_told_at_the_end(folder: Path) -> None:
    saved: list[bool] = []
    with (
        pytest.raises(UntrainError, match=r"ranking.txt was deleted"),
        Deletions(folder, lambda: True, lambda: saved.append(True)) as deletions,
    ):
        deletions.check()
        (folder / "ranking.txt").unlink()
        deletions.check()
    assert saved  # what was made without it counts as not done


def test_a_fault_of_the_machine_is_told_before_a_deletion(folder: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        failing(
            folder,
            OSError(errno.ENOSPC, "No space left on device"),
            (folder / "ranking.txt").unlink,
        )


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

"""What is renamed into place is on the disk first: the order, and what turns it off."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from untrain.core import disk
from untrain.core.atomic import atomic_file, atomic_folder
from untrain.core.files import write_text


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that matter for a power failure, in their order."""
    monkeypatch.setenv(disk.VARIABLE, "1")
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def name_of(number: int) -> str:
        return str(Path(f"/proc/self/fd/{number}").readlink())

    def synced(number: int) -> None:
        calls.append(f"sync {Path(name_of(number)).suffix or Path(name_of(number)).name}")
        fsync(number)

    def replaced(self: Path, target: Path) -> Path:
        calls.append(f"rename to {target.name}")
        return replace(self, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc to name what is synchronised")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return calls


def test_a_file_is_on_the_disk_before_its_name_and_then_its_folder(
    tmp_path: Path, told: list[str]
) -> None:
    write_text(tmp_path / "a.txt", "text")
    assert told == ["sync .untrain-tmp", "rename to a.txt", f"sync {tmp_path.name}"]


def test_all_of_a_folder_is_on_the_disk_before_its_name(tmp_path: Path, told: list[str]) -> None:
    with atomic_folder(tmp_path / "made") as folder:
        write_text(folder / "inside" / "a.json", "{}")
        assert told == ["rename to a.json"]  # nothing is waited for twice
        write_text(folder / "b.csv", "b")
    names = [call.removeprefix("sync ") for call in told if call.startswith("sync")]
    assert names[-1] == tmp_path.name
    assert sorted(names[:-1]) == [".csv", ".json", ".untrain", ".untrain-tmp", "inside"]
    assert told[-2] == "rename to made"


def test_a_new_folder_is_on_the_disk_by_the_one_above(tmp_path: Path, told: list[str]) -> None:
    disk.make_folder(tmp_path / "a" / "b")
    assert sorted(told) == sorted([f"sync {tmp_path.name}", "sync a"])


def test_nothing_is_waited_for_if_it_is_turned_off(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(disk.VARIABLE, "0")
    write_text(tmp_path / "new" / "a.txt", "text")
    assert told == ["rename to a.txt"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_what_does_not_reach_the_disk_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setenv(disk.VARIABLE, "1")
    write_text(tmp_path / "a.txt", "before")

    def fails(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError) as failure:
        write_text(tmp_path / "a.txt", "after")
    assert failure.value.errno == number
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"


def test_a_file_system_without_fsync_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(disk.VARIABLE, "1")

    def unknown(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("text")
    assert (tmp_path / "a.txt").read_text() == "text"


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_rename_folders_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(self: Path, target: Path) -> Path:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", fails)
    with (
        pytest.raises(OSError, match=r"cannot rename .* choose another place") as failure,
        atomic_folder(tmp_path / "made") as folder,
    ):
        (folder / "a.txt").write_text("text")
    assert failure.value.errno == number
    assert not list(tmp_path.iterdir())

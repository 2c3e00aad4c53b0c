"""Checksums: noted as a file is written, compared when it is read."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from untrain.core import disk
from untrain.core.atomic import atomic_file, atomic_folder, discard_folder
from untrain.core.cache import cached
from untrain.core.errors import Damaged, InputError
from untrain.core.files import read_json, write_json, write_text
from untrain.core.growing import GrowingTable
from untrain.core.manifest import NAME, check, expected, is_whole, lost_from, noted, recorded
from untrain.core.marks import MARKER, digest_of
from untrain.core.row_sums import sums_of
from untrain.core.verifying import clear, faults_below, verify


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a folder like that of a run, with a file and a folder that was written at once."""
    write_json(tmp_path / "run.json", {"stages": {}})
    write_json(tmp_path / "results" / "a.json", {"value": 1})
    with atomic_folder(tmp_path / "models" / "m") as folder:
        (folder / "weights.bin").write_bytes(bytes(1000))
    return tmp_path


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_what_is_written_is_recorded_and_whole(run: Path) -> None:
    names = ["models/m/.untrain", "models/m/weights.bin", "results/a.json", "run.json"]
    assert list(recorded(run)) == names
    found = verify(run)
    assert found.passed and found.whole == 4 and not found.unrecorded
    assert recorded(run)["results/a.json"] == digest_of(run / "results" / "a.json")


def test_one_changed_digit_is_noticed_and_the_message_says_what_to_do(run: Path) -> None:
    path = run / "results" / "a.json"
    path.write_text(path.read_text().replace("1", "2"))
    with pytest.raises(Damaged, match=f"untrain run {run}"):
        read_json(path)
    assert verify(run).damaged == ("results/a.json",)
    write_json(path, {"value": 3})
    assert read_json(path) == {"value": 3} and verify(run).passed


def test_a_flipped_bit_of_a_model_is_noticed(run: Path) -> None:
    assert is_whole(run / "models" / "m")
    flip(run / "models" / "m" / "weights.bin")
    assert not is_whole(run / "models" / "m")
    assert verify(run).damaged == ("models/m/weights.bin",)
    discard_folder(run / "models" / "m")
    assert verify(run).passed and "models/m/weights.bin" not in recorded(run)


@pytest.mark.parametrize("text", ["", "{", '{"other": 1}'])
def test_a_marker_that_is_damaged_itself_is_put_back(run: Path, text: str) -> None:
    marker = run / "models" / "m" / MARKER
    before = marker.read_bytes()
    marker.write_text(text)
    assert not verify(run).passed
    assert is_whole(marker.parent) and marker.read_bytes() == before and verify(run).passed


def test_a_file_whose_second_line_could_not_be_written_is_recorded(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_line, lines = disk.append_line, 0

    def failing(path: Path, line: bytes) -> None:
        nonlocal lines
        lines += 1
        if lines == 2:
            raise OSError(errno.EIO, "Input/output error")
        append_line(path, line)

    monkeypatch.setattr(disk, "append_line", failing)
    write_json(run / "results" / "b.json", {"value": 2})
    assert verify(run).passed and not verify(run).unrecorded
    flip(run / "results" / "b.json")
    assert verify(run).damaged == ("results/b.json",)


@pytest.mark.parametrize("name", ["models/../../victim", "/models/victim", "models/away/victim"])
def test_a_record_of_a_stranger_has_nothing_outside_deleted(tmp_path: Path, name: str) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    write_json(folder / "run.json", {"stages": {}})
    victim.write_text("mine")
    (folder / "models").mkdir()
    (folder / "models" / "away").symlink_to(tmp_path)
    words = json.dumps(["=", "0" * 64, name])
    with (folder / NAME).open("a") as file:
        file.write(f"{crc32(words.encode()):08x} {words}\n")
    assert not clear(folder / "models") and not faults_below(folder, ["models"])
    assert victim.read_text() == "mine"


def test_a_kill_between_note_and_rename_leaves_either_file_whole(run: Path) -> None:
    path, coming = run / "results" / "a.json", run / "results" / ".coming"
    coming.write_text("{}")
    with pytest.raises(KeyboardInterrupt), noted(path, coming):
        raise KeyboardInterrupt
    check(path)
    coming.replace(path)
    check(path)
    assert len(expected(path)) == 2


def test_damaged_lines_are_passed_over_and_said(run: Path) -> None:
    lines = (run / NAME).read_text().splitlines(keepends=True)
    last = next(n for n, line in enumerate(lines) if '"="' in line and "a.json" in line)
    lines[last] = lines[last].replace('"=', '"!')
    (run / NAME).write_text("".join(lines)[:-10])  # and the last was cut off
    found = verify(run)
    assert found.broken == 1 and not found.passed
    write_text(run / "late.txt", "said")  # on a line of its own
    assert recorded(run)["late.txt"]


def test_a_folder_that_came_while_there_was_no_record_has_that_of_its_marker(run: Path) -> None:
    (run / NAME).unlink()
    (run / "run.json").rename(run / "aside")
    with atomic_folder(run / "shared" / "s") as folder:
        (folder / "parts.bin").write_bytes(bytes(10))
    (run / "aside").rename(run / "run.json")
    write_text(run / "late.txt", "said")
    assert "shared/s/parts.bin" not in verify(run).unrecorded
    flip(run / "shared" / "s" / "parts.bin")
    assert verify(run).damaged == ("shared/s/parts.bin",)


def test_a_run_made_anew_in_the_place_of_another_is_read_anew(run: Path) -> None:
    before, after = run / "results" / "a.json", run / "results" / "other.json"
    assert verify(run).passed
    number = (run / NAME).stat().st_ino
    lines = (run / NAME).read_text().replace("a.json", "other.json").splitlines(keepends=True)
    renamed = [line.partition(" ")[2].rstrip() for line in lines]
    whole = "".join(f"{crc32(words.encode()):08x} {words}\n" for words in renamed)
    (run / NAME).write_text(whole + whole)  # longer than what was read of the other one
    before.rename(after)
    assert (run / NAME).stat().st_ino == number
    assert verify(run).passed and "results/a.json" not in recorded(run)


def test_where_nothing_was_recorded_nothing_is_checked(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert read_json(tmp_path / "run.json") == {} and verify(tmp_path).unrecorded == ("run.json",)
    with atomic_file(tmp_path / "alone" / "x.txt") as temporary:
        temporary.write_text("x")
    (tmp_path / "alone" / "x.txt").write_text("y")
    assert verify(tmp_path).damaged == ("alone/x.txt",)


def test_what_is_cached_and_damaged_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    made: list[int] = []

    def ask() -> tuple[dict[str, int], tuple[str, ...]]:
        def make() -> dict[str, int]:
            made.append(1)
            return {"value": 17}

        found, notes = cached(
            "indexes", "k", {"description": "it"}, make, lambda m, p: write_json(p, m), read_json
        )
        return found, tuple(note.code for note in notes)

    assert ask() == ({"value": 17}, ()) and ask() == ({"value": 17}, ())
    entry = tmp_path / "indexes" / "k"
    for name in ("content", "meta.json", MARKER):
        for damage in (b"", b'{"value": 18}', None):
            path = entry / name
            path.unlink() if damage is None else path.write_bytes(damage)
            if name == MARKER and damage is None:  # nothing says that it is untrain's
                continue
            assert ask() == ({"value": 17}, ("cache-remade",)), (name, damage)
            assert ask() == ({"value": 17}, ())
    assert len(made) == 9


@pytest.mark.parametrize("name", ["hashes.bin", "values.bin", "sums.bin"])
def test_a_damaged_row_is_made_again_and_no_other(tmp_path: Path, name: str) -> None:
    digests = np.arange(1, 41, dtype=np.uint64).reshape(10, 4)
    values = np.arange(30, dtype=np.float16).reshape(10, 3)

    def table() -> GrowingTable:
        return GrowingTable(
            tmp_path / "t", {"values": ("float16", 3)}, {"v": 1}, lambda: {"description": "it"}
        )

    table().add(digests, {"values": values})
    assert (table().find(digests) == np.arange(10)).all()
    size = (tmp_path / "t" / name).stat().st_size // 10
    flip(tmp_path / "t" / name, 4 * size)
    again = table()
    assert np.flatnonzero(again.find(digests) < 0).tolist() == [4]
    again.add(digests[4:5], {"values": values[4:5]})
    for each in (again, table()):
        rows = each.find(digests)
        assert (each.column("values")[rows] == values).all()


def test_any_flipped_bit_changes_the_checksum() -> None:
    rows = np.random.Generator(np.random.Philox(3)).integers(0, 256, (1, 21), np.uint8)
    seen = {int(sums_of(rows)[0])}
    for bit in range(rows.size * 8):
        changed = rows.copy()
        changed[0, bit // 8] ^= 1 << bit % 8
        seen.add(int(sums_of(changed)[0]))
    assert len(seen) == 1 + rows.size * 8
    assert json.dumps(int(sums_of(np.zeros((1, 8), np.uint8))[0])) == "1"


def test_that_the_record_was_deleted_is_known_also_after_a_new_one_was_begun(run: Path) -> None:
    assert recorded(run) and lost_from(run) is None
    shutil.rmtree(run)
    write_json(run / "run.json", {"stages": {}})
    assert lost_from(run) == {"run.json", "results/a.json", "models/m/.untrain"}
    assert lost_from(run) is None  # since it was asked


def test_what_is_left_of_a_folder_without_its_list_is_replaced(run: Path) -> None:
    model = run / "models" / "m"

    def write() -> None:
        with atomic_folder(model) as folder:
            (folder / "weights.bin").write_bytes(bytes(2000))

    (model / MARKER).unlink()
    write()
    assert (model / "weights.bin").stat().st_size == 2000 and verify(run).passed
    (model / MARKER).unlink()
    (model / "notes.txt").touch()
    with pytest.raises(InputError):
        write()
    assert (model / "notes.txt").exists()

"""The record of a run is there twice, and what the one lost the other has."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from untrain.core.errors import Damaged, InputError
from untrain.core.files import read_json, read_yaml, write_json
from untrain.runs.find import refuse_foreign
from untrain.runs.record import COPY, RECORD, restore, write_record

OLDER: dict[str, Any] = {"schema_version": 1, "stages": {"fit": {"state": "running"}}}
RECORDED: dict[str, Any] = {"schema_version": 1, "stages": {"fit": {"state": "done"}}}


@pytest.mark.parametrize("name", [RECORD, COPY])
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"stages": {}}'])
def test_either_is_made_again_from_the_other(tmp_path: Path, name: str, damage: bytes) -> None:
    write_record(tmp_path, RECORDED)
    (tmp_path / name).write_bytes(damage)
    assert restore(tmp_path) == [name]
    assert json.loads((tmp_path / RECORD).read_text()) == RECORDED
    assert (tmp_path / RECORD).read_bytes() == (tmp_path / COPY).read_bytes()


def test_an_older_copy_is_brought_up_to_date_and_called_no_damage(tmp_path: Path) -> None:
    write_json(tmp_path / COPY, OLDER)
    write_json(tmp_path / RECORD, RECORDED)
    assert restore(tmp_path) == []
    assert read_json(tmp_path / COPY) == RECORDED
    assert restore(tmp_path) == []


def test_a_whole_record_is_left_as_it_is(tmp_path: Path) -> None:
    write_record(tmp_path, RECORDED)
    before = [(tmp_path / name).stat().st_mtime_ns for name in (RECORD, COPY)]
    assert restore(tmp_path) == []
    assert [(tmp_path / name).stat().st_mtime_ns for name in (RECORD, COPY)] == before


def test_paths_that_are_not_utf_8_are_read_again(tmp_path: Path) -> None:
    record = {**RECORDED, "config": {"data": {"path": os.fsdecode(b"/data/caf\xe9")}}}
    write_record(tmp_path, record)
    assert read_json(tmp_path / RECORD) == record
    restore(tmp_path)
    assert read_yaml(tmp_path / "config.yaml") == record["config"]


def test_other_halves_of_letters_are_no_record(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"schema_version": 1, "stages": {}, "name": "\\ud83d"}')
    with pytest.raises(Damaged, match="half of a letter"):
        read_json(tmp_path / RECORD)


def test_a_run_in_a_folder_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        refuse_foreign(tmp_path / os.fsdecode(b"caf\xe9") / "runs" / "mine")


def test_settings_that_were_deleted_are_written_again(tmp_path: Path) -> None:
    write_record(tmp_path, {**RECORDED, "config": {"seed": 1}})
    assert restore(tmp_path) == ["config.yaml"]
    (tmp_path / "config.yaml").unlink()
    assert restore(tmp_path) == ["config.yaml"]
    assert read_yaml(tmp_path / "config.yaml") == {"seed": 1}

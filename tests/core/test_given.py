"""Tables, arrays and archives from outside: one kind of error, with words, whoever reads them."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from untrain.core import given


def parquet(path: Path) -> None:
    table = pd.DataFrame({"image_id": [f"{i:03d}" for i in range(50)], "score": np.arange(50.0)})
    table.to_parquet(path, index=False)


def csv(path: Path) -> None:
    path.write_text("\ufeffimage_id,score\n007,1.5\n")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"words " * 100)


def tarred(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("a")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"words"))


def members(path: Path) -> Any:
    with given.open_zip(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def names(path: Path) -> Any:
    with given.open_tar(path) as archive:
        return archive.getnames()


READERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "a.parquet": (parquet, given.read_table),
    "a.csv": (csv, given.read_table),
    "a.npy": (lambda path: np.save(path, np.arange(50)), given.read_array),
    "a.zip": (zipped, members),
    "a.tar": (tarred, names),
}


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_changed_is_read_or_an_error_with_words(tmp_path: Path, name: str) -> None:
    write, read = READERS[name]
    path = tmp_path / name
    write(path)
    assert len(read(path)) > 0  # type: ignore[arg-type]
    whole, chance = path.read_bytes(), np.random.default_rng(0)
    for at in range(40):
        data = bytearray(whole if at % 2 else whole[: chance.integers(0, len(whole))])
        for place in chance.integers(0, max(len(data), 1), 3 if data else 0):
            data[place] ^= 1 << chance.integers(8)
        path.write_bytes(data)
        try:
            read(path)
        except OSError as error:
            assert error.strerror, repr(error)


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError) as failure:
        READERS[name][1](tmp_path / name)
    assert "it is a pipe; expected a regular file" in str(failure.value.strerror)


def test_ids_stay_text_and_the_byte_order_mark_is_none(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv")
    found = given.read_table(tmp_path / "a.csv", dtype=str)
    assert found.to_dict("records") == [{"image_id": "007", "score": "1.5"}]


def test_a_table_that_unpacks_to_more_than_it_may_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_MAX_TABLE", "1")
    big = pa.table({"a": np.arange(300_000)})
    pq.write_table(big, tmp_path / "a.parquet", compression="zstd")
    with (
        pytest.raises(OSError, match="UNTRAIN_MAX_TABLE"),
        given.open_parquet(tmp_path / "a.parquet"),
    ):
        pytest.fail("it was opened")
    alike = pa.table({"a": np.zeros(300_000, np.int64)})
    pq.write_table(alike, tmp_path / "b.parquet", compression="zstd")
    assert (tmp_path / "b.parquet").stat().st_size < 10_000
    with pytest.raises(OSError, match="UNTRAIN_MAX_TABLE"):
        given.read_parquet(tmp_path / "b.parquet")


def test_an_array_of_objects_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([print], object))
    with pytest.raises(OSError, match="Python objects"):
        given.read_array(tmp_path / "a.npy")

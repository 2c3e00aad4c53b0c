"""Everything that the fuzzer ever found ends in an answer or in a message."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parents[2] / "benchmarks/reliability"
FOUND = Path(__file__).with_name("found")


@pytest.mark.slow
def test_what_was_found_is_found_no_more(
    tmp_path: Path, micro_copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HARNESS))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setattr(sys, "argv", ["fuzz.py"])
    import fuzz

    finds = [path for path in sorted(FOUND.rglob("*")) if path.is_file()]
    names = {path.parent.relative_to(FOUND).as_posix() for path in finds}
    readers = fuzz.known_readers(tmp_path, "*", micro_copy())
    assert names <= {*readers, *(name for name in names if fnmatch(name, "*datasets*"))}
    for path in finds:
        name = path.parent.relative_to(FOUND).as_posix()
        if name in readers:  # without the library `datasets` some are not
            fuzz.tried(readers[name], path.read_bytes(), tmp_path)
            (tmp_path / readers[name][0]).write_bytes(readers[name][1])

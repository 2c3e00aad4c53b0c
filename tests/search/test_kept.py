"""What is kept is made once, whoever asks; a cache that cannot be written to stops nobody."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from untrain.search.kept import META, kept

ABOUT = {"description": "a number", "rows": 3}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def number(make: Callable[[], int], fresh: bool = False) -> tuple[int, tuple[str, ...]]:
    return kept(
        "key",
        ABOUT,
        make,
        save=lambda made, path: path.write_text(str(made)),
        load=lambda path: int(path.read_text()),
        fresh=fresh,
    )


def never() -> int:
    pytest.fail("made again")


def test_it_is_made_once_and_anew_if_asked(cache: Path) -> None:
    assert number(lambda: 7) == (7, ())
    assert number(never) == (7, ())
    assert number(lambda: 8, fresh=True) == (8, ())
    assert number(never) == (8, ())
    assert [path.name for path in (cache / "indexes").iterdir()] == ["key"]  # nor a lock


def test_who_waits_for_another_does_not_make_it_again() -> None:
    started, made = Event(), []

    def slowly() -> int:
        made.append(1)
        started.set()
        time.sleep(0.3)
        return 7

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(number, slowly)
        started.wait()
        second = pool.submit(number, slowly)
        assert first.result() == second.result() == (7, ())
    assert len(made) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 0}'])
def test_what_is_of_no_use_is_made_again(cache: Path, content: str) -> None:
    number(lambda: 7)
    (cache / "indexes" / "key" / META).write_text(content)
    made, notes = number(lambda: 8)
    assert made == 8 and len(notes) == 1 and notes[0].text.startswith("a number: made again")
    assert number(never) == (8, ())


def test_a_cache_that_cannot_be_written_to_is_noted(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    made, notes = number(lambda: 7)
    assert made == 7 and len(notes) == 1 and "a number: cannot be kept" in notes[0].text


def test_what_cannot_be_made_is_an_error(cache: Path) -> None:
    def unreadable() -> int:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        number(unreadable)
    assert not list((cache / "indexes").iterdir())

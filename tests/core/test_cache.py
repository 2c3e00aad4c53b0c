"""What is kept is made once, whoever asks; a cache that cannot be written to stops nobody."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from untrain.core.cache import META, cached, deletion_told, entries, recall, remove
from untrain.core.errors import InputError
from untrain.core.notes import Note

ABOUT = {"description": "a number", "rows": 3}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def number(make: Callable[[], int], fresh: bool = False) -> tuple[int, tuple[Note, ...]]:
    return cached("indexes", "key", ABOUT, make, save, load, fresh=fresh)


def save(made: int, path: Path) -> None:
    path.write_text(str(made))


def load(path: Path) -> int:
    return int(path.read_text())


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
    assert made == 7 and len(notes) == 1 and "a number: not cached" in notes[0].text


def test_what_cannot_be_made_is_an_error(cache: Path) -> None:
    def unreadable() -> int:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        number(unreadable)
    assert not list((cache / "indexes").iterdir())


def test_it_can_be_looked_up(cache: Path) -> None:
    assert recall("indexes", "key", load) is None
    number(lambda: 7)
    assert recall("indexes", "key", load) == 7
    assert recall("indexes", "key", load, version=2) is None


def test_what_no_longer_holds_is_made_again() -> None:
    def outdated(path: Path) -> int:
        raise InputError("the source has changed")

    number(lambda: 7)
    made, notes = cached("indexes", "key", ABOUT, lambda: 8, save, outdated)
    assert made == 8
    assert [(note.code, note.text) for note in notes] == [
        ("cache-remade", "a number: made again (the source has changed)")
    ]
    assert number(never) == (8, ())


def test_what_must_not_be_cached_is_not(cache: Path) -> None:
    def refusing(made: int, path: Path) -> None:
        raise InputError("the source changed meanwhile")

    made, notes = cached("indexes", "key", ABOUT, lambda: 7, refusing, load)
    assert made == 7 and [note.code for note in notes] == ["cache-unwritable"]
    assert not list((cache / "indexes").iterdir())


def test_what_was_made_tells_what_it_is_and_is_opened_again() -> None:
    made, _ = cached(
        "paces",
        "key",
        lambda made: {"description": f"the number {made}"},
        lambda: 7,
        save,
        lambda path: -load(path),
        reopen=True,
    )
    assert made == -7
    assert [entry.description for entry in entries(("paces",))] == ["the number 7"]


@pytest.mark.parametrize("name", ["key", "my-work"])
def test_somebodys_folder_in_the_cache_stays(cache: Path, name: str) -> None:
    (cache / "indexes" / name).mkdir(parents=True)
    (cache / "indexes" / name / "notes.txt").write_text("mine")
    made, notes = number(lambda: 7)
    assert made == 7
    assert ("cache-unwritable" in [note.code for note in notes]) == (name == "key")
    for entry in entries():
        remove(entry)
    assert (cache / "indexes" / name / "notes.txt").read_text() == "mine"


def test_an_entry_with_somebodys_file_in_it_stays(cache: Path) -> None:
    number(lambda: 7)
    (cache / "indexes" / "key" / "notes.txt").write_text("mine")
    (entry,) = entries()
    with pytest.raises(InputError, match=r"holds notes\.txt, which untrain did not write"):
        remove(entry)
    made, notes = number(lambda: 8, fresh=True)
    assert made == 8 and [note.code for note in notes] == ["cache-unwritable"]
    assert (cache / "indexes" / "key" / "notes.txt").read_text() == "mine"


def test_what_is_gone_from_the_cache_is_told(cache: Path) -> None:
    words = "No such file or directory"
    told = deletion_told(FileNotFoundError(errno.ENOENT, words, str(cache / "a" / "hashes.bin")))
    assert told is not None and "was deleted from the cache" in told
    elsewhere = FileNotFoundError(errno.ENOENT, words, str(cache.parent / "photo.png"))
    for error in (elsewhere, FileNotFoundError(), ValueError()):
        assert deletion_told(error) is None

"""``untrain cache`` shows what is kept and deletes what it is told to."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from untrain.cli.cache import app
from untrain.core import cache as module
from untrain.core.errors import InputError
from untrain.core.files import write_json
from untrain.core.marks import mark


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Features of 3 images, an old listing, and an index that was never finished."""
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    write_json(tmp_path / "features" / "0123" / "meta.json", {"description": "resnet, mean"})
    (tmp_path / "features" / "0123" / "hashes.bin").write_bytes(b"x" * 96)
    (tmp_path / "features" / "0123" / "features.bin").write_bytes(b"x" * 2_000_000)
    (tmp_path / "features" / "my-work").mkdir()
    (tmp_path / "features" / "my-work" / "meta.json").write_text('{"description": "mine"}')
    listing = tmp_path / "catalogs" / "4567" / "meta.json"
    write_json(listing, {"description": "fashion [zip]", "rows": 44072})
    os.utime(listing, (time.time() - 40 * 86400,) * 2)
    (tmp_path / "indexes" / "89ab").mkdir(parents=True)
    for name in ("features/0123", "catalogs/4567", "indexes/89ab"):
        mark(tmp_path / name)
    return tmp_path


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    if done.exception:
        raise done.exception
    return done.output


def test_it_shows_what_is_there(cache: Path) -> None:
    for shown in (call(), call("show")):
        lines = shown.splitlines()
        assert any("resnet, mean" in x and "3" in x and "2.0 MB" in x for x in lines)
        assert any("fashion [zip]" in x and "44,072" in x and "40 days ago" in x for x in lines)
        assert "unfinished or unreadable" in shown
        assert "3 entries" in shown


def test_programs_can_read_it(cache: Path) -> None:
    found = json.loads(call("show", "--json"))
    assert found["folder"] == str(cache)
    assert [(e["kind"], e["rows"]) for e in found["entries"]] == [
        ("features", 3),
        ("catalogs", 44072),
        ("indexes", None),
    ]
    assert found["entries"][0]["bytes"] > 2_000_096


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--all"], set()),
        (["--older-than", "30"], {"0123", "89ab"}),
        (["--kind", "features"], {"4567", "89ab"}),
        (["--older-than", "30", "--kind", "features"], {"0123", "4567", "89ab"}),
    ],
)
def test_it_deletes_what_it_is_told_to(cache: Path, arguments: list[str], left: set[str]) -> None:
    words = {0: "0 entries", 1: "1 entry", 3: "3 entries"}[3 - len(left)]
    assert call("prune", *arguments).startswith(words)
    assert {path.name for path in cache.glob("*/*")} == {*left, "my-work"}
    assert (cache / "features" / "my-work" / "meta.json").exists()


def test_it_leaves_what_somebody_put_into_an_entry(cache: Path) -> None:
    (cache / "features" / "0123" / "notes.txt").write_text("mine")
    said = call("prune", "--all")
    assert "kept: " in said and "holds notes.txt" in said and "2 entries" in said
    assert (cache / "features" / "0123" / "notes.txt").read_text() == "mine"


def test_it_deletes_nothing_unasked(cache: Path) -> None:
    with pytest.raises(InputError, match="nothing to prune was named"):
        call("prune")
    with pytest.raises(InputError, match="did you mean 'features'"):
        call("prune", "--kind", "feature")
    assert len(list(cache.glob("*/*"))) == 4


def test_what_vanishes_while_it_is_looked_at_is_no_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, sizes = module.read_json, module._sizes

    def reading(path: Path) -> Any:
        (path.parent / "hashes.bin").unlink(missing_ok=True)
        return read(path)

    def sizing(folder: Path) -> dict[Path, int]:
        if folder.name == "4567":
            shutil.rmtree(folder)
        return sizes(folder)

    monkeypatch.setattr(module, "read_json", reading)
    monkeypatch.setattr(module, "_sizes", sizing)
    assert [(e.kind, e.description) for e in module.entries()] == [
        ("features", "resnet, mean"),
        ("indexes", "unfinished or unreadable"),
    ]


def test_files_of_one_name_count_each(cache: Path) -> None:
    for name in ("meta.json", "index/meta.json"):
        write_json(cache / "indexes" / "cdef" / name, {"description": "x" * 1000})
    mark(cache / "indexes" / "cdef")
    assert {e.size // 1000 for e in module.entries(("indexes",))} == {0, 2}


def test_an_empty_cache_is_no_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(cache / "nothing"))
    assert "0 entries" in call()
    assert "0 entries" in call("prune", "--all")

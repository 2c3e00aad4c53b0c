"""``untrain index`` and ``untrain search``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain


def test_shards_are_written_once_and_searched(untrain: Untrain, photos: Path) -> None:
    command = ("index", photos, "--out", "shards", "--shard-rows", 16)
    said = untrain(*command)
    assert said.code == 0, said.err
    assert "2 shards written" in said.out
    assert "0 shards written" in untrain(*command).out
    pictures = sorted(photos.glob("**/*.png"))[:2]
    told = json.loads(untrain("search", *pictures, "--index", "shards", "--json").out)
    assert told["images"] == 32
    for hits in told["hits"].values():
        assert len(hits) == 10
        assert hits[0]["cosine"] > 0.999
        assert hits[0]["caption"]
    shown = untrain("search", pictures[0], "-i", "shards", "-i", "shards", "--top", 2)
    assert "64 images in 4 shards" in shown.out


def test_a_search_finds_everything_in_the_cache(
    untrain: Untrain, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    told = json.loads(untrain("index", photos, "--json").out)
    assert told["images"] == 32
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.bin")}
    assert before
    picture = next(photos.glob("**/*.png"))
    assert untrain("trace", picture, "--catalog", photos, "--prompt", "red shirt").code == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.bin")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "rai"), "did you mean 'ray'"),
        (("--address", "auto"), "is of no use to the engine 'local'"),
        (("--encoder", "no/such/model"), "is neither a folder nor a model"),
        (("--out", "shards", "--shard-rows", "10"), "multiple of 16"),
    ],
)
def test_what_cannot_be(
    untrain: Untrain, photos: Path, options: tuple[str, ...], message: str
) -> None:
    said = untrain("index", photos, *options)
    assert said.code == 2
    assert message in " ".join(said.err.split())


def test_ray_is_not_installed(
    untrain: Untrain, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = untrain("index", photos, "--engine", "ray")
    assert said.code == 2
    assert "pip install 'untrain[ray]'" in said.err


def test_a_search_in_what_is_no_index(untrain: Untrain, photos: Path) -> None:
    picture = next(photos.glob("**/*.png"))
    said = untrain("search", picture, "--index", photos)
    assert said.code == 2
    assert "holds no index in shards" in said.err

"""Pipes, devices and links in the place of every file that a user hands in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain
from tests.helpers.hostile import Case, Meet, Spoil, held


def socket(path: Path) -> None:
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # its name must be short


def _empty(path: Path) -> Path:
    path.touch()
    return path


SPECIAL: dict[str, Spoil] = {
    "pipe": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": socket,
    "loop": lambda path: path.symlink_to(path),
    "folder": lambda path: path.mkdir(),
    "huge": lambda path: os.truncate(_empty(path), 2**41),
    "broken": lambda path: path.symlink_to(path.with_name("nowhere")),
}
PLACES: dict[str, tuple[str, ...]] = {
    "mine.yaml": ("plan", "mine.yaml"),
    "prompts.txt": ("plan", "mine.yaml"),
    "x.zip": ("data", "inspect", "x.zip", "--format", "fashion"),
    "x.csv": ("data", "inspect", "x.csv"),
    "x.tsv": ("data", "inspect", "x.tsv"),
    "captions_x.json": ("data", "inspect", "captions_x.json"),
    "x.parquet": ("data", "inspect", "x.parquet"),
    "x.tar": ("data", "inspect", "x.tar"),
    "x.png": ("trace", "x.png", "--catalog", "photos", "--prompt", "a red shirt"),
    "out.txt": ("plan", "mine.yaml", "--set", "data.exclude=out.txt"),
    "out.csv": ("plan", "mine.yaml", "--set", "data.exclude=out.csv"),
    "out.parquet": ("plan", "mine.yaml", "--set", "data.exclude=out.parquet"),
    "ids.txt": ("plan", "mine.yaml", "--set", "removal.ids=ids.txt"),
    "keep.txt": ("plan", "mine.yaml", "--set", "data.keep_in=keep.txt"),
    "near.txt": ("plan", "mine.yaml", "--set", "data.subset={size: 20, neighbours_of: near.txt}"),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_is_none(meet: Meet, place: str, kind: str) -> None:
    def spoil(folder: Path) -> None:
        (folder / place).unlink(missing_ok=True)
        SPECIAL[kind](folder / place)

    said = meet(Case(PLACES[place], spoil))
    assert any(name in said.err for name in (place, "/dev/zero", "nowhere"))
    assert not Path("runs").exists()


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("suffix", ["png", "txt"])
def test_an_image_or_caption_that_is_none_is_skipped(
    untrain: Untrain, photos: Path, suffix: str, kind: str
) -> None:
    path = next(photos.glob(f"*.{suffix}"))
    path.unlink()
    SPECIAL[kind](path)
    held(untrain, ("data", "inspect", "photos"), (path.stem,), 0)


@pytest.mark.parametrize("kind", SPECIAL)
def test_an_image_named_in_a_table_that_is_none_is_skipped(
    untrain: Untrain, photos: Path, kind: str
) -> None:
    first, *others = sorted(photos.glob("*.png"))[:3]
    first.unlink()
    SPECIAL[kind](first)
    rows = "".join(f"photos/{each.name},a shirt\n" for each in (first, *others))
    Path("table.csv").write_text(f"path,caption\n{rows}")
    held(untrain, ("data", "inspect", "table.csv"), (first.stem,), 0)

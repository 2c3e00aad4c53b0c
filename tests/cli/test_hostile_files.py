"""Pipes, devices and bombs in the place of every file that a user hands in."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain
from untrain.catalogs.formats.fashion import COLUMNS

Spoil = Callable[[Path], object]
SECONDS = 20


@pytest.fixture(autouse=True)
def _nothing_is_waited_for() -> None:
    """Let a test that hangs fail, not wait for ever."""
    signal = pytest.importorskip("signal")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)


def socket(path: Path) -> None:
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # its name must be short


SPECIAL: dict[str, Spoil] = {
    "pipe": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": socket,
    "loop": lambda path: path.symlink_to(path),
    "folder": lambda path: path.mkdir(),
    "huge": lambda path: os.truncate(_empty(path), 2**41),
}


def _empty(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("mine.yaml", ("plan", "mine.yaml")),
        ("prompts.txt", ("plan", "mine.yaml")),
        ("x.zip", ("data", "inspect", "x.zip", "--format", "fashion")),
        ("x.csv", ("data", "inspect", "x.csv")),
        ("x.tsv", ("data", "inspect", "x.tsv")),
        ("captions_x.json", ("data", "inspect", "captions_x.json")),
        ("x.parquet", ("data", "inspect", "x.parquet")),
        ("x.tar", ("data", "inspect", "x.tar")),
        ("x.png", ("trace", "x.png", "--catalog", "photos", "--prompt", "a red shirt")),
        ("out.txt", ("plan", "mine.yaml", "--set", "data.exclude=out.txt")),
        ("out.csv", ("plan", "mine.yaml", "--set", "data.exclude=out.csv")),
        ("ids.txt", ("plan", "mine.yaml", "--set", "removal.ids=ids.txt")),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_file_that_is_none(
    untrain: Untrain, experiment: Path, place: str, command: tuple[str, ...], kind: str
) -> None:
    path = experiment.parent / place
    path.unlink(missing_ok=True)
    SPECIAL[kind](path)
    said = untrain(*command)
    assert said.code == 2, said
    assert "should not have happened" not in said.err
    assert place in said.err or "/dev/zero" in said.err
    assert not Path("runs").exists()


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("suffix", ["png", "txt"])
def test_an_image_or_caption_that_is_none_is_skipped(
    untrain: Untrain, photos: Path, suffix: str, kind: str
) -> None:
    path = next(photos.glob(f"*.{suffix}"))
    path.unlink()
    SPECIAL[kind](path)
    said = untrain("data", "inspect", "photos")
    assert said.code == 0, said
    assert path.stem in said.out + said.err


@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_an_image_named_in_a_table_that_is_none_is_skipped(
    untrain: Untrain, photos: Path, kind: str
) -> None:
    first, *others = sorted(photos.glob("*.png"))[:3]
    first.unlink()
    SPECIAL[kind](first)
    rows = "".join(f"photos/{each.name},a shirt\n" for each in (first, *others))
    Path("table.csv").write_text(f"path,caption\n{rows}")
    said = untrain("data", "inspect", "table.csv")
    assert said.code == 0, said
    assert first.stem in said.out + said.err


def test_a_zip_that_unpacks_to_more_than_there_is_room_for(
    untrain: Untrain, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_MAX_IMAGE", "1")
    rows = [",".join(COLUMNS), *(",".join([str(n), *["x"] * (len(COLUMNS) - 1)]) for n in (1, 2))]
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("styles.csv", "\n".join(rows))
        archive.writestr("images/1.jpg", bytes(3 << 20))
        archive.write(next(photos.glob("*.png")), "images/2.jpg")
    said = untrain("data", "inspect", "bomb.zip", "--format", "fashion")
    assert said.code == 0, said
    assert "images: 1" in said.out
    assert "image cannot be read" in said.out

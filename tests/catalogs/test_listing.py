"""Remembered listings: the same catalogue as a fresh read, and never an outdated one."""

from __future__ import annotations

import errno
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from tests.helpers.catalogs import FILES, picture, unpacked, zipped
from tests.helpers.places import REAL
from untrain.catalogs import Catalog, guess_format, listing, load_catalog, reading
from untrain.catalogs.formats import fashion, folder
from untrain.core.cache import cache_folder
from untrain.core.errors import InputError
from untrain.core.marks import mark


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=[0, 50_000], ids=["mapped", "in memory"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings of which everything, or nothing, is large."""
    monkeypatch.setattr(listing, "SMALL", request.param)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the images that were decoded to check them."""
    seen: list[str] = []
    decode = reading.decode

    def noting(data: bytes, image_id: str) -> Image.Image:
        seen.append(image_id)
        return decode(data, image_id)

    monkeypatch.setattr(reading, "decode", noting)
    return seen


def in_folder(place: Path) -> tuple[str, Path]:
    files = {f"{n}.jpg": picture(n) for n in (2, 10, 7)}
    files |= {f"{n}.txt": f"a shirt, number {n}".encode() for n in (2, 10, 7, 99)}
    return "folder", unpacked(place / "photos", files)


def in_zip(place: Path) -> tuple[str, Path]:
    return "fashion", zipped(place / "a.zip", FILES)


def in_stored_zip(place: Path) -> tuple[str, Path]:
    with zipfile.ZipFile(place / "b.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return "fashion", place / "b.zip"


def in_packed_zip(place: Path) -> tuple[str, Path]:
    """Packed in a way that is left to `zipfile`."""
    with zipfile.ZipFile(place / "c.zip", "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return "fashion", place / "c.zip"


def unzipped(place: Path) -> tuple[str, Path]:
    return "fashion", unpacked(place / "data", {f"below/{n}": d for n, d in FILES.items()})


SOURCES = (in_folder, in_zip, in_stored_zip, in_packed_zip, unzipped)


@pytest.fixture(params=SOURCES, ids=lambda make: make.__name__)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    yield request.param(tmp_path)


def load(source: tuple[str, Path], **more: Any) -> Catalog:
    return load_catalog(source[0], path=source[1], **more)


@pytest.mark.usefixtures("size")
def test_a_remembered_catalogue_is_the_same(source: tuple[str, Path], decoded: list[str]) -> None:
    first = load(source)
    assert sorted(decoded) == sorted(first.ids)
    again = load((source[0], str(source[1])))  # type: ignore[arg-type]
    assert len(decoded) == len(first)  # nothing was decoded again
    for name in ("name", "ids", "captions", "hashes", "skipped", "fingerprint"):
        assert getattr(again, name) == getattr(first, name)
    pd.testing.assert_frame_equal(again.attributes, first.attributes)
    assert [again.read(i) for i in again.ids] == [first.read(i) for i in first.ids]
    assert type(again).__dict__["content"].func(again) == first.fingerprint
    load(source, fresh=True)
    assert len(decoded) == 2 * len(first)


def test_a_relative_path_is_the_same_catalogue(
    source: tuple[str, Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(source)
    monkeypatch.chdir(source[1].parent)
    again = load((source[0], Path(source[1].name)))
    assert len(decoded) == len(first)
    assert again.image(first.ids[0]).size == first.image(first.ids[0]).size


def test_strict_refuses_what_was_skipped_when_it_was_read(source: tuple[str, Path]) -> None:
    assert load(source).skipped
    with pytest.raises(InputError, match="1 entry cannot be used: 1 × ") as remembered:
        load(source, strict=True)
    with pytest.raises(InputError) as fresh:
        load(source, strict=True, fresh=True)
    assert str(remembered.value) == str(fresh.value)


def change_caption(path: Path) -> None:
    (path / "2.txt").write_text("a shirt, number X")  # of equal length


def add_pair(path: Path) -> None:
    (path / "5.jpg").write_bytes(picture(5))
    (path / "5.txt").write_text("a fifth")


def replace_image(path: Path) -> None:
    (path / "2.jpg").write_bytes(picture(5))


def remove_pair(path: Path) -> None:
    (path / "2.jpg").unlink()


@pytest.mark.parametrize("change", [change_caption, add_pair, replace_image, remove_pair])
def test_a_folder_that_changed_is_read_again(
    tmp_path: Path, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    source = in_folder(tmp_path)
    before = load(source)
    change(source[1])
    after = load(source)
    assert after.fingerprint == load(source, fresh=True).fingerprint != before.fingerprint
    assert "has changed since it was read" in capsys.readouterr().err


def test_a_zip_that_changed_is_read_again(tmp_path: Path, decoded: list[str]) -> None:
    source = in_zip(tmp_path)
    before = load(source)
    zipped(source[1], FILES | {"images/9.jpg": picture(10)})
    with pytest.raises(InputError, match="image '9' cannot be read"):  # by the old listing
        [before.read(i) for i in before.ids]
    after = load(source)
    assert after.fingerprint != before.fingerprint
    assert after.read("9") == picture(10)
    assert decoded.count("9") == 2
    os.utime(source[1], (1, 1))  # time alone
    load(source)
    assert len(decoded) == 4  # what is in it has the same checksums


def test_other_files_of_an_unpacked_data_set_count(tmp_path: Path) -> None:
    source = unzipped(tmp_path)
    before = load(source)
    unpacked(source[1], FILES)  # a styles.csv further up counts more
    (source[1] / "images" / "9.jpg").write_bytes(picture(3))
    assert load(source).fingerprint != before.fingerprint


def test_other_options_are_another_listing(tmp_path: Path) -> None:
    source = in_zip(tmp_path)
    assert len(load(source)) == 3
    assert load(source, ids={"9", "11"}).ids == load(source, ids={"11", "9"}).ids == ("9", "11")
    assert len(list(cache_folder("catalogs").iterdir())) == 2


def arrive(path: Path, number: int = 5) -> None:
    """Add a pair with old times, as rsync and unzip do."""
    for name, data in ((f"{number}.jpg", picture(number)), (f"{number}.txt", b"an old shirt")):
        (path / name).write_bytes(data)
        os.utime(path / name, (10**9, 10**9))


def touch(path: Path) -> None:
    os.utime(path / "7.txt", (10**9, 10**9))


@pytest.mark.parametrize("change", [arrive, touch, remove_pair])
def test_what_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path,
    change: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = in_folder(tmp_path)
    check = folder.check_images

    def checking_while_it_changes(*arguments: Any) -> Any:
        checked = check(*arguments)
        change(source[1])
        return checked

    monkeypatch.setattr(folder, "check_images", checking_while_it_changes)
    assert len(load(source)) == 3
    assert not list(cache_folder("catalogs").iterdir())
    assert "changed while it was read" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    assert load(source).fingerprint == load(source, fresh=True).fingerprint


def test_images_that_arrive_below_a_folder_while_it_is_read_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = unzipped(tmp_path)
    check = fashion.check_images

    def checking_while_it_changes(*arguments: Any) -> Any:
        arrive(source[1] / "below" / "images", 13)
        return check(*arguments)

    monkeypatch.setattr(fashion, "check_images", checking_while_it_changes)
    assert "13" not in load(source).ids
    assert not list(cache_folder("catalogs").iterdir())


def test_files_of_any_time_are_remembered(tmp_path: Path, decoded: list[str]) -> None:
    source = in_folder(tmp_path)
    later = time.time_ns() + 10**12
    os.utime(source[1] / "2.txt", ns=(later, later))
    load(source)
    load(source)
    assert len(decoded) == 3


@pytest.mark.parametrize(
    "name", ["meta.json", *(f"content/{n}" for n in ("listing.json", "images.arrow", "places.npy"))]
)
@pytest.mark.parametrize("damage", [b"", b"{}", b"PAR1 and nothing"])
def test_a_damaged_listing_is_made_again(
    tmp_path: Path, decoded: list[str], name: str, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, listed = in_zip(tmp_path), list[int]()
    first = load(source)
    (kept,) = cache_folder("catalogs").iterdir()
    (kept / name).write_bytes(damage) if damage else (kept / name).unlink()
    read = fashion.check_images
    monkeypatch.setattr(fashion, "check_images", lambda *given: (listed.append(1), read(*given))[1])
    for _ in range(2):
        assert load(source).fingerprint == first.fingerprint
    assert len(listed) == 1
    assert len(decoded) == len(first)  # the images were checked before


def test_a_listing_of_another_version_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_zip(tmp_path)
    load(source)
    (kept,) = cache_folder("catalogs").iterdir()
    meta = kept / "meta.json"
    meta.write_text(meta.read_text().replace(f'"version": {listing.VERSION}', '"version": 1'))
    mark(kept, checksums=True)  # as another version would have written it
    load(source)
    assert "it is of version 1, expected" in capsys.readouterr().err


def test_a_full_disk_costs_the_listing_alone(
    source: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(listing, "write_json", full)
    assert len(load(source)) == 3
    assert "not cached" in capsys.readouterr().err
    assert not [p for p in cache_folder("catalogs").rglob("*") if p.is_file()]


def test_a_source_that_is_gone_is_said_so(source: tuple[str, Path]) -> None:
    load(source)
    shutil.rmtree(source[1]) if source[1].is_dir() else source[1].unlink()
    with pytest.raises(InputError, match="does not exist"):
        load(source)


def test_the_format_is_guessed_by_what_is_there(tmp_path: Path) -> None:
    assert guess_format(in_folder(tmp_path)[1]) == "folder"
    assert guess_format(unzipped(tmp_path)[1]) == "fashion"
    assert guess_format(tmp_path / "A.ZIP") == "fashion"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the Fashion Product Images zip is not there")
def test_the_real_data_opens_in_a_moment() -> None:
    fresh = load(("fashion", REAL))
    start = time.perf_counter()
    again = load(("fashion", REAL))
    again.image(again.ids[-1])
    assert time.perf_counter() - start < 1  # about 0.2 s on an idle machine
    assert again.fingerprint == fresh.fingerprint

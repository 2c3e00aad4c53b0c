"""Of a catalogue that grew only the new images are decoded, and it is what a fresh one is."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.catalogs import FILES, HEADER, ROWS, picture, unpacked, zipped
from untrain.catalogs import Catalog, load_catalog, reading
from untrain.catalogs.checked import Checked
from untrain.core.cache import cache_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


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


def pairs(folder: Path, numbers: list[int]) -> Path:
    """A flat folder; pictures that are there already stay as they are."""
    files = {f"{n}.jpg": picture(n) for n in numbers}
    files |= {f"{n}.txt": f"number {n}".encode() for n in numbers}
    return unpacked(folder, {n: d for n, d in files.items() if not (folder / n).exists()})


def table(folder: Path, numbers: list[int]) -> Path:
    unpacked(
        folder, {f"{n}.jpg": picture(n) for n in numbers if not (folder / f"{n}.jpg").exists()}
    )
    lines = ["image,caption", *(f"{n}.jpg,number {n}" for n in numbers)]
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


def shard(folder: Path, numbers: list[int]) -> Path:
    """A tar more each time."""
    folder.mkdir(exist_ok=True)
    place = len(list(folder.iterdir()))
    known = set()
    for path in folder.iterdir():
        with tarfile.open(path) as archive:
            known |= {int(name.removesuffix(".jpg")) for name in archive.getnames() if "j" in name}
    with tarfile.open(folder / f"{place}.tar", "w") as archive:
        for number in sorted(set(numbers) - known):
            for name, data in ((f"{number}.jpg", picture(number)), (f"{number}.txt", b"a shirt")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, BytesIO(data))
    return folder


def rows(folder: Path, numbers: list[int]) -> Path:
    """A Parquet file more each time."""
    folder.mkdir(exist_ok=True)
    known = [i for path in folder.iterdir() for i in pq.read_table(path)["id"].to_pylist()]
    new = [str(n) for n in numbers if str(n) not in known]
    images = [picture(int(n)) for n in new]
    found = {"id": new, "caption": ["a shirt"] * len(new), "image": images}
    pq.write_table(pa.table(found), folder / f"{len(list(folder.iterdir()))}.parquet")
    return folder


def archive(folder: Path, numbers: list[int]) -> Path:
    """A zip that is written anew each time, as `zip -u` does."""
    folder.mkdir(exist_ok=True)
    styles = [f"{n}," + ROWS[0].partition(",")[2] for n in numbers]
    files = {"styles.csv": "\n".join((HEADER, *styles)).encode()}
    return zipped(folder / "a.zip", files | {f"images/{n}.jpg": picture(n) for n in numbers})


Write = Callable[[Path, list[int]], Path]
WAYS: dict[str, tuple[str, Write]] = {
    "folder": ("folder", pairs),
    "zip": ("fashion", archive),
    "csv": ("csv", table),
    "webdataset": ("webdataset", shard),
    "parquet": ("parquet", rows),
}


@pytest.mark.parametrize("way", WAYS)
def test_only_new_images_are_decoded(way: str, tmp_path: Path, decoded: list[str]) -> None:
    format, write = WAYS[way]
    load_catalog(format, path=write(tmp_path / "data", [1, 2, 10]))
    decoded.clear()
    path = write(tmp_path / "data", [1, 2, 3, 10, 11])
    grown = load_catalog(format, path=path)
    assert sorted(decoded) == ["11", "3"]
    assert grown.ids == ("1", "2", "3", "10", "11")
    assert grown.fingerprint == load_catalog(format, path=path, fresh=True).fingerprint


some = st.lists(st.integers(1, 9), min_size=1, max_size=6, unique=True)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(some, min_size=2, max_size=3), st.sampled_from(["folder", "zip", "csv"]))
def test_a_catalogue_that_grew_or_shrank_is_that_of_a_fresh_look(
    own_cache: None, steps: list[list[int]], way: str
) -> None:
    format, write = WAYS[way]
    with TemporaryDirectory() as place:
        data, fresh = Path(place, "data"), Path(place, "fresh")
        found: Catalog | None = None
        for numbers in steps:
            path = write(data, numbers)
            for file in data.glob("*.jpg"):  # those that were removed
                if int(file.stem) not in numbers:
                    file.unlink()
                    file.with_suffix(".txt").unlink(missing_ok=True)
            found = load_catalog(format, path=path)
        expected = load_catalog(format, path=write(fresh, steps[-1]), fresh=True)
        assert found is not None and found.fingerprint == expected.fingerprint


def test_a_picture_that_changed_is_read_again_whatever_its_time(
    tmp_path: Path, decoded: list[str]
) -> None:
    path = pairs(tmp_path / "data", [1, 2])
    before = load_catalog("folder", path=path)
    state = (path / "2.jpg").stat()
    changed = bytearray(picture(2))
    changed[-3] ^= 1  # of the same size
    (path / "2.jpg").write_bytes(changed)
    os.utime(path / "2.jpg", ns=(state.st_atime_ns, state.st_mtime_ns))
    pairs(path, [1, 2, 3])
    decoded.clear()
    after = load_catalog("folder", path=path)
    assert sorted(decoded) == ["2", "3"]
    assert after.hashes[1] != before.hashes[1]


def test_a_listing_that_was_cut_short_goes_on(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pairs(tmp_path / "data", list(range(1, 9)))
    monkeypatch.setattr(reading, "AT_ONCE", 2)
    real = reading.check_each

    def stopping(ids: list[str], *others: list) -> list:
        if "5" in ids:
            raise KeyboardInterrupt
        return real(ids, *others)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "check_each", stopping)
        with pytest.raises(KeyboardInterrupt):
            load_catalog("folder", path=path)
    assert sorted(decoded) == ["1", "2", "3", "4"]
    load_catalog("folder", path=path)
    assert sorted(decoded) == [str(n) for n in range(1, 9)]


@pytest.mark.parametrize("cut", [0, 1, 31, 33, 95])
@pytest.mark.parametrize("name", ["hashes.bin", "contents.bin"])
def test_half_written_checks_are_cut_off(
    tmp_path: Path, decoded: list[str], name: str, cut: int
) -> None:
    path = pairs(tmp_path / "data", [1, 2, 3])
    expected = load_catalog("folder", path=path)
    (kept,) = cache_folder("checks").iterdir()
    with (kept / name).open("r+b") as file:
        file.truncate(cut)
    pairs(path, [1, 2, 3, 4])
    decoded.clear()
    assert load_catalog("folder", path=path).hashes[:3] == expected.hashes
    assert len(decoded) == 4 - cut // 32
    pairs(path, [1, 2, 3, 4, 5])
    decoded.clear()
    load_catalog("folder", path=path)
    assert decoded == ["5"]


def test_two_at_once_keep_what_both_found() -> None:
    first, second = Checked("somewhere"), Checked("somewhere")
    contents = [f"{n:064x}" for n in range(4)]
    first.note(["a", "b"], contents[:2])
    second.note(["b", "c", ""], contents[1:4])
    second.write()
    first.write()
    for checked in (first, second, Checked("somewhere")):
        found = checked.known(["c", "a", "", "d", "b"])
        assert found == [contents[2], contents[0], "", "", contents[1]]
    assert Checked("elsewhere").known(["a"]) == [""]


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "file" / "below"))
    path = unpacked(tmp_path / "data", FILES)
    for _ in range(2):
        assert len(load_catalog("fashion", path=path)) == 3
    assert len(decoded) == 6

"""What holds of every format: ids, captions and bytes survive it, and its faults are said."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pickle
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.catalogs import encoded, picture, small_catalog
from untrain.catalogs import Catalog, guess_format, intake, listing, load_catalog, reading
from untrain.catalogs.export import EXPORTS, export
from untrain.catalogs.formats.shards import braces
from untrain.catalogs.reading import natural_key
from untrain.core.cache import cache_folder
from untrain.core.errors import InputError

FORMATS = sorted(EXPORTS)
TABLES = sorted(set(FORMATS) - {"folder"})
FILES = {"csv": "table.csv", "coco": "captions.json"}
FACTS = pd.DataFrame(
    {
        "brand": ["Acme", "Bolt", "Acme", "", "Bolt", "Acme"],
        "year": ["2010", "2011", "2012", "2013", "2014", "2015"],
    }
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=[0, 50_000], ids=["mapped", "in memory"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings of which everything, or nothing, is large."""
    monkeypatch.setattr(listing, "SMALL", request.param)


@pytest.fixture(params=TABLES)
def format(request: pytest.FixtureRequest) -> str:
    return needed(request.param)


def needed(format: str) -> str:
    if format in ("datasets", "imagefolder"):
        pytest.importorskip("datasets").disable_progress_bars()
    return format


def catalog_of(files: dict[str, bytes], facts: pd.DataFrame) -> Catalog:
    return dataclasses.replace(small_catalog(files), attributes=facts)


@pytest.fixture
def catalog() -> Catalog:
    files = {str(n): picture(n, "PNG" if n % 2 else "JPEG") for n in (1, 2, 5, 9, 10, 11)}
    return catalog_of(files, FACTS)


def written(catalog: Catalog, format: str, place: Path) -> Path:
    export(catalog, [], place, format)
    return place / FILES[format] if format in FILES else place


@pytest.mark.usefixtures("size")
def test_every_format_gives_back_what_was_written(
    catalog: Catalog, format: str, tmp_path: Path
) -> None:
    path = written(catalog, format, tmp_path / "data")
    for _ in range(2):  # read, and remembered
        again = load_catalog(format, path=path, strict=True)
        for name in ("ids", "captions", "hashes", "fingerprint", "skipped"):
            assert getattr(again, name) == getattr(catalog, name)
        assert again.attributes.astype(object).equals(FACTS.astype(object))
        assert [again.read(i) for i in again.ids] == [catalog.read(i) for i in catalog.ids]
        assert isinstance(again.ids, tuple) is (listing.SMALL > 0)
        assert again.subset(["5", "10"]).fingerprint == catalog.subset(["5", "10"]).fingerprint
    assert guess_format(path) == format


HARD = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Z"), include_characters=" ./#"), min_size=1
)
CAPTIONS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).map(str.strip)


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=8, deadline=None)
@given(pairs=st.dictionaries(HARD, CAPTIONS.filter(bool), min_size=1, max_size=4))
def test_ids_and_captions_of_any_kind_survive(name: str, pairs: dict[str, str]) -> None:
    needed(name)
    ids = sorted(pairs, key=natural_key)
    files = {image_id: picture(number) for number, image_id in enumerate(ids)}
    catalog = dataclasses.replace(small_catalog(files), captions=tuple(pairs[i] for i in ids))
    with tempfile.TemporaryDirectory() as place:
        again = load_catalog(name, path=written(catalog, name, Path(place, "data")), fresh=True)
        assert again.ids == catalog.ids and again.captions == catalog.captions
        assert again.fingerprint == catalog.fingerprint


def test_the_fingerprint_is_of_content_alone(catalog: Catalog, format: str, tmp_path: Path) -> None:
    path = written(catalog, format, tmp_path / "one")
    first = load_catalog(format, path=path).fingerprint
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for file in (tmp_path / "two").rglob("*"):
        os.utime(file, (10**9, 10**9))
    moved = tmp_path / "two" / path.relative_to(tmp_path / "one")
    assert load_catalog(format, path=moved).fingerprint == first
    other = catalog_of({i: catalog.read(i) for i in catalog.ids[:-1]} | {"11": picture(99)}, FACTS)
    changed = written(other, format, tmp_path / "three")
    assert load_catalog(format, path=changed).fingerprint != first


def test_names_may_be_taken_that_readers_look_for(
    catalog: Catalog, format: str, tmp_path: Path
) -> None:
    facts = pd.DataFrame(dict.fromkeys(("id", "caption", "text", "image"), FACTS["brand"]))
    path = written(dataclasses.replace(catalog, attributes=facts), format, tmp_path / "data")
    again = load_catalog(format, path=path)
    assert again.fingerprint == catalog.fingerprint
    assert list(again.attributes) == ["id_", "caption_", "text_", "image_"]


def test_rows_are_chosen_and_captions_made_of_columns(
    catalog: Catalog, format: str, tmp_path: Path
) -> None:
    path = written(catalog, format, tmp_path / "data")
    found = load_catalog(
        format, path=path, caption="{brand} of {year}", where={"year": {"min": 2011, "not": 2014}}
    )
    assert found.ids == ("2", "5", "9", "11")
    assert found.captions == ("Bolt of 2011", "Acme of 2012", "of 2013", "Acme of 2015")
    by_brand = load_catalog(format, path=path, caption="brand")
    assert by_brand.ids == ("1", "2", "5", "10", "11")
    assert [(s.name, s.reason) for s in by_brand.skipped] == [("9", "empty caption")]
    filled = load_catalog(format, path=path, caption="brand", empty_caption="some brand")
    assert filled.captions[3] == "some brand" and not filled.skipped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"caption": "brnd"}, r"caption names the (column|field) 'brnd', .*did you mean 'brand'\?"),
        ({"caption": "{brnd}"}, r"'brnd', which does not exist"),
        ({"where": {"colour": "red"}}, r"where names the .*'colour'.*there are: .*brand"),
        ({"id": "sku"}, r"id names the .*'sku'"),
        ({"where": {"brand": "X"}}, r"none of 6 rows passes where: 'brand' holds 'Acme' \(3\)"),
        ({"captions": "any"}, "captions is 'any'"),
        ({"captoin": "x"}, "no option 'captoin' — did you mean 'captions?'"),
        ({"id": "brand"}, "image id 'Acme' occurs more than once|empty id"),
        ({"resize": "cropped"}, "resize is 'cropped' — did you mean 'crop'"),
    ],
)
def test_a_wrong_option_is_said_with_what_there_is(
    catalog: Catalog, format: str, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = written(catalog, format, tmp_path / "data")
    with pytest.raises(InputError, match=message):
        load_catalog(format, path=path, strict="id" in options, **options)


def test_a_path_that_is_not_there_is_said(format: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        load_catalog(format, path=tmp_path / "nowhere")


def test_a_broken_image_is_skipped_or_refused(
    catalog: Catalog, format: str, tmp_path: Path
) -> None:
    files = {i: catalog.read(i) for i in catalog.ids}
    files["5"], files["10"] = files["5"][:40], b"no image"
    path = written(catalog_of(files, FACTS), format, tmp_path / "data")
    found = load_catalog(format, path=path)
    assert found.fingerprint == catalog.subset({"1", "2", "9", "11"}).fingerprint
    assert [s.name for s in found.skipped] == ["5", "10"]
    assert "not in an image format that Pillow can read" in found.skipped[1].reason
    with pytest.raises(InputError, match="2 entries cannot be used: "):
        load_catalog(format, path=path, strict=True)


def test_nothing_is_decoded_twice_until_something_changes(
    catalog: Catalog, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    check = reading.check_image
    monkeypatch.setattr(
        reading, "check_image", lambda name, read: [seen.append(name), check(name, read)][1]
    )
    path = written(catalog, format, tmp_path / "data")
    load_catalog(format, path=path)
    load_catalog(format, path=path)
    assert len(seen) == 6
    load_catalog(format, path=path, where={"brand": "Acme"})
    assert len(seen) == (9 if format == "datasets" else 6)  # another listing, of images known
    shutil.rmtree(tmp_path / "data")
    written(catalog_of({i: catalog.read(i) for i in catalog.ids[:2]}, FACTS[:2]), format,
            tmp_path / "data")  # fmt: skip
    assert load_catalog(format, path=path).ids == ("1", "2")


def test_rows_in_any_order_are_one_catalogue(tmp_path: Path) -> None:
    count = intake.BATCH // 4096 + 300  # more than a block
    order = np.random.default_rng(0).permutation(count)
    image = picture(0)
    for name, rows in (("a", order), ("b", sorted(order))):
        table = {"id": [str(i) for i in rows], "image": [image] * count,
                 "caption": [f"number {i}" for i in rows]}  # fmt: skip
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet", row_group_size=7)
    one, other = (load_catalog("parquet", path=tmp_path / f"{n}.parquet") for n in "ab")
    assert one.fingerprint == other.fingerprint
    assert one.ids == tuple(map(str, range(count))) and one.captions[10] == "number 10"
    assert one.read("7") == image


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch pickled",)


def test_no_member_is_ever_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bomb = pickle.dumps(Bomb())
    members = {f"1.{s}": bomb for s in ("pyd", "pickle", "pkl", "pth", "npy")}
    tar(tmp_path / "a.tar", {"1.png": picture(1, "PNG"), "1.txt": b"a shirt", **members})
    found = load_catalog("webdataset", path=tmp_path)
    assert found.captions == ("a shirt",) and list(found.attributes) == []
    assert not (tmp_path / "pickled").exists()


def test_shards_are_read_as_webdataset_has_them(tmp_path: Path) -> None:
    a = {"x/1.jpg": picture(1), "x/1.json": b'{"n": 1, "box": [1, 2]}', "x/1.txt": b" a hat "}
    b = {"x/2.seg.png": b"", "x/2.PNG": picture(2, "PNG"), "x/2.txt": "ä bag".encode()}
    c = {"./y/3.png": picture(3, "PNG"), "y/3.cls": b"4", "z.txt": b"lonely", "y/4.jpg": picture(4)}
    c |= {".hidden": b"", "y/5.jpg": picture(5), "y/5.json": b"[1"}
    for number, members in enumerate((a, b, c)):
        tar(tmp_path / f"s-{number:03d}.tar", members)
    found = load_catalog("webdataset", path=tmp_path / "s-{000..002}.tar")
    assert dict(zip(found.ids, found.captions, strict=True)) == {"x/1": "a hat", "x/2": "ä bag"}
    assert found.attributes["n"].tolist() == ["1", ""]
    assert {s.name: s.reason for s in found.skipped} == {
        "y/3": "empty caption",
        "y/4": "empty caption",
        "y/5": "empty caption",
        "z": "no image (of jpg, jpeg, png, webp)",
    }
    by_class = load_catalog("webdataset", path=tmp_path / "s-*.tar", caption="class {cls}")
    assert by_class.captions == ("class 4",)
    with pytest.raises(InputError, match=r"s-003.tar does not exist"):
        load_catalog("webdataset", path=tmp_path / "s-{000..003}.tar")
    with pytest.raises(InputError, match=r"matches no file"):
        load_catalog("webdataset", path=tmp_path / "t-*.tar")


def test_a_tar_that_is_none_or_compressed_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"words" * 300)
    with pytest.raises(InputError, match=r"a.tar is not a readable tar file"):
        load_catalog("webdataset", path=tmp_path / "a.tar")
    tar(tmp_path / "b.tar", {"1.jpg": picture(1)}, "w:gz")
    with pytest.raises(InputError, match=r"compressed: unpack it with gunzip"):
        load_catalog("webdataset", path=tmp_path / "b.tar")
    whole = tar(tmp_path / "c.tar", {"1.jpg": picture(1), "1.txt": b"x"}).read_bytes()
    (tmp_path / "c.tar").write_bytes(whole[:700])
    with pytest.raises(InputError, match=r"c.tar|no usable"):
        load_catalog("webdataset", path=tmp_path / "c.tar")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a", ["a"]),
        ("a{1..3}", ["a1", "a2", "a3"]),
        ("{08..10}{x,y}", ["08x", "08y", "09x", "09y", "10x", "10y"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{one}", ["{one}"]),
    ],
)
def test_braces_are_spelt_out_as_a_shell_does(pattern: str, names: list[str]) -> None:
    assert braces(pattern) == names
    with pytest.raises(InputError, match="more than 1,000,000 files"):
        braces("{0..9999}{0..9999}")


def test_parquet_takes_bytes_structs_and_paths(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "b.jpg").write_bytes(picture(2))
    cells = [{"bytes": picture(1), "path": "x/a.jpg"}, {"bytes": None, "path": "p/b.jpg"}, None]
    table = pa.table({"img": cells, "words": [["one", "two"], ["three"], ["four"]]})
    pq.write_table(table, tmp_path / "t.parquet")
    found = load_catalog("parquet", path=tmp_path / "t.parquet", caption="words")
    assert found.ids == ("p/b", "x/a") and found.captions == ("three", "one")
    assert found.read("p/b") == picture(2)
    assert [(s.name, s.reason) for s in found.skipped] == [("2", "image is empty")]
    every = load_catalog("parquet", path=tmp_path, caption="words", captions="all")
    assert every.ids == ("p/b#0", "x/a#0", "x/a#1") and every.duplicates() == [("x/a#0", "x/a#1")]
    joined = load_catalog("parquet", path=tmp_path, caption="words", captions="join")
    assert joined.captions == ("three", "one two")
    with pytest.raises(InputError, match=r"'words' holds list<.*>, not encoded images .*are: img"):
        load_catalog("parquet", path=tmp_path, image="words")
    with pytest.raises(InputError, match=r"no column that looks like a caption .*are: words"):
        load_catalog("parquet", path=tmp_path)
    pq.write_table(pa.table({"a": [b""], "b": [b""]}), tmp_path / "two.parquet")
    with pytest.raises(InputError, match=r"2 columns hold bytes, .*\(a, b\); name one \(image\)"):
        load_catalog("parquet", path=tmp_path / "two.parquet")
    with pytest.raises(InputError, match="expected files of one schema"):
        load_catalog("parquet", path=tmp_path)
    (tmp_path / "no.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="not a readable Parquet"):
        load_catalog("parquet", path=tmp_path / "no.parquet")


def test_a_table_of_paths(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in (1, 2):
        (tmp_path / "in" / f"{n}.v1.jpg").write_bytes(picture(n))
    lines = ["path\ttitle\tnote", "1.v1.jpg\ta, shirt\tx", "2.v1.jpg\t\ty", "9.jpg\tgone\t"]
    lines += ["http://example.org/1.jpg\ta picture\t", "1.v1.jpg\ttoo few", ""]
    (tmp_path / "t.tsv").write_text("\n".join(lines))
    found = load_catalog("csv", path=tmp_path / "t.tsv", root="in", caption="title")
    assert found.ids == ("1.v1",) and found.captions == ("a, shirt",)
    assert found.attributes["note"].tolist() == ["x"]
    assert {s.name: s.reason.partition(" (")[0] for s in found.skipped} == {
        "2.v1": "empty caption",
        "9": "image cannot be read",
        "http://example.org/1.jpg": "image is a URL",
        "line 6": "row is incomplete",
    }
    with pytest.raises(InputError, match=r"image names the column 'title2', .*mean 'title'"):
        load_catalog("csv", path=tmp_path / "t.tsv", image="title2")
    with pytest.raises(InputError, match=r"root .*nowhere is not a folder"):
        load_catalog("csv", path=tmp_path / "t.tsv", root="nowhere")
    for text, message in (
        ("", "is empty; expected a line of column names"),
        ("a,a\n", "names the column 'a' twice"),
        ("a,b\n", r"looks like the images' paths .*there are: a, b"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(InputError, match=message):
            load_catalog("csv", path=tmp_path / "bad.csv")


def test_an_image_that_changes_beside_its_table_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jpg").write_bytes(picture(1))
    (tmp_path / "t.csv").write_text("image,caption\nin/1.jpg,a shirt\n")
    first = load_catalog("csv", path=tmp_path / "t.csv")
    assert len(list(cache_folder("catalogs").iterdir())) == 1
    (tmp_path / "in" / "1.jpg").write_bytes(picture(2))
    assert load_catalog("csv", path=tmp_path / "t.csv").hashes != first.hashes


def test_coco_as_it_is_published(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    for n in (7, 30):
        (tmp_path / "val2017" / f"{n:012d}.jpg").write_bytes(picture(n))
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "height": 16} for n in (30, 7)]
    said = [(3, 7, "second"), (1, 7, "first "), (2, 30, "other"), (9, 30, "")]
    annotations = [{"id": i, "image_id": n, "caption": c} for i, n, c in said]
    file = tmp_path / "annotations" / "captions_val2017.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    found = load_catalog("coco", path=file)
    assert found.ids == ("7", "30") and found.captions == ("first", "other")
    assert found.attributes["height"].tolist() == ["16", "16"]
    every = load_catalog("coco", path=file, captions="all")
    assert every.ids == ("7#0", "7#1", "30#0") and every.captions == ("first", "second", "other")
    assert every.duplicates() == [("7#0", "7#1")]
    (tmp_path / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"no image 000000000030.jpg in .*\(root\)"):
        load_catalog("coco", path=file)
    assert load_catalog("coco", path=file, root="../elsewhere").fingerprint == found.fingerprint
    for content in ("[1]", "{", json.dumps({"images": images, "annotations": [{"id": 1}]})):
        file.write_text(content)
        with pytest.raises(InputError, match="COCO"):
            load_catalog("coco", path=file)


def test_all_pairs_of_an_image_leave_together() -> None:
    from untrain.counterfactual.ledger import ForgetSetLedger

    catalog = small_catalog({"7#0": picture(7), "7#1": picture(7), "8#0": picture(8)})
    ledger = ForgetSetLedger(catalog, 0, [1], 1, [])
    forget_set = ledger.open("targeted", "p", 1, 1)
    ledger.take(forget_set, 0, "chosen")
    assert [catalog.ids[index] for index, _ in forget_set.images] == ["7#0", "7#1"]


def test_a_data_set_with_splits_and_labels(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["hat", "bag"])}
    )
    rows = {"image": [{"bytes": picture(n), "path": None} for n in range(3)], "label": [0, 1, 1]}
    part = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(train=part, test=part).save_to_disk(tmp_path / "d")
    found = load_catalog("datasets", path=tmp_path / "d", split="train", caption="a {label}")
    assert found.ids == ("0", "1", "2") and found.captions == ("a hat", "a bag", "a bag")
    with pytest.raises(InputError, match=r"has the splits train, test; choose one \(split\)"):
        load_catalog("datasets", path=tmp_path / "d", caption="label")
    with pytest.raises(InputError, match=r"no split 'dev'; there are train, test"):
        load_catalog("datasets", path=tmp_path / "d", split="dev")
    with pytest.raises(InputError, match="needs either path or hub"):
        load_catalog("datasets")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"was not written by Dataset.save_to_disk"):
        load_catalog("datasets", path=tmp_path / "empty")
    with pytest.raises(InputError, match=r"nobody/nothing cannot be opened"):
        load_catalog("datasets", hub="nobody/nothing")


def test_rows_of_a_data_set_that_were_written_anew_are_others(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    for name, count in (("one", 1), ("two", 2)):
        cells = [{"bytes": picture(n), "path": None} for n in range(count)]
        rows = {"image": cells, "text": [f"{name} {n}" for n in range(count)]}
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / name)
    (data,) = (tmp_path / "one").glob("*.arrow")
    assert load_catalog("datasets", path=tmp_path / "one").captions == ("one 0",)
    with data.open("r+b") as file:  # in its place, while it is mapped
        file.write(next((tmp_path / "two").glob("*.arrow")).read_bytes())
    found = load_catalog("datasets", path=tmp_path / "one", fresh=True)
    assert found.captions == ("two 0", "two 1")


def test_folders_are_labels_of_an_imagefolder(tmp_path: Path) -> None:
    pytest.importorskip("datasets").disable_progress_bars()
    for number, name in enumerate(("hat", "bag")):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / f"{number}.jpg").write_bytes(picture(number))
    found = load_catalog("imagefolder", path=tmp_path / "d", caption="a {label}")
    assert found.ids == ("bag/1", "hat/0") and found.captions == ("a bag", "a hat")
    assert found.read("hat/0") == picture(0)


def test_without_the_package_datasets_its_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'untrain\[datasets\]'"):
        load_catalog("imagefolder", path=tmp_path)


def test_how_pictures_are_sized() -> None:
    pixels = np.full((8, 16, 3), 255, np.uint8)
    pixels[:, 4:12] = 0  # black in the middle half
    data = encoded(Image.fromarray(pixels))
    catalog = small_catalog({"1": data})
    assert hashlib.sha256(data).hexdigest() == catalog.hashes[0]
    black = {
        how: (dataclasses.replace(catalog, resize=how).pixels((8, 8))[0] < 128)[..., 0]
        for how in ("pad", "crop", "stretch")
    }
    assert black["crop"].all()
    assert black["stretch"].all(axis=0).tolist() == [False] * 2 + [True] * 4 + [False] * 2
    assert black["pad"].any(axis=1).tolist() == [False] * 2 + [True] * 4 + [False] * 2


def test_what_depends_on_pixels_knows_how_they_are_sized(catalog: Catalog) -> None:
    prints = {
        how: dataclasses.replace(catalog, resize=how).fingerprint
        for how in ("pad", "crop", "stretch")
    }
    assert (
        prints["pad"] == catalog.content == catalog.fingerprint and len(set(prints.values())) == 3
    )
    cropped = dataclasses.replace(catalog, resize="crop")
    assert cropped.content == catalog.content
    assert cropped.subset(["1", "2"]).resize == "crop"


def test_decompression_bombs_are_skipped_in_tables_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"1": picture(1), "2": picture(2, size=(40, 40))}
    path = written(catalog_of(files, FACTS[:2]), "parquet", tmp_path / "data")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    found = load_catalog("parquet", path=path)
    assert found.ids == ("1",) and "too large" in found.skipped[0].reason

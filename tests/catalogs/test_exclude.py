"""Opt-out lists: what they name goes, and nothing else, whatever the format of data and list."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.catalogs import FILES, picture, small_catalog, unpacked, zipped
from tests.helpers.commands import Untrain, command_line
from untrain.catalogs import Catalog, content, export_folder, load_catalog
from untrain.catalogs.exclude import exclude, notes_of, plain_url
from untrain.catalogs.export import export
from untrain.core.errors import InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def catalog() -> Catalog:
    """Four images, of which the last two have the same bytes."""
    data = [picture(seed) for seed in (1, 2, 3, 3)]
    made = small_catalog(dict(zip("abcd", data, strict=True)))
    made.attributes["url"] = [
        "https://shop.example.com/a.jpg",
        "http://other.org/b%20c.jpg?size=2",
        "https://Example.com:443/c.jpg#top",
        "",
    ]
    return made


def listed(tmp_path: Path, text: str, name: str = "opt-out.txt") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def kept(catalog: Catalog, *lists: Path) -> list[str]:
    return list(exclude(catalog, lists).ids)


def test_ids_hashes_and_urls_in_one_text(catalog: Catalog, tmp_path: Path) -> None:
    text = f"# from our form\na\n\n{catalog.hashes[1].upper()}\nhttps://example.com/c.jpg\n"
    with pytest.raises(InputError, match="nothing to train on"):  # with the copy of c, d goes too
        kept(catalog, listed(tmp_path, text))
    assert kept(catalog, listed(tmp_path, f"a\nsha256:{catalog.hashes[1]}\n")) == ["c", "d"]


def test_copies_go_with_an_image(catalog: Catalog, tmp_path: Path) -> None:
    found = exclude(catalog, [listed(tmp_path, "c\n")])
    assert list(found.ids) == ["a", "b"]
    (told,) = found.excluded
    assert told.images == ("c",) and told.copies == ("d",)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", "a"),
        ("Image_ID", "a"),
        ("md5", hashlib.md5(picture(1)).hexdigest()),
        ("SHA-256", hashlib.sha256(picture(1)).hexdigest()),
        ("url", "http://SHOP.example.com/a.jpg#x"),
        ("domain", "shop.example.com"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "tsv", "parquet"])
def test_columns_of_tables(
    catalog: Catalog, tmp_path: Path, column: str, value: str, form: str
) -> None:
    table = pd.DataFrame({"since": ["2024"], column: [value]})
    path = tmp_path / f"list.{form}"
    if form == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if form == "tsv" else ";")
    found = exclude(catalog, [path])
    assert list(found.ids) == ["b", "c", "d"]
    assert found.excluded[0].unread == ("since",)
    assert found.excluded[0].digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_domain_covers_those_below_it_and_no_other(catalog: Catalog, tmp_path: Path) -> None:
    assert kept(catalog, listed(tmp_path, "domain:example.com")) == ["b"]  # d is a copy of c
    assert kept(catalog, listed(tmp_path, "domain:ample.com\na")) == ["b", "c", "d"]


def test_what_is_known_without_a_look_is_not_read(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = small_catalog({hashlib.md5(b"x").hexdigest(): picture(1), "b": picture(2)})
    monkeypatch.setattr(content, "facts_of", None)
    assert kept(named, listed(tmp_path, named.ids[0])) == ["b"]
    catalog.attributes["MD5"] = list("1234")
    assert kept(catalog, listed(tmp_path, "id:a")) == ["b", "c", "d"]


@pytest.mark.parametrize("form", ["folder", "csv", "parquet", "webdataset"])
def test_every_format_and_its_listing(tmp_path: Path, form: str) -> None:
    source = load_catalog("rendered", families=2, size_of_family=3, resolution=16)
    export(source, [], tmp_path / "data", form)
    place = tmp_path / "data" / "table.csv" if form == "csv" else tmp_path / "data"
    whole = load_catalog(form, path=place)
    out = listed(tmp_path, f"{whole.ids[0]}\n{whole.hashes[3]}\nnobody\n")
    for _ in range(2):  # from the files, and from the listing
        left = load_catalog(form, path=place, exclude=out)
        assert set(whole.ids) - set(left.ids) == {whole.ids[0], whole.ids[3]}
        assert left.content == whole.subset(left.ids).content != whole.content
        assert left.excluded[0].unmatched == 1
    listed(tmp_path, f"{whole.ids[1]}\n")  # the list changes, the data do not
    assert whole.ids[1] not in load_catalog(form, path=place, exclude=[out]).ids
    assert load_catalog(form, path=place).content == whole.content


def test_a_catalogue_that_grows_is_held_to_its_list(tmp_path: Path) -> None:
    files = {f"{n}.jpg": picture(n) for n in (1, 2)} | {f"{n}.txt": b"a hat" for n in (1, 2, 3)}
    folder = unpacked(tmp_path / "photos", files)
    out = listed(tmp_path, "2\n3\n")
    assert list(load_catalog("folder", path=folder, exclude=out).ids) == ["1"]
    (folder / "3.jpg").write_bytes(picture(3))
    (folder / "4.jpg").write_bytes(picture(2))  # a copy of 2 under another name
    (folder / "4.txt").write_text("a hat")
    found = load_catalog("folder", path=folder, exclude=out)
    assert list(found.ids) == ["1"]
    assert found.excluded[0].copies == ("4",)


def test_several_captions_of_an_image_go_together(tmp_path: Path) -> None:
    files = {"1.jpg": picture(1), "2.jpg": picture(2)}
    unpacked(tmp_path / "photos", files)
    rows = [{"image": n, "caption": ["a hat", "hats"]} for n in files]
    table = pd.DataFrame({"id": ["1", "2"], "image": [{"bytes": None, "path": n} for n in files]})
    table["caption"] = [row["caption"] for row in rows]
    table.to_parquet(tmp_path / "photos" / "t.parquet")
    options = {"path": tmp_path / "photos" / "t.parquet", "captions": "all"}
    assert len(load_catalog("parquet", **options)) == 4
    found = load_catalog("parquet", exclude=listed(tmp_path, "1"), **options)
    assert list(found.ids) == ["2#0", "2#1"]


def test_paths_match_the_end_of_a_file_s_path(tmp_path: Path) -> None:
    zip_file = zipped(tmp_path / "a.zip", FILES)
    assert list(
        load_catalog("fashion", path=zip_file, exclude=listed(tmp_path, "path:images/9.jpg")).ids
    ) == ["11", "12"]
    folder = unpacked(tmp_path / "photos", {"1.jpg": picture(1), "2.jpg": picture(2)})
    unpacked(folder, {"1.txt": b"a", "2.txt": b"b"})
    for path in ("1.jpg", "photos/1.jpg", "./photos/1.jpg", str(folder / "1.jpg")):
        found = load_catalog("folder", path=folder, exclude=listed(tmp_path, f"path:{path}"))
        assert list(found.ids) == ["2"], path
    for path in ("other/1.jpg", "/photos/1.jpg", "11.jpg"):
        found = load_catalog("folder", path=folder, exclude=listed(tmp_path, f"path:{path}"))
        assert list(found.ids) == ["1", "2"], path


def test_what_matches_nothing_is_named_with_a_near_id(tmp_path: Path) -> None:
    catalog = load_catalog("rendered", families=1, size_of_family=3, resolution=16)
    wrong = catalog.ids[0] + "x"
    notes = notes_of(exclude(catalog, [listed(tmp_path, f"{catalog.ids[1]}\n{wrong}\n")]))
    assert [note.code for note in notes] == ["data-excluded", "exclude-unmatched"]
    assert notes[0].about == (catalog.ids[1],)
    assert wrong in notes[1].text and "did you mean" in notes[1].text


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.txt", "# nothing\n\n", "is empty"),
        ("empty.csv", "id\n", "is empty"),
        ("missing.txt", None, "cannot read"),
        ("columns.csv", "name,reason\na,b\n", "has the columns 'name', 'reason'; expected some of"),
        ("short.csv", "sha256\nabc123\n", "row 2: 'abc123' is no SHA-256"),
        ("sha1.csv", f"sha256\n{'a' * 40}\n", "by its 40 digits, a SHA-1"),
        ("md5.csv", f"sha256\n{'a' * 32}\n", "a MD5"),
        ("sha1.txt", "a" * 40, "as a hash it is, by its 40 digits, a SHA-1"),
        ("hash.txt", "sha256:xyz", "line 1: 'xyz' is no SHA-256"),
        ("blank.csv", "id,reason\na,x\n,y\n", "row 3 names no image"),
        ("wide.csv", "id\na,b\n", "2 fields under 1 columns"),
        ("not.parquet", "id\n", "is not a Parquet file"),
        ("all.txt", "a\nb\nc", "all 4 images are excluded by"),
        ("path.txt", "path:a.jpg", "its images are no files"),
    ],
)
def test_faults_are_said(
    catalog: Catalog, tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    path = tmp_path / name if text is None else listed(tmp_path, text, name)
    with pytest.raises(InputError, match=says):
        exclude(catalog, [path])


def test_urls_without_a_column_of_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column of URLs"):
        exclude(small_catalog({"a": picture(1)}), [listed(tmp_path, "https://x.org/a.jpg")])


def test_order_of_lists_and_entries_changes_nothing(tmp_path: Path) -> None:
    catalog = load_catalog("rendered", families=2, size_of_family=4, resolution=16)
    ids = np.random.default_rng(0).permutation(catalog.ids)[:4].tolist()
    one, two = listed(tmp_path, "\n".join(ids)), listed(tmp_path, "\n".join(ids[::-1]), "b.txt")
    assert exclude(catalog, [one, two]).content == exclude(catalog, [two]).content


def test_a_plain_url() -> None:
    assert plain_url("https://x.org/a/") == plain_url("http://X.org:80/a#b") == "x.org/a"
    assert plain_url("https://x.org/a?b=1") != plain_url("https://x.org/a?b=2")


@pytest.fixture
def untrain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Untrain:
    return command_line(monkeypatch, capsys)


def test_the_command_line_shows_and_writes_ids(tmp_path: Path, untrain: Untrain) -> None:
    source = load_catalog("rendered", families=2, size_of_family=3, resolution=16)
    export_folder(source, [], tmp_path / "photos")
    out = listed(tmp_path, f"{source.hashes[0]}\nnobody\n")
    said = untrain("data", "excluded", tmp_path / "photos", "-l", out, "--out", tmp_path / "ids")
    assert said.code == 0 and "excludes 1 image" in said.out and "'nobody'" in said.out
    assert (tmp_path / "ids").read_text() == f"{source.ids[0]}\n"
    said = untrain("data", "inspect", tmp_path / "photos", "--json", "-o", f"exclude={out}")
    found = json.loads(said.out)
    assert found["images"] == 5 and found["excluded"][str(out)]["images"] == 1
    said = untrain("data", "show", tmp_path / "photos", "-o", f"exclude={tmp_path / 'no'}")
    assert said.code == 2 and "cannot read the opt-out list" in said.err

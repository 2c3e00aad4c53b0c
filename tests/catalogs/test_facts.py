"""The facts of a catalogue: known numbers, read once, and a page that says what is missing."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.catalogs import picture, small_catalog, unpacked
from tests.helpers.commands import Untrain, command_line
from untrain.catalogs import content, export_folder, load_catalog
from untrain.catalogs.content import sizes_of
from untrain.catalogs.exclude import exclude
from untrain.catalogs.facts import catalog_facts
from untrain.report.training_summary import OPEN, UNKNOWN, summary_markdown, template_of
from untrain.runs.training_facts import training_facts
from untrain.settings.load import make_config


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


def test_known_numbers() -> None:
    files = {"a": picture(1), "b": picture(2, size=(20, 10)), "c": picture(1)}
    catalog = small_catalog(files)
    catalog.attributes["URL"] = ["http://A.org/1.jpg", "https://b.org/2.jpg", None]
    catalog.attributes["License"] = ["CC0", "", "CC0"]
    found = catalog_facts(catalog)
    assert found["images"] == 3 and found["distinct_images"] == 2
    assert found["bytes"] == sum(map(len, files.values()))
    assert found["pixels"] == 2 * 12 * 16 + 20 * 10
    assert found["width"] == {"min": 12, "median": 12, "max": 20}
    assert found["captions"] == {"distinct": 3, "words": 9, "bytes": 36}
    assert found["bands"] == {
        "image": "less than 1 million images",
        "text": "less than 1 billion tokens",
    }
    assert found["licences"] == {"CC0": 2, "": 1}
    assert found["duplicates"] == {"groups": 1, "images": 2}
    assert found["domains"]["distinct"] == 2 and found["domains"]["without"] == 1
    larger = max(("a.org", len(files["a"])), ("b.org", len(files["b"])), key=lambda d: d[1])
    assert found["domains"]["largest"] == [{"domain": larger[0], "images": 1, "bytes": larger[1]}]
    assert found["dates"] is None
    assert json.loads(json.dumps(found)) == found


def test_a_tenth_of_the_domains_is_named() -> None:
    files = {f"{n}": picture(n) for n in range(25)}
    catalog = small_catalog(files)
    catalog.attributes["url"] = [f"https://site{n}.org/x.jpg" for n in range(25)]
    named = catalog_facts(catalog)["domains"]["largest"]
    assert len(named) == 3
    assert [each["bytes"] for each in named] == sorted(map(len, files.values()))[:-4:-1]


def test_dates_are_those_of_the_files(tmp_path: Path) -> None:
    files = {"1.jpg": picture(1), "2.jpg": picture(2), "1.txt": b"a", "2.txt": b"b"}
    folder = unpacked(tmp_path / "photos", files)
    os.utime(folder / "1.jpg", (0, 86_400 * 365))
    os.utime(folder / "2.jpg", (0, 86_400 * 366))
    found = catalog_facts(load_catalog("folder", path=folder))
    assert found["dates"] == {"first": "1971-01-01", "last": "1971-01-02", "of": 2}


def test_pictures_are_measured_upright_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (20, 10)).save(buffer, "JPEG", exif=exif)
    catalog = small_catalog({"a": buffer.getvalue(), "b": picture(1)})
    first = {name: values.tolist() for name, values in sizes_of(catalog).items()}
    assert first["width"] == [10, 12] and first["height"] == [20, 16]
    monkeypatch.setattr(content, "_size", None)  # from the cache now
    assert {name: values.tolist() for name, values in sizes_of(catalog).items()} == first
    grown = small_catalog({"b": picture(1), "a": buffer.getvalue()})
    assert sizes_of(grown)["width"].tolist() == [12, 10]


def test_the_page_has_every_section_and_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("a\nnobody\n")
    catalog = exclude(small_catalog({"a": picture(1), "b": picture(2)}), [tmp_path / "out.txt"])
    facts = {
        "untrain": "0",
        "sources": [{"kind": None, "format": "folder", "place": "a`b"}],
        "data": catalog_facts(catalog),
    }
    page = summary_markdown(facts)
    for number in UNKNOWN:
        section = page.partition(f"### {number} ")[2].partition("###")[0]
        assert OPEN in section, number
    assert "1 images and 0 byte-identical copies left out; of its 2 entries 1 name no" in page
    assert "`a'b`" in page  # no code ends early
    assert set(template_of(facts)["to_be_filled_in"]) == set(UNKNOWN)


def test_sources_of_experiments() -> None:
    prompts = {"families": 2}
    data = {"families": 4, "family_size": 3, "plant": {"items": 2, "copies": 3}}
    found = training_facts(make_config({"data": data, "prompts": prompts}))
    assert [(s["kind"], s["format"]) for s in found["sources"]] == [
        ("synthetic", "rendered"),
        ("synthetic", "planted"),
    ]
    assert found["data"]["images"] + found["held_out"] == 4 * 3 + 2 * 3
    assert found["model"] == {"generator": "dalle", "preset": "tiny", "weights": []}


def test_the_command_writes_both_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    untrain: Untrain = command_line(monkeypatch, capsys)
    source = load_catalog("rendered", families=2, size_of_family=3, resolution=16)
    export_folder(source, [], tmp_path / "photos")
    page, record = tmp_path / "s.md", tmp_path / "s.json"
    said = untrain("data", "summary", tmp_path / "photos", "--out", page, "--out", record)
    assert said.code == 0
    assert page.read_text().startswith("# Summary of training content")
    assert json.loads(record.read_text())["data"]["images"] == 6
    (tmp_path / "e.yaml").write_text("data: {families: 4}\nprompts: {families: 2}\n")
    said = untrain("data", "summary", tmp_path / "e.yaml")
    assert said.code == 0 and "### 2.5 Synthetic data" in said.out
    assert untrain("data", "summary", tmp_path / "photos", "--out", "s.txt").code == 2
    assert untrain("data", "summary", tmp_path / "nowhere").code == 2

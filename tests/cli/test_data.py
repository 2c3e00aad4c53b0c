from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image, ImageOps

from tests.helpers.commands import Untrain
from untrain.catalogs import CATALOGS
from untrain.cli.data_options import FORMATS


def with_copies(photos: Path) -> list[str]:
    """Add a copy of the bytes and one packed otherwise; return all ids of the groups."""
    first, second = sorted(photos.glob("*.png"))[:2]
    shutil.copyfile(first, photos / "x1.png")
    with Image.open(second) as image:
        image.save(photos / "x2.png", compress_level=1)
    for name in ("x1", "x2"):
        (photos / f"{name}.txt").write_text(f"another [caption] {name}")
    return [first.stem, "x1", second.stem, "x2"]


def test_duplicates_in_words_a_table_and_a_sheet(untrain: Untrain, photos: Path) -> None:
    ids = with_copies(photos)
    said = untrain("data", "duplicates", photos, "--csv", "[all].csv", "--sheet", "sheet.png")
    assert said.code == 0
    assert "byte-identical: 1 groups, 2 images" in said.out
    assert "near copies: 1 images" in said.out
    assert "largest group: 2 images" in said.out
    assert "groups with different captions: 2" in said.out
    assert "table: [all].csv" in said.out
    row = next(line for line in said.out.splitlines() if " near " in line).split()
    assert row[1:5] == ["x2", "near", "0", "1.000"] and row[5] == "another"
    assert pd.read_csv("[all].csv", dtype=str)["image_id"].tolist() == ids
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 6 * 90


def test_duplicates_json_and_exact_alone(untrain: Untrain, photos: Path) -> None:
    ids = with_copies(photos)
    found = json.loads(untrain("data", "duplicates", photos, "--json", "--csv", "a.csv").out)
    assert found["near"] == {"images": 1}
    assert found["all"] == {"groups": 2, "images": 4, "largest": 2}
    said = untrain("data", "duplicates", photos, "--json", "--exact")
    (group,) = json.loads(said.out)["groups"]
    assert [image["image_id"] for image in group["images"]] == ids[:2]


@pytest.mark.slow
def test_edited_copies_are_listed_beside_the_groups(untrain: Untrain, photos: Path) -> None:
    first = min(photos.glob("*.png"))
    with Image.open(first) as image:
        ImageOps.mirror(image).save(photos / "x1.png")
    (photos / "x1.txt").write_text("mirrored")
    said = untrain("data", "duplicates", photos, "--edited", "--csv", "all.csv")
    assert "edited copies: all-edited.csv" in said.out
    pairs = pd.read_csv("all-edited.csv", dtype=str)
    found = pairs[pairs["kinds"] == "mirrored"][["image_id", "of"]].to_numpy()
    assert {first.stem, "x1"} in map(set, found)  # either may be the original
    assert "edited copies: " in said.out and "mirrored" in said.out
    assert "hours for ten thousand" in said.err and "--sheet copies.png" in said.out
    again = untrain("data", "duplicates", photos, "--edited", "--sheet", "sheet.png")
    assert "hours" not in again.err and Path("sheet.png").is_file()  # what was found is kept


def test_no_duplicates(untrain: Untrain, photos: Path) -> None:
    said = untrain("data", "duplicates", photos, "--exact", "--sheet", "none.png")
    assert said.code == 0
    assert "byte-identical: 0 groups, 0 images" in said.out


def test_duplicates_of_nothing_is_an_input_error(untrain: Untrain) -> None:
    assert untrain("data", "duplicates", "nowhere").code == 2
    assert "needs a path" in untrain("data", "duplicates", "--format", "folder").err


def test_fresh_reads_everything_again(untrain: Untrain, photos: Path) -> None:
    untrain("data", "inspect", photos)
    assert "checking images" not in untrain("data", "inspect", photos).err
    assert "checking images" in untrain("data", "inspect", photos, "--fresh").err


def test_pairs_are_shown_as_a_run_would_get_them(untrain: Untrain, photos: Path) -> None:
    first, second = sorted(photos.glob("*.png"))[:2]
    lines = ["image,colour,article,year", f"{first},red,[hat],2012", f"{second},blue,,2015"]
    Path("table.csv").write_text("\n".join([*lines, "gone.png,red,bag,2015"]))
    said = untrain("data", "show", "table.csv", "-o", "caption={colour} {article}")
    assert said.code == 0
    assert "caption: red [hat]" in said.out and "caption: blue\n" in said.out
    assert "table: 2 pairs, fingerprint " in said.out
    assert "skipped: 1 × image cannot be read (e.g. gone)" in said.out
    options = ("-o", "caption=colour", "-o", "where.year.min=2013", "--rows", "1")
    (pair,) = json.loads(untrain("data", "show", "table.csv", *options, "--json").out)
    assert pair == {
        "id": str(second.with_suffix("")),
        "caption": "blue",
        "article": "",
        "year": "2015",
    }
    for wrong, message in (
        (("-o", "caption"), "expected KEY=VALUE"),
        (("-o", "caption=color"), "did you mean 'colour'?"),
        (("-o", "where=1", "-o", "where.x=2"), "'where' has a value already"),
        (("--strict", "-o", "caption=colour"), "1 entry cannot be used"),
        ((), "no column that looks like a caption"),
    ):
        said = untrain("data", "show", "table.csv", *wrong)
        assert said.code == 2 and message in said.err


def test_a_data_set_is_written_in_another_format(untrain: Untrain, photos: Path) -> None:
    prints = set()
    for source, target in ((photos, "shards"), ("shards", "table"), ("table", "again")):
        to = {"shards": "webdataset", "table": "parquet", "again": "folder"}[target]
        said = untrain("data", "export", source, target, "--to", to)
        assert said.code == 0 and said.out.startswith("32 pairs, fingerprint ")
        prints.add(said.out.split()[3])
    assert len(prints) == 1
    assert sorted(p.name for p in Path("again").iterdir()) == sorted(
        p.name for p in photos.iterdir()
    )
    said = untrain("data", "export", photos, "new", "--to", "parkett")
    assert said.code == 2 and "did you mean 'parquet'?" in said.err
    assert "not an empty folder" in untrain("data", "export", photos, "table").err


def test_help_lists_the_formats_that_there_are(untrain: Untrain) -> None:
    assert set(FORMATS) == set(CATALOGS)
    said = " ".join(untrain("data", "inspect", "--help").out.replace("│", " ").split())
    assert all(name in said for name in FORMATS)


def test_a_folder_without_captions_says_how_to_give_some(untrain: Untrain, photos: Path) -> None:
    for text in photos.glob("*.txt"):
        text.unlink()
    said = untrain("data", "inspect", photos)
    assert said.code == 2
    assert (
        "32 × image without caption; put <id>.txt beside" in said.err
        and "columns image and caption" in said.err
    )


def test_a_sheet_is_replaced_where_untrain_wrote_it(untrain: Untrain, photos: Path) -> None:
    sheet = photos / "sheet.png"
    for _ in range(2):
        said = untrain("data", "inspect", photos, "--sheet", sheet)
        assert said.code == 0 and f"contact sheet: {sheet}" in said.out
    foreign = sorted(photos.glob("0*.png"))[0]
    assert untrain("data", "inspect", photos, "--sheet", foreign).code == 2


def test_formats_are_explained(untrain: Untrain) -> None:
    said = untrain("data", "formats").out
    for name in FORMATS:
        assert f"\n{name}  " in f"\n{said}"
    assert "separator" in said and "caption" in said

"""Fashion Product Images: the zip, the folder, its quirks, and the counts of the real one."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.catalogs import FILES, ROWS, picture, unpacked, zipped
from tests.helpers.places import REAL, SHARED
from untrain.catalogs.formats.fashion import COLUMNS, caption, from_fashion
from untrain.core.errors import InputError


def test_zip_and_folder_with_or_without_a_top_folder_are_the_same(tmp_path: Path) -> None:
    below = {f"myntradataset/{name}": data for name, data in FILES.items()}
    catalogs = [
        from_fashion(zipped(tmp_path / "a.zip", FILES)),
        from_fashion(zipped(tmp_path / "b.zip", below)),
        from_fashion(zipped(tmp_path / "c.zip", below | FILES)),  # Kaggle's has everything twice
        from_fashion(unpacked(tmp_path / "d", FILES)),
        from_fashion(str(unpacked(tmp_path / "e", below))),
    ]
    assert len({catalog.fingerprint for catalog in catalogs}) == 1
    for catalog in catalogs:
        assert catalog.ids == ("9", "11", "12")
        assert catalog.read("9") == FILES["images/9.jpg"]
        assert [(s.name, s.reason) for s in catalog.skipped] == [("13", "no image")]


def test_commas_without_quotes_belong_to_the_name(tmp_path: Path) -> None:
    table = from_fashion(unpacked(tmp_path, FILES)).attributes
    assert list(table.columns) == list(COLUMNS[1:])
    assert table["productDisplayName"].tolist() == [
        "Catwalk Heels, Size 4, Blue",
        "Provogue Men White Tshirt",
        'Gini 3.5" Top, Pink',
    ]
    assert table["year"].tolist() == ["2012", "2011", ""]
    assert table["usage"].tolist() == ["Formal", "Casual", "NA"]


def test_captions_have_the_words_of_the_study_in_its_order(tmp_path: Path) -> None:
    captions = from_fashion(unpacked(tmp_path, FILES)).captions
    assert captions[1] == (
        "Provogue Men White Tshirt Adults-Men Men White Fashion Fall 2011 Casual "
        "Tshirts Apparel Topwear"
    )
    assert captions[2] == 'Gini 3.5" Top, Pink Kids-Girls Girls Pink Fashion Tops Apparel Topwear'


def test_missing_values_leave_no_word() -> None:
    row = dict.fromkeys(COLUMNS, "nan")
    assert caption(row) == ""
    row |= {"usage": "NA", "season": " ", "baseColour": "Red", "productDisplayName": "A  NA Thing"}
    assert caption(row) == "A Thing Red Fashion"


def test_ids_choose_rows(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", FILES)
    assert from_fashion(path, ids=["12", "9"], strict=True).ids == ("9", "12")
    assert [s.name for s in from_fashion(path, ids={"9", "13"}).skipped] == ["13"]
    with pytest.raises(InputError, match="no row with id '77'"):
        from_fashion(path, ids=["9", "77"])


def test_bad_images_and_rows_are_skipped_or_with_strict_refused(tmp_path: Path) -> None:
    styles = FILES["styles.csv"] + b"\n14,Men,Apparel\n15,,,,,,,,,NA"
    files = FILES | {
        "styles.csv": styles,
        "images/9.jpg": FILES["images/9.jpg"][:-200],
        "images/15.jpg": picture(15),
        "images/99.jpg": picture(99),
    }
    path = zipped(tmp_path / "a.zip", files)
    catalog = from_fashion(path)
    assert catalog.ids == ("11", "12")
    assert {s.name: s.reason.partition(" (")[0] for s in catalog.skipped} == {
        "9": "image cannot be decoded",
        "13": "no image",
        "15": "empty caption",
        "99": "no row in styles.csv",
        "styles.csv, row 6": "row is incomplete",
    }
    with pytest.raises(InputError, match="5 entries cannot be used: 1 × "):
        from_fashion(path, strict=True)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": b"x"}, "has no styles.csv"),
        (FILES | {"styles.csv": b""}, r"has the columns \(none\)"),
        (FILES | {"styles.csv": b"id,name\n1,x"}, "columns id, name; expected id, gender"),
        (FILES | {"styles.csv": b"\xff\xfe\x00"}, "not UTF-8"),
        (FILES | {"styles.csv": FILES["styles.csv"] + f"\n{ROWS[0]}".encode()}, "'11' twice"),
        ({"styles.csv": FILES["styles.csv"]}, r"no usable .* 4 × no image"),
    ],
)
@pytest.mark.parametrize("pack", [lambda p, f: zipped(p / "a.zip", f), unpacked])
def test_what_is_not_the_data_set_is_an_input_error(  # type: ignore[no-untyped-def]
    tmp_path: Path, files: dict[str, bytes], message: str, pack
) -> None:
    with pytest.raises(InputError, match=message):
        from_fashion(pack(tmp_path, files))


def test_no_file_and_no_zip_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; expected the zip"):
        from_fashion(tmp_path / "a.zip")
    half = zipped(tmp_path / "a.zip", FILES).read_bytes()[:-60]
    (tmp_path / "half.zip").write_bytes(half)
    with pytest.raises(InputError, match="not a readable zip file"):
        from_fashion(tmp_path / "half.zip")


def test_a_member_with_a_wrong_checksum_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that its bytes can be found
        for name, data in FILES.items():
            archive.writestr(name, data)
    broken = path.read_bytes().replace(FILES["images/9.jpg"][-20:], b"\1" * 20)
    path.write_bytes(broken)
    catalog = from_fashion(path)
    assert catalog.ids == ("11", "12")
    assert catalog.skipped[0].reason.startswith("image cannot be read (Bad CRC-32")


def test_images_can_be_read_from_many_threads(tmp_path: Path) -> None:
    catalog = from_fashion(zipped(tmp_path / "a.zip", FILES))
    wrong: list[str] = []

    def read_all() -> None:
        for image_id in catalog.ids * 20:
            if catalog.read(image_id) != FILES[f"images/{image_id}.jpg"]:
                wrong.append(image_id)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _read_all(catalog, queue) -> None:  # type: ignore[no-untyped-def]
    queue.put([catalog.read(i) for i in catalog.ids])


@pytest.mark.parametrize("method", ["spawn"] if sys.platform == "win32" else ["fork", "spawn"])
def test_images_can_be_read_in_another_process(tmp_path: Path, method: str) -> None:
    catalog = from_fashion(zipped(tmp_path / "a.zip", FILES))
    here = [catalog.read(i) for i in catalog.ids]
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_read_all, args=(catalog, queue))
    process.start()
    assert queue.get(timeout=60) == here
    process.join()


@pytest.mark.skipif(not REAL.exists(), reason="the Fashion Product Images zip is not there")
def test_captions_share_most_words_with_the_prompts_of_the_study() -> None:
    folder = SHARED / "data" / "seed" / "descriptions"
    lines = [line for file in folder.glob("*.txt") for line in file.read_text().splitlines()]
    lines = [line for file in folder.glob("*.txt") for line in file.read_text().splitlines()]
    prompts = [set(line.lower().split()) for line in lines]
    captions = from_fashion(REAL, ids=["15970", "39386", "59263", "1163", "1525"]).captions
    words = [set(c.lower().split()) for c in captions]
    nearest = [max(len(p & w) / len(w) for p in prompts) for w in words]
    assert sum(nearest) / len(nearest) > 0.6


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the Fashion Product Images zip is not there")
def test_the_real_data_has_the_known_counts() -> None:
    from untrain.catalogs.inspect import inspect

    catalog = from_fashion(REAL)
    summary = inspect(catalog)
    assert summary["images"] == len(catalog) == 44_072
    assert summary["skipped"]["no image"]["count"] == len(catalog.skipped) == 374
    assert summary["duplicates"]["groups"] == 651
    assert summary["duplicates"]["files"] == 1_429
    assert summary["duplicates"]["differing"]["productDisplayName"] == 223
    assert summary["near_blank"]["ids"] == ["44998", "52180", "56212", "59551"]
    assert not {"nan", "na"} & {word for c in catalog.captions for word in c.lower().split()}

"""Tables of paths and captions: CSV, COCO's JSON and Parquet with anything in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.catalogs import picture
from tests.helpers.commands import Untrain
from tests.helpers.hostile import Case, Meet, held

HEAD = "path,caption\n"
ROW = "photos/000000.png,a shirt\n"
CSV: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n\n\n",
    "mark": b"\xef\xbb\xbf",
    "only a heading": HEAD.encode(),
    "no heading": ROW.encode(),
    "one column": b"path\nphotos/000000.png\n",
    "column twice": f"path,path\n{ROW}".encode(),
    "no name": f",\n{ROW}".encode(),
    "utf-16": (HEAD + ROW).encode("utf-16"),
    "latin": (HEAD + "photos/000000.png,é\n").encode("latin-1"),
    "picture": picture(1),
    "zeros": bytes(999),
    "nul in a row": (HEAD + "photos/000000.png,a\0b\n").encode(),
    "nul in a path": (HEAD + "photos/\0.png,a\n").encode(),
    "quote": (HEAD + 'photos/000000.png,"a\n').encode(),
    "quotes": (HEAD + 'photos/000000.png,"a"b"c\n').encode(),
    "returns": (HEAD + ROW).replace("\n", "\r").encode(),
    "long field": (HEAD + f"photos/000000.png,{'a' * 200_000}\n").encode(),
    "long path": (HEAD + f"{'a' * 200_000}.png,a\n").encode(),
    "long name": (HEAD + f"{'a' * 300}.png,a\n").encode(),
    "many columns": (",".join(f"c{n}" for n in range(5_000)) + "\n").encode(),
    "ragged": (HEAD + "photos/000000.png\n" + ROW + "a,b,c,d\n").encode(),
    "url": (HEAD + "https://example.org/a.png,a\n").encode(),
    "file url": (HEAD + "file:///etc/passwd,a\n").encode(),
    "passwords": (HEAD + "/etc/passwd,a\n").encode(),
    "above": (HEAD + f"{'../' * 40}etc/passwd,a\n").encode(),
    "device": (HEAD + "/dev/zero,a\n").encode(),
    "terminal": (HEAD + "/dev/stdin,a\n").encode(),
    "processes": (HEAD + "/proc/self/mem,a\n").encode(),
    "folder": (HEAD + "photos,a\n").encode(),
    "here": (HEAD + ".,a\n").encode(),
    "nothing": (HEAD + ",a\n").encode(),
    "home": (HEAD + "~nobody/a.png,a\n").encode(),
    "empty caption": (HEAD + "photos/000000.png,\n").encode(),
    "equal ids": (HEAD + ROW + ROW).encode(),
    "long id": f"id,{HEAD}{'9' * 5_000},{ROW}".encode(),
    "empty id": f"id,{HEAD},{ROW}".encode(),
    "escape": f"id,{HEAD}\x1b]0;a\x07,{ROW}".encode(),
    "right": f"id,{HEAD}a\u202eb\u200b,{ROW}".encode(),
    "formula": f"id,{HEAD}=cmd|' /C calc'!A0,{ROW}".encode(),
    "markup": f"id,{HEAD}[red]<script>$x_1^2${{,{ROW}".encode(),
    "slashes": f"id,{HEAD}../../a,{ROW}".encode(),
    "line": f'id,{HEAD}"a\nb",{ROW}'.encode(),
}


@pytest.mark.parametrize("kind", CSV)
def test_a_table_of_paths(meet: Meet, kind: str) -> None:
    said = meet(
        Case(
            ("data", "inspect", "x.csv"),
            lambda folder: (folder / "x.csv").write_bytes(CSV[kind]),
            code=None,
        )
    )
    assert "root:" not in said.out + said.err  # of the passwords
    assert len(said.err) < 12_000


IMAGE = {"id": 1, "file_name": "photos/000000.png"}
SAID = {"id": 1, "image_id": 1, "caption": "a shirt"}
ODD: tuple[Any, ...] = (None, True, -1, 1.5, "", "text", [], [1], {}, {"a": {}}, "9" * 5_000, "\0")


def coco(images: Any, annotations: Any) -> str:
    return json.dumps({"images": images, "annotations": annotations})


COCO: dict[str, str] = {
    "empty": "",
    "null": "null",
    "a list": "[]",
    "text": '"text"',
    "number": "1",
    "nan": "NaN",
    "cut": coco([IMAGE], [SAID])[:-9],
    "two": coco([IMAGE], [SAID]) * 2,
    "nested": '{"images": ' + "[" * 100_000,
    "closed": '{"images": ' + "[" * 3_000 + "]" * 3_000 + "}",
    "long number": '{"images": ' + "9" * 5_000 + "}",
    "half a letter": '{"images": [{"id": 1, "file_name": "\\ud800.png"}], "annotations": []}',
    "half a caption": coco([IMAGE], [{**SAID, "caption": "@"}]).replace("@", "\\udfff"),
    "half a key": '{"images": [{"id": 1, "file_name": "a.png", "\\ud800": 1}], "annotations": []}',
    "infinite id": coco([{**IMAGE, "id": float("inf")}], [SAID]),
    "nan id": coco([{**IMAGE, "id": float("nan")}], [SAID]),
    "ids twice": coco([IMAGE, IMAGE], [SAID]),
    "many fields": coco([{**IMAGE, **{f"f{n}": n for n in range(3_000)}}], [SAID]),
    "no captions": coco([IMAGE], []),
}
COCO |= {f"images {n}": coco(odd, [SAID]) for n, odd in enumerate(ODD)}
COCO |= {f"image {n}": coco([IMAGE, odd], [SAID]) for n, odd in enumerate(ODD)}
COCO |= {f"id {n}": coco([{**IMAGE, "id": odd}], [SAID]) for n, odd in enumerate(ODD)}
COCO |= {f"name {n}": coco([IMAGE, {"id": 2, "file_name": o}], [SAID]) for n, o in enumerate(ODD)}
COCO |= {f"field {n}": coco([IMAGE | {"x": odd}], [SAID]) for n, odd in enumerate(ODD)}
COCO |= {f"annotations {n}": coco([IMAGE], odd) for n, odd in enumerate(ODD)}
COCO |= {f"annotation {n}": coco([IMAGE], [SAID, odd]) for n, odd in enumerate(ODD)}
COCO |= {f"caption {n}": coco([IMAGE], [SAID | {"caption": odd}]) for n, odd in enumerate(ODD)}
COCO |= {f"said of {n}": coco([IMAGE], [SAID | {"image_id": odd}]) for n, odd in enumerate(ODD)}
COCO |= {f"order {n}": coco([IMAGE], [SAID, SAID | {"id": odd}]) for n, odd in enumerate(ODD)}


@pytest.mark.parametrize("kind", COCO)
def test_captions_of_coco(untrain: Untrain, here: Path, kind: str) -> None:
    (here / "captions_x.json").write_text(COCO[kind])
    said = held(untrain, ("data", "inspect", "captions_x.json"), code=None)
    assert len(said.err) < 12_000


PNG = picture(2, "PNG")
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TABLES: dict[str, Callable[[], pa.Table]] = {
    "no columns": lambda: pa.table({}),
    "no rows": lambda: pa.table(
        {"image": pa.array([], pa.binary()), "caption": pa.array([], "str")}
    ),
    "nulls": lambda: pa.table({"image": pa.array([None], pa.binary()), "caption": ["a"]}),
    "no kind": lambda: pa.table({"image": pa.nulls(1), "caption": ["a"]}),
    "null captions": lambda: pa.table({"image": [PNG], "caption": pa.nulls(1)}),
    "text for images": lambda: pa.table({"image": ["a"], "caption": ["a"]}),
    "images for text": lambda: pa.table({"image": [PNG], "caption": [PNG]}),
    "numbers for text": lambda: pa.table({"image": [PNG], "caption": [1.5]}),
    "lists": lambda: pa.table({"image": [PNG], "caption": [[["a"]]]}),
    "maps": lambda: pa.table(
        {"image": [PNG], "caption": pa.array([[("a", 1)]], pa.map_("str", "int8"))}
    ),
    "dictionary": lambda: pa.table(
        {"image": [PNG], "caption": pa.array(["a"]).dictionary_encode()}
    ),
    "dates": lambda: pa.table({"image": [PNG], "caption": pa.array([2**40], pa.timestamp("s"))}),
    "far dates": lambda: pa.table(
        {"image": [PNG], "caption": ["a"], "x": pa.array([2**62], pa.timestamp("ms"))}
    ),
    "durations": lambda: pa.table(
        {"image": [PNG], "caption": ["a"], "x": pa.array([2**62], pa.duration("s"))}
    ),
    "decimals": lambda: pa.table(
        {"image": [PNG], "caption": ["a"], "x": pa.array([None], pa.decimal128(38))}
    ),
    "column twice": lambda: pa.Table.from_arrays(
        [pa.array([PNG]), pa.array(["a"]), pa.array(["b"])], ["image", "caption", "caption"]
    ),
    "images twice": lambda: pa.Table.from_arrays(
        [pa.array([PNG]), pa.array([PNG]), pa.array(["b"])], ["image", "image", "caption"]
    ),
    "no name": lambda: pa.Table.from_arrays([pa.array([PNG]), pa.array(["a"])], ["", "caption"]),
    "dot": lambda: pa.Table.from_arrays([pa.array([PNG]), pa.array(["a"])], ["a.b", "caption"]),
    "passwords": lambda: pa.table(
        {"image": pa.array([{"bytes": None, "path": "/etc/passwd"}], STRUCT), "caption": ["a"]}
    ),
    "nul": lambda: pa.table(
        {"image": pa.array([{"bytes": None, "path": "a\0b"}], STRUCT), "caption": ["a"]}
    ),
    "neither": lambda: pa.table(
        {"image": pa.array([{"bytes": None, "path": None}], STRUCT), "caption": ["a"]}
    ),
    "no struct": lambda: pa.table({"image": pa.array([None], STRUCT), "caption": ["a"]}),
    "above": lambda: pa.table(
        {"image": pa.array([{"bytes": PNG, "path": "../../.."}], STRUCT), "caption": ["a"]}
    ),
    "empty": lambda: pa.table({"image": [b""], "caption": ["a"]}),
    "words": lambda: pa.table({"image": [b"words"], "caption": ["a"]}),
    "equal ids": lambda: pa.table({"id": ["a", "a"], "image": [PNG, PNG], "caption": ["a", "b"]}),
    "odd ids": lambda: pa.table({"id": [float("nan")], "image": [PNG], "caption": ["a"]}),
    "invalid text": lambda: pa.table(
        {
            "image": [PNG],
            "caption": pa.Array.from_buffers(
                pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
            ),
        }
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_parquet_with_other_columns(untrain: Untrain, here: Path, kind: str) -> None:
    pq.write_table(TABLES[kind](), here / "x.parquet")
    for command in ("inspect", "show"):
        said = held(untrain, ("data", command, "x.parquet"), code=None)
        assert "root:" not in said.out + said.err


CUTS = (1, 4, 8, 9, 40, 99, 200, 400, -400, -200, -99, -40, -9, -8, -4, -1)


@pytest.mark.parametrize("at", CUTS)
@pytest.mark.parametrize("damage", ["cut", "flipped", "zeros", "doubled"])
def test_damaged_parquet(untrain: Untrain, here: Path, at: int, damage: str) -> None:
    path = here / "x.parquet"
    pq.write_table(pa.table({"image": [PNG, PNG], "caption": ["a", "b"]}), path)
    whole = path.read_bytes()
    at %= len(whole)
    made = {
        "cut": whole[:at],
        "flipped": whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :],
        "zeros": whole[:at] + bytes(len(whole[at : at + 20])) + whole[at + 20 :],
        "doubled": whole[:at] + whole,
    }
    path.write_bytes(made[damage])
    held(untrain, ("data", "inspect", "x.parquet"), code=None)

"""Texts of strangers in catalogues: kept where they can be written down, named where not."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from untrain.catalogs import load_catalog
from untrain.catalogs.export import export
from untrain.runs.pictures import picture_path, save_pictures

HOSTILE = ("=1+1", "\x1b[2J", "a\u202eb", "../../a", "<b>", "'=1", "a\x85b", "e" + 90 * "\u0301")


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def table(texts: list[str]) -> pd.DataFrame:
    images = [png(n) for n in range(len(texts))]
    return pd.DataFrame({"id": [f"{t} {n}" for n, t in enumerate(texts)], "image": images}).assign(
        caption=[f"{text} shirt" for text in texts]
    )


@pytest.mark.parametrize("to", ["csv", "coco", "imagefolder", "parquet", "webdataset"])
def test_what_is_exported_comes_back_exactly(tmp_path: Path, to: str) -> None:
    texts = [text for text in HOSTILE if "\x85" not in text]
    table(texts).to_parquet(tmp_path / "given.parquet")
    catalog = load_catalog("parquet", path=tmp_path / "given.parquet")
    assert len(catalog) == len(texts)
    export(catalog, [], tmp_path / to, to)
    file = {"csv": "table.csv", "coco": "captions.json"}.get(to, "")
    again = load_catalog(to, path=tmp_path / to / file)
    assert (again.ids, again.captions) == (catalog.ids, catalog.captions)
    assert again.fingerprint == catalog.fingerprint


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / f"{n}.png").write_bytes(png(n))
    ids = ["a\ud800", "b\nc", "d\0", "e"]
    images = [{"id": i, "file_name": f"{n}.png", "\udfff": "x"} for n, i in enumerate(ids)]
    said = [{"image_id": i, "caption": "cut \ud83d"} for i in ids]
    file = tmp_path / "captions.json"
    file.write_text(json.dumps({"images": images, "annotations": said}))
    catalog = load_catalog("coco", path=file)
    assert list(catalog.ids) == ["e"] and list(catalog.captions) == ["cut \ufffd"]
    assert {each.reason for each in catalog.skipped} == {
        "id is not text (UTF-8)",
        "id is not one line of text",
    }
    json.dumps([each.name for each in catalog.skipped], ensure_ascii=False).encode()


def test_bytes_in_parquet_that_are_no_text(tmp_path: Path) -> None:
    wrong = pa.array([b"a\xff", b"b", b"c\xed\xa0\x80"]).cast(pa.string(), safe=False)
    whole = pa.array(["a", "b", "c"])
    images = pa.array([png(n) for n in range(3)])
    pq.write_table(
        pa.table({"id": whole, "caption": wrong, "image": images}), tmp_path / "a.parquet"
    )
    assert load_catalog("parquet", path=tmp_path / "a.parquet").captions[0] == "a\ufffd"
    pq.write_table(
        pa.table({"id": wrong, "caption": whole, "image": images}), tmp_path / "b.parquet"
    )
    catalog = load_catalog("parquet", path=tmp_path / "b.parquet")
    assert list(catalog.ids) == ["b"]
    assert r"a\xff" in [each.name for each in catalog.skipped]


def test_pictures_stay_in_their_folder(tmp_path: Path) -> None:
    names = ["train/001", "../../a", "/tmp/a", 400 * "w", "\x1b", "a\0"]
    pixels = {name: np.full((4, 4, 3), n, np.uint8) for n, name in enumerate(names)}
    save_pictures(tmp_path / "thumbnails", pixels)
    paths = [picture_path(tmp_path / "thumbnails", name) for name in names]
    assert all(path.is_file() for path in paths) and len(set(paths)) == len(names)
    assert paths[0] == tmp_path / "thumbnails" / "train" / "001.png"
    assert [path.name for path in tmp_path.iterdir()] == ["thumbnails"]

"""Exports with a table: CSV, COCO, imagefolder, Parquet, WebDataset, Hugging Face data sets."""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from untrain.catalogs import choice
from untrain.catalogs.base import PNG_SIGNATURE, Catalog
from untrain.catalogs.choice import as_text
from untrain.catalogs.formats import arrow_rows, tables, webdataset
from untrain.core import disk
from untrain.core.progress import track
from untrain.core.text import json_line

SHARD = 2**28  # bytes of images in a file, about
GROUP = 256  # rows of a row group
SAFE_KEY = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
RESERVED = {
    *(*choice.IDS, *choice.CAPTIONS, *arrow_rows.IMAGES, *tables.IMAGES, *webdataset.TEXTS),
    webdataset.OWN_ID,
}

Pair = tuple[str, str, bytes, dict[str, str]]


def write_csv(catalog: Catalog, folder: Path) -> None:
    """Write ``table.csv`` and the images it names."""
    names = ["id", "image", "caption", *_attribute_names(catalog)]
    with text_file(folder / "table.csv") as file:
        table = csv.writer(file)
        table.writerow(names)
        for image, (image_id, caption, _, attributes) in _with_files(catalog, folder):
            table.writerow([image_id, image, caption, *attributes.values()])


def write_imagefolder(catalog: Catalog, folder: Path) -> None:
    """Write ``metadata.jsonl``, as ``imagefolder`` reads it, and the images it names."""
    with text_file(folder / "metadata.jsonl") as file:
        for image, (image_id, caption, _, attributes) in _with_files(catalog, folder):
            row = {"file_name": image, "id": image_id, "caption": caption, **attributes}
            file.write(json_line(row) + "\n")


def write_coco(catalog: Catalog, folder: Path) -> None:
    """Write ``captions.json`` as COCO has it, and the images it names."""
    images, annotations = [], []
    for number, (image, (image_id, caption, _, attributes)) in enumerate(
        _with_files(catalog, folder)
    ):
        images.append({"id": image_id, "file_name": image, **attributes})
        annotations.append({"id": number, "image_id": image_id, "caption": caption})
    content = {"images": images, "annotations": annotations}
    text = json_line(content)
    disk.write_bytes(folder / "captions.json", text.encode())


def write_webdataset(catalog: Catalog, folder: Path) -> None:
    """Write tar shards; where an id can be no name in them, numbers are, and the id is in JSON."""
    named = all(SAFE_KEY.fullmatch(image_id) for image_id in catalog.ids)
    pairs = _pairs(catalog)
    number = 0
    for place, first in enumerate(pairs):
        path = folder / f"data-{place:05d}.tar"
        with (
            disk.open_new(path) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for image_id, caption, data, attributes in _shard(first, pairs):
                key = image_id if named else f"{number:09d}"
                more = attributes if named else {webdataset.OWN_ID: image_id, **attributes}
                files = {_suffix(data): data, "txt": caption.encode()}
                if more:
                    files["json"] = json_line(more).encode()
                for suffix, content in files.items():
                    info = tarfile.TarInfo(f"{key}.{suffix}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
                number += 1


def write_parquet(catalog: Catalog, folder: Path) -> None:
    """Write Parquet files that Hugging Face's viewer and library see as images, too."""
    names = _attribute_names(catalog)
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    texts = [(name, pa.string()) for name in ("caption", *names)]
    features = {
        "id": {"dtype": "string", "_type": "Value"},
        "image": {"_type": "Image"},
        **{name: {"dtype": "string", "_type": "Value"} for name, _ in texts},
    }
    schema = pa.schema(
        [("id", pa.string()), ("image", picture), *texts],
        {"huggingface": json.dumps({"info": {"features": features}})},
    )
    pairs = _pairs(catalog)
    for place, first in enumerate(pairs):
        path = folder / f"data-{place:05d}.parquet"
        with disk.open_new(path) as file, pq.ParquetWriter(file, schema) as writer:
            shard = _shard(first, pairs)
            while rows := list(islice(shard, GROUP)):
                records: list[dict[str, Any]] = [
                    {"id": i, "image": {"bytes": data, "path": None}, "caption": caption, **more}
                    for i, caption, data, more in rows
                ]
                writer.write_table(pa.Table.from_pylist(records, schema))


def write_datasets(catalog: Catalog, folder: Path) -> None:
    """Write what ``datasets.load_from_disk`` reads."""
    from untrain.catalogs.formats.huggingface import library

    datasets = library()
    passing = folder / "passing"
    disk.make_new_folder(passing)
    write_parquet(catalog, passing)
    files = sorted(map(str, passing.glob("*.parquet")))
    data = datasets.Dataset.from_parquet(files, cache_dir=str(passing / "cache"))
    data.save_to_disk(str(folder))
    del data  # it maps the files below
    disk.delete(passing)


def text_file(path: Path) -> TextIO:
    """Open a new file for text in UTF-8 whose line ends are written as they are given."""
    return io.TextIOWrapper(disk.open_new(path), "utf-8", newline="")


def _attribute_names(catalog: Catalog) -> list[str]:
    """Return names for the attributes that no reader takes for the id, the image or the caption."""
    names: list[str] = []
    for column in map(str, catalog.attributes.columns):
        name = column
        while name in RESERVED or name in names:
            name += "_"
        names.append(name)
    return names


def _pairs(catalog: Catalog) -> Iterator[Pair]:
    """Yield id, caption, bytes and attributes behind a progress bar."""
    names = _attribute_names(catalog)
    columns = [catalog.attributes.iloc[:, at] for at in range(len(names))]
    pairs = zip(catalog.ids, catalog.captions, strict=True)
    for row, (image_id, caption) in enumerate(track(pairs, "writing pairs", len(catalog))):
        more = {n: as_text(c.iat[row]) for n, c in zip(names, columns, strict=True)}
        yield image_id, caption, catalog.encoded(image_id), more


def _shard(first: Pair, pairs: Iterator[Pair]) -> Iterator[Pair]:
    """Yield pairs until their images fill a file."""
    size = len(first[2])
    yield first
    while size < SHARD and (pair := next(pairs, None)) is not None:
        size += len(pair[2])
        yield pair


def _with_files(catalog: Catalog, folder: Path) -> Iterator[tuple[str, Pair]]:
    """Yield pairs and the names of the files that their images are written to, by number."""
    for number, pair in enumerate(_pairs(catalog)):
        name = f"images/{number // 10_000:04d}/{number:09d}.{_suffix(pair[2])}"
        file = folder / name
        disk.make_folder(file.parent)
        disk.write_bytes(file, pair[2])
        yield name, pair


def _suffix(data: bytes) -> str:
    if data[8:12] == b"WEBP":
        return "webp"
    return "png" if data.startswith(PNG_SIGNATURE) else "jpg"

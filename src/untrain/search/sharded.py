"""An index in shards: rows of a catalogue and their features, in folders that can lie anywhere.

Each shard is whole in itself (ids, captions, hashes, features), written completely or not at all,
and the same bytes whoever makes it. So indexing can stop and go on, shards can be made on many
machines and searched on many, and the answers of any shards merge into that of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from untrain.catalogs.base import Catalog
from untrain.core import disk
from untrain.core.atomic import atomic_folder, discard_folder
from untrain.core.errors import Damaged, InputError
from untrain.core.files import fingerprint, read_columns, read_json, write_columns, write_json
from untrain.core.marks import is_marked
from untrain.core.progress import bar
from untrain.core.targets import check_folder_target, valid_path
from untrain.core.tensors import read_array, write_array
from untrain.core.verifying import clear
from untrain.encoders.base import Encoder, describe, pooled
from untrain.encoders.embedding import BATCH, Embedding, here
from untrain.search.retrieve.vectors import cosines, inverse_norms, nearly_best, unit

VERSION = 1
META = "index.json"
ROWS = 16_384  # of a shard: 42 MB of 1,280 numbers


@dataclass(frozen=True, eq=False)
class Shard:
    """Some rows of a catalogue, in order.

    Attributes
    ----------
    folder : Path
    start : int
        Position of its first row among all that are searched together.
    features : ndarray of float16, shape (n, d)
        A memory map.
    scale : ndarray of float32, shape (n,)
        1/norm of each row; 0 for zero vectors.
    """

    folder: Path
    start: int
    features: np.ndarray
    scale: np.ndarray

    @cached_property
    def images(self) -> pa.Table:
        """Columns ``image_id``, ``caption`` and ``content``, a row for each of the features."""
        try:
            return read_columns(self.folder / "images.parquet", mapped=True)
        except (OSError, ValueError) as error:
            raise _lacking(self.folder, error) from None


@dataclass(frozen=True, eq=False)
class ShardedIndex:
    """Shards that are searched together, exactly.

    Attributes
    ----------
    shards : tuple of Shard
    about : mapping
        What the encoder is: ``name``, ``options``, ``fingerprint``, ``description``.
    """

    shards: tuple[Shard, ...]
    about: dict[str, Any]

    def __len__(self) -> int:
        return sum(len(shard.features) for shard in self.shards)

    def query(self, vectors: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the images of highest cosine with each query, best first, equals by position.

        Parameters
        ----------
        vectors : ndarray, (q, d)
            Features by the index's encoder.
        top : int

        Returns
        -------
        positions : ndarray of int64, (q, min(top, n))
            Of the image among all shards: the order of the folders, then of their catalogues.
        cosines : ndarray of float64, the same shape
        """
        queries, d = np.asarray(vectors, np.float32), self.shards[0].features.shape[1]
        if queries.ndim != 2 or queries.shape[1] != d or not np.isfinite(queries).all():
            raise InputError(
                f"the queries have shape {queries.shape}; expected finite features (queries, {d}) "
                "by the encoder that the index was made with"
            )
        if top < 1:
            raise InputError(f"{top} images were asked for; expected at least 1")
        units = unit(queries)
        return merged((_answer(shard, queries, units, top) for shard in self.shards), top)

    def rows(self, positions: Sequence[int] | np.ndarray) -> list[dict[str, str]]:
        """Return ``image_id``, ``caption`` and ``content`` of the images at positions."""
        starts = np.array([shard.start for shard in self.shards])
        found = []
        for position in map(int, positions):
            shard = self.shards[int(np.searchsorted(starts, position, side="right")) - 1]
            found.append(shard.images.slice(position - shard.start, 1).to_pylist()[0])
        return found


Answer = tuple[np.ndarray, np.ndarray]


def _answer(shard: Shard, queries: np.ndarray, units: np.ndarray, top: int) -> Answer:
    """Return positions and cosines, (q, k) each, of what a shard has to say."""
    every = np.arange(len(shard.features))
    found = nearly_best(shard.features, every, shard.scale, units, top)
    answers = [
        _first(rows, cosines(shard.features, rows, query), top)
        for rows, query in zip(found, queries, strict=True)
    ]
    positions, values = (np.stack(parts) for parts in zip(*answers, strict=True))
    return positions + shard.start, values


def _first(positions: np.ndarray, values: np.ndarray, top: int) -> Answer:
    order = np.lexsort((positions, -values))[:top]
    return positions[order], values[order]


def merged(answers: Iterable[Answer], top: int) -> Answer:
    """Return the first ``top`` of the answers of several shards, as one index would give them.

    Parameters
    ----------
    answers : iterable of (positions, cosines), each (q, k)
        Each shard's first ``top``, or all that it has; positions among all shards.
    """
    best: Answer | None = None
    for answer in answers:
        if best is not None:
            answer = np.hstack([best[0], answer[0]]), np.hstack([best[1], answer[1]])
        rows = [_first(at, values, top) for at, values in zip(*answer, strict=True)]
        best = np.stack([at for at, _ in rows]), np.stack([values for _, values in rows])
    if best is None:
        raise InputError("there are no shards to search; expected at least one")
    return best


def open_shards(folders: Sequence[Path]) -> ShardedIndex:
    """Return the indexes in folders that `write_shards` wrote, as one.

    Raises
    ------
    InputError
        A folder holds no index, or one that is not finished or damaged; or their encoders differ.
    """
    if not folders:
        raise InputError("no index was named; expected the folder of one or more")
    shards: list[Shard] = []
    start, about = 0, None
    for folder in folders:
        meta = _read_meta(folder)
        about = about or meta["encoder"]
        if meta["encoder"]["fingerprint"] != about["fingerprint"]:
            raise InputError(
                f"the index in {folder} was made with another encoder "
                f"({meta['encoder']['description']}) than that in {folders[0]} "
                f"({about['description']}): search them one by one"
            )
        for number in range(-(-meta["images"] // meta["rows"])):
            path = _marked(_path(folder, number))
            try:
                features, scale = (
                    read_array(path / f"{name}.npy") for name in ("features", "scale")
                )
            except (OSError, ValueError) as error:
                raise _lacking(path, error) from None
            shards.append(Shard(path, start, features, scale))
            start += len(features)
    assert about is not None
    return ShardedIndex(tuple(shards), about)


def _lacking(shard: Path, error: Exception) -> InputError:
    fault = f"{shard.name} is damaged" if isinstance(error, Damaged) else error
    return InputError(
        f"the index in {shard.parent} lacks a shard ({fault}): run `untrain index` again with the "
        "same catalogue and folder, which makes only what is missing"
    )


def write_shards(
    catalog: Catalog,
    encoder: Encoder,
    folder: Path,
    made_of: tuple[str, dict[str, Any]],
    embed: Embedding = here,
    rows: int = ROWS,
) -> int:
    """Write the index of a catalogue in shards; those that are there already stay.

    Parameters
    ----------
    catalog : Catalog
    encoder : Encoder
        Its pooled features are indexed.
    folder : Path
        New or empty, or that of an earlier call with the same catalogue, encoder and ``rows``.
    made_of : (str, dict)
        Name and options of the encoder, as `untrain.encoders.load_encoder` takes them; a search
        loads it by them.
    embed : Embedding
        Where images are embedded.
    rows : int
        Of a shard; a multiple of 16, so that shards divide no batch.

    Returns
    -------
    int
        How many shards were written.

    Raises
    ------
    InputError
        ``rows`` is no such number, the folder holds anything else, or as `Embedding`.
    """
    if rows < BATCH or rows % BATCH:
        raise InputError(f"{rows} rows a shard; expected a multiple of {BATCH}")
    if not len(catalog):
        raise InputError(f"{catalog.name} has no images; expected at least one to index")
    encoder = pooled(encoder)
    name, options = made_of
    about = {"name": name, "options": options, "fingerprint": encoder.fingerprint}
    about["description"] = describe(encoder)
    meta = {
        "version": VERSION,
        "catalog": catalog.name,
        "fingerprint": catalog.fingerprint,
        "images": len(catalog),
        "rows": rows,
        "encoder": about,
    }
    _begin(folder, meta)
    count = -(-len(catalog) // rows)
    for number in range(count):
        clear(_marked(_path(folder, number)))
    missing = [number for number in range(count) if not _path(folder, number).exists()]
    sizes = [min(rows, len(catalog) - number * rows) for number in missing]
    ids = [
        image_id
        for number in missing
        for image_id in catalog.ids[number * rows : (number + 1) * rows]
    ]
    with bar("indexing images", len(ids)) as advance, closing(embed(encoder, catalog, ids)) as made:
        for number, features in zip(missing, _cut(made, sizes, advance), strict=True):
            part = slice(number * rows, number * rows + len(features))
            _write(_path(folder, number), catalog, part, features)
    return len(missing)


def _cut(made: Iterable[np.ndarray], sizes: Sequence[int], advance: Any) -> Iterator[np.ndarray]:
    """Yield arrays of so many rows each, of a stream of others."""
    waiting: list[np.ndarray] = []
    have, stream = 0, iter(made)
    for size in sizes:
        while have < size:
            waiting.append(next(stream))
            have += len(waiting[-1])
            advance(len(waiting[-1]))
        whole = np.concatenate(waiting)
        yield whole[:size]
        waiting, have = [whole[size:]], have - size


def _write(path: Path, catalog: Catalog, part: slice, features: np.ndarray) -> None:
    columns = {"image_id": catalog.ids, "caption": catalog.captions, "content": catalog.hashes}
    arrays = {name: pa.array(list(texts[part]), pa.string()) for name, texts in columns.items()}
    scale = inverse_norms(features, np.arange(len(features)))
    with atomic_folder(path) as temporary:
        write_array(temporary / "features.npy", np.ascontiguousarray(features))
        write_array(temporary / "scale.npy", scale)
        write_columns(temporary / "images.parquet", pa.table(arrays))


def check_shards_target(folder: Path) -> None:
    """Raise `InputError` unless shards may be written to a folder: a new one, or an index."""
    inside = valid_path(folder)
    if (inside / META).is_file():
        return
    there = inside.iterdir() if inside.is_dir() else [inside]
    if not all(is_marked(path) for path in there):
        check_folder_target(folder)


def _begin(folder: Path, meta: dict[str, Any]) -> None:
    """Write what the index is, or see that it is the one that was begun."""
    found = None
    with suppress(Damaged):
        found = (folder / META).exists() and _read_meta(folder)
    if found:
        known = ("fingerprint", "images", "rows", "encoder")
        was, now = ([values[key] for key in known[:3]] for values in (found, meta))
        was.append(found["encoder"]["fingerprint"])
        now.append(meta["encoder"]["fingerprint"])
        if was != now:
            raise InputError(
                f"{folder} holds the index of {found['catalog']} ({found['images']:,} images, "
                f"{found['rows']:,} rows a shard, {found['encoder']['description']}), which is "
                "another catalogue, encoder or size of shards: name another folder"
            )
        return
    check_shards_target(folder)
    disk.make_folder(folder)
    disk.delete_file(folder / META)
    for shard in folder.glob("shard-*"):  # of which catalogue and encoder is not known any more
        discard_folder(shard)
    write_json(folder / META, {**meta, "checksum": fingerprint(meta)})


def _read_meta(folder: Path) -> dict[str, Any]:
    again = "`untrain index CATALOG --out FOLDER` makes one"
    try:
        found: dict[str, Any] = read_json(folder / META)
        meta = {name: value for name, value in found.items() if name != "checksum"}
        if meta["version"] != VERSION:
            raise ValueError(f"it is of version {meta['version']}, this untrain reads {VERSION}")
        if found.get("checksum", fingerprint(meta)) == fingerprint(meta):
            return meta
        raise Damaged
    except Damaged:
        raise Damaged(f"{folder / META} is not as it was written: {again} anew") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no index in shards ({error}); {again}") from None


def _marked(shard: Path) -> Path:
    """Return a shard's folder; raise if it is there without the list of what is in it."""
    if shard.exists() and not is_marked(shard):
        raise InputError(
            f"{shard} is damaged (its list of files cannot be read): move this folder away and run "
            "`untrain index` again with the same catalogue and folder, which makes only that"
        )
    return shard


def _path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}"

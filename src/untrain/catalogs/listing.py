"""Listings of catalogues, kept: what was read and checked once is not read again.

To check 44,000 images takes a quarter of a minute, to look whether any file changed a moment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from rich.markup import escape

from untrain.cache import cache_folder, mark_used
from untrain.catalogs.base import Catalog, Skipped
from untrain.catalogs.folder import FolderReader, refuse_if_unusable
from untrain.catalogs.zipped import Member, ZipReader
from untrain.files import atomic_path, fingerprint, read_json, write_json
from untrain.progress import console

VERSION = 2  # raise it when what is read, or what counts as a good image, changes
TAIL = 2**23  # bytes: at its end a zip has its directory, here of up to some 100,000 files


def remembered(
    build: Callable[..., Catalog],
    format: str,
    strict: bool,
    fresh: bool,
    options: Mapping[str, Any],
    depth: int = 0,
) -> Catalog:
    """Return ``build(strict=strict, **options)``, from its listing if nothing changed since.

    Parameters
    ----------
    build : callable
        A format whose images lie in a zip or in folders at ``options["path"]``.
    format : str
        Its name.
    strict : bool
        Refuse a catalogue of which anything was skipped.
    fresh : bool
        Read anew.
    options : mapping
        What the format takes; other options, another listing.
    depth : int
        How many folders below ``path`` its files may lie.

    Raises
    ------
    InputError
        What the format raises. A listing that cannot be read or kept never is an error.
    """
    source = Path(options["path"]).expanduser()
    folder = cache_folder("catalogs", _key(format, source, options))
    catalog = None if fresh else _recall(folder, source)
    if catalog is not None:
        refuse_if_unusable(str(source), len(catalog), catalog.skipped, strict)
        return catalog
    before = _states(source, _places(source, depth))
    catalog = build(strict=strict, **options)
    try:
        _keep(folder, source, format, catalog, before)
    except OSError as error:
        _say(f"the listing of {source} was not kept ({error})")
    return catalog


def _say(what: str) -> None:
    console.print(escape(what), soft_wrap=True)


def _key(format: str, source: Path, options: Mapping[str, Any]) -> str:
    others = {
        name: sorted(map(str, value)) if isinstance(value, set | frozenset) else value
        for name, value in options.items()
        if name != "path"
    }
    return fingerprint(VERSION, format, str(source.resolve()), others)


def _recall(folder: Path, source: Path) -> Catalog | None:
    """Return the catalogue as it was listed; None if there is no such listing or it is outdated."""
    try:
        meta = read_json(folder / "meta.json")
        if meta["version"] != VERSION:
            return None
        if fingerprint(_states(source, meta["folders"])) != meta["stamp"]:
            _say(f"{source} has changed since it was read: reading it again")
            return None
        catalog = _read(folder, source, meta)
        mark_used(folder)
    except (OSError, ValueError, KeyError, TypeError):  # none, damaged, or of a vanished source
        return None
    return catalog


def _read(folder: Path, source: Path, meta: dict[str, Any]) -> Catalog:
    images = pd.read_parquet(folder / "images.parquet")
    ids = images["id"].tolist()
    attributes = pd.DataFrame(index=range(len(ids)))
    if meta["attributes"]:
        attributes = pd.read_parquet(folder / "attributes.parquet")
    files = [images[column].tolist() for column in Member._fields if column in images]
    read: ZipReader | FolderReader
    if meta["zip"]:
        read = ZipReader(source, dict(zip(ids, map(Member, *files), strict=True)))
    else:
        read = FolderReader(source, dict(zip(ids, files[0], strict=True)))
    catalog = Catalog(
        name=meta["name"],
        ids=tuple(ids),
        captions=tuple(images["caption"].tolist()),
        hashes=tuple(images["hash"].tolist()),
        read=read,
        attributes=attributes,
        skipped=tuple(Skipped(*item) for item in meta["skipped"]),
    )
    vars(catalog)["fingerprint"] = meta["fingerprint"]  # a cached property: not computed again
    return catalog


def _keep(
    folder: Path, source: Path, format: str, catalog: Catalog, before: Mapping[str, str]
) -> None:
    """Write a listing, unless its source is not as it was ``before`` it was read."""
    read = catalog.read
    assert isinstance(read, ZipReader | FolderReader)
    names = [m.name if isinstance(m, Member) else m for m in read.files.values()]
    folders = ["."] if isinstance(read, ZipReader) else _folders(names)
    states = _states(source, folders)
    if states != {name: before.get(name) for name in folders}:
        _say(f"{source} changed while it was read: it is read again next time")
        return
    files = [read.files[image_id] for image_id in catalog.ids]
    columns = Member._fields if isinstance(read, ZipReader) else Member._fields[:1]
    images = pd.DataFrame(files, columns=list(columns)).assign(
        id=catalog.ids, caption=catalog.captions, hash=catalog.hashes
    )
    meta = {
        "description": f"{catalog.name}: {len(catalog):,} images ({format}, {source.resolve()})",
        "version": VERSION,
        "rows": len(catalog),
        "name": catalog.name,
        "fingerprint": catalog.fingerprint,
        "stamp": fingerprint(states),
        "folders": folders,
        "attributes": len(catalog.attributes.columns),
        "zip": isinstance(read, ZipReader),
        "skipped": [[item.name, item.reason] for item in catalog.skipped],
    }
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        images.to_parquet(temporary / "images.parquet", index=False)
        if meta["attributes"]:
            catalog.attributes.to_parquet(temporary / "attributes.parquet", index=False)
        write_json(temporary / "meta.json", meta)


def _folders(names: Iterable[str]) -> list[str]:
    """Return the folders that files lie in, and those above: ``.`` and maybe ``images``."""
    parents = {PurePosixPath(name.rpartition("/")[0]) for name in names}
    return sorted({str(above) for folder in parents for above in (folder, *folder.parents)})


def _places(source: Path, depth: int) -> list[str]:
    """Return a source and the folders in it, relative to it, so many levels down."""
    places = ["."]
    for path, names, _ in os.walk(source, followlinks=True):
        here = PurePosixPath(Path(path).relative_to(source).as_posix())
        names[:] = names if len(here.parts) < depth else []
        places += [str(here / name) for name in names]
    return places


def _states(source: Path, places: Iterable[str]) -> dict[str, str]:
    """Return a digest of each place's state, as far as a look tells; of none that is not there.

    Of a file, a zip: size, time and the bytes at its end. Of a folder: name, size and time (of
    content, nanoseconds) of each file in it that is not hidden.
    """
    states = {}
    for place in places:
        with suppress(OSError):
            path = source / place
            states[place] = _state_of_folder(path) if path.is_dir() else _state_of_file(path)
    return states


def _state_of_file(path: Path) -> str:
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        file.seek(max(0, state.st_size - TAIL))
        about = repr((state.st_size, state.st_mtime_ns)).encode()
        return hashlib.sha256(about + file.read()).hexdigest()


def _state_of_folder(path: Path) -> str:
    with os.scandir(path) as entries:
        states = [
            (entry.name, state.st_size, state.st_mtime_ns)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_file()
            for state in [entry.stat()]
        ]
    return hashlib.sha256(repr(sorted(states)).encode()).hexdigest()

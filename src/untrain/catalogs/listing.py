"""Listings of catalogues, kept: what was read and checked once is not read again.

To check 44,000 images takes a quarter of a minute, to look whether any file changed a moment. A
long listing is mapped into memory, not read: a million pairs open like one, except for the look at
their files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from untrain.catalogs.base import Catalog, ReadBytes, Skipped
from untrain.catalogs.checked import remembering
from untrain.catalogs.columns import Lookup, Places, Texts
from untrain.catalogs.formats.huggingface import DatasetReader, Named
from untrain.catalogs.formats.parquet import Cell, ParquetReader
from untrain.catalogs.formats.webdataset import Piece, TarReader
from untrain.catalogs.formats.zipped import Member, ZipReader
from untrain.catalogs.intake import ATTRIBUTE, PLACE, TEXT, catalog_of
from untrain.catalogs.reading import FolderReader, folders_of, refuse_if_unusable
from untrain.core.cache import cached
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, map_arrow, read_json, write_arrow, write_json
from untrain.core.outside import is_file, open_regular, resolved
from untrain.core.printing import escape
from untrain.core.progress import console
from untrain.core.tensors import read_array, write_array

LISTING = "listing.json"
VERSION = 4  # raise it when what is read changes
TAIL = 2**23  # bytes: at its end a zip has its directory, here of up to some 100,000 files
ROWS = 65536  # of a block of the listing
SMALL = 10_000  # pairs up to which tuples and dictionaries are worth the time to make them


@dataclass(frozen=True)
class Origin:
    """Where a catalogue comes from.

    Attributes
    ----------
    name : str
        What messages call it.
    place : str
        A folder that its images lie in or under: their checks are kept by it.
    files : tuple of Path
        Files that it is read from, known before it is read.
    folders : callable
        Returns the folders that its images may lie in; asked only when it is read.
    key : any
        What else it is known by, beside format and options.
    """

    name: str
    place: str
    files: tuple[Path, ...] = ()
    folders: Callable[[], Iterable[Path]] = tuple
    key: Any = None


def below(path: Path | str, depth: int | None) -> Origin:
    """Return the origin of a file, or of a folder whose images lie so many levels down at most."""
    source = Path(path).expanduser()
    whole = resolved(source)
    if source.is_dir():
        return Origin(str(source), str(whole), (), lambda: _walk(whole, depth), str(whole))
    return Origin(str(source), str(whole.parent), (whole,), key=str(whole))


def remembered(
    build: Callable[..., Catalog],
    format: str,
    strict: bool,
    fresh: bool,
    options: Mapping[str, Any],
    origin: Origin,
) -> Catalog:
    """Return ``build(strict=strict, **options)``, from its listing if nothing changed since.

    Parameters
    ----------
    build : callable
        A format whose reader is one of `READERS`.
    format : str
        Its name.
    strict : bool
        Refuse a catalogue of which anything was skipped.
    fresh : bool
        Read anew.
    options : mapping
        What the format takes; other options, another listing.
    origin : Origin
        Where its files are.

    Raises
    ------
    InputError
        What the format raises. A listing that cannot be read or kept never is an error.
    """
    before: dict[str, str] = {}  # how places looked before anything was read
    written: list[Path] = []

    def make() -> Catalog:
        with suppress(OSError, UnicodeError):  # what cannot be looked at, the format says better
            # Where an outdated listing made look into folders a moment ago, that will do.
            looked = {name: state for name, state in before.items() if Path(name).is_dir()}
            before.clear()
            before.update(_states([*origin.files, *origin.folders()], looked))
        with nullcontext() if fresh else remembering(origin.place):
            return build(strict=strict, **options)

    def about(catalog: Catalog) -> dict[str, Any]:
        description = f"{catalog.name}: {len(catalog):,} images ({format}, {origin.name})"
        return {"description": description, "rows": len(catalog)}

    def save(catalog: Catalog, folder: Path) -> None:
        _write(folder, origin, catalog, before)
        written.append(folder)

    catalog, notes = cached(
        "catalogs",
        _key(format, origin, options),
        about,
        make,
        save=save,
        load=lambda folder: _read(folder, origin, None if written else before),
        version=VERSION,
        fresh=fresh,
        reopen=True,
    )
    for note in notes:
        console.print(escape(note.text), soft_wrap=True)
    refuse_if_unusable(origin.name, len(catalog), catalog.skipped, strict)
    return catalog


def _key(format: str, origin: Origin, options: Mapping[str, Any]) -> str:
    others = {
        name: sorted(map(str, value)) if isinstance(value, set | frozenset) else value
        for name, value in options.items()
        if name != "path"
    }
    files = [str(path) for path in origin.files]
    return fingerprint(VERSION, format, files, origin.key, others)


def _read(folder: Path, origin: Origin, looked: dict[str, str] | None) -> Catalog:
    """Return the catalogue as it was listed.

    How its places look now is left in ``looked``; None: they have just been looked at.

    Raises
    ------
    InputError
        Its source has changed since.
    """
    meta = read_json(folder / LISTING)
    if looked is not None:
        looked.clear()
        looked.update(_states(map(Path, meta["places"])))
        if fingerprint(looked) != meta["stamp"]:
            raise InputError(f"{origin.name} has changed since it was read; run the command again")
    table = map_arrow(folder / "images.arrow")
    places = Places(read_array(folder / "places.npy"))
    if not len(table) == places.table.shape[1] == meta["rows"]:
        raise ValueError("the files of the listing differ in length")
    known = READERS[meta["reader"]["kind"]]
    skipped = tuple(Skipped(*item) for item in meta["skipped"])

    def reader(files: Mapping[str, Any]) -> ReadBytes:
        return known.open(meta["reader"], files)

    catalog = catalog_of(table, places, meta["name"], reader, known.kind, skipped)
    if len(catalog) <= SMALL:
        texts: dict[str, Any] = {
            name: tuple(getattr(catalog, name)) for name in ("ids", "captions", "hashes")
        }
        read: Any = catalog.read
        catalog = replace(catalog, **texts, read=reader(read.files.to_dict()))
    vars(catalog)["content"] = meta["fingerprint"]  # a cached property: not computed again
    return catalog


def _write(folder: Path, origin: Origin, catalog: Catalog, before: Mapping[str, str]) -> None:
    """Write the listing of a catalogue into a new folder.

    Raises
    ------
    InputError
        Its source is not as it was ``before``.
    """
    kind, known = next((n, r) for n, r in READERS.items() if isinstance(catalog.read, r.type))
    read: Any = catalog.read
    states = _states([*origin.files, *known.folders(read)])
    if states != {name: before.get(name) for name in states}:
        raise InputError(f"{origin.name} changed while it was read")
    meta = {
        "rows": len(catalog),
        "name": catalog.name,
        "fingerprint": catalog.content,
        "stamp": fingerprint(states),
        "places": list(states),
        "reader": {"kind": kind, **known.describe(read)},
        "skipped": [[item.name, item.reason] for item in catalog.skipped],
    }
    table, places = _tabled(catalog, read.files, known)
    write_arrow(folder / "images.arrow", table, ROWS)
    write_array(folder / "places.npy", places.table)
    write_json(folder / LISTING, meta)


def _tabled(catalog: Catalog, files: Mapping[str, Any], known: Known) -> tuple[pa.Table, Places]:
    """Return a catalogue as a table, and where each id is in it."""
    if isinstance(files, Lookup):
        return files.table, files.ids.places
    listed = [files[image_id] for image_id in catalog.ids]
    several = list(zip(*listed, strict=True)) if issubclass(known.kind, tuple) else [listed]
    names = getattr(known.kind, "_fields", ("name",))
    columns: dict[str, pa.Array] = {
        "id": pa.array(list(catalog.ids), TEXT),
        "caption": pa.array(list(catalog.captions), TEXT),
        "hash": pa.array(list(catalog.hashes), TEXT),
    }
    columns |= {f"{PLACE}{n}": pa.array(list(v)) for n, v in zip(names, several, strict=True)}
    columns |= {f"{ATTRIBUTE}{n}": pa.array(v, TEXT) for n, v in catalog.attributes.items()}
    table = pa.table(columns)
    return table, Places.of(Texts(table["id"]))[0]


@dataclass(frozen=True)
class Known:
    """A reader that a listing can hold.

    Attributes
    ----------
    type, kind
        The reader's class, and that of what its map from id to place gives.
    open, describe
        Make a reader of what ``describe`` says of one, as JSON, and the map.
    folders
        Returns the folders and files that its images lie in.
    """

    type: type
    kind: Any
    open: Callable[[dict[str, Any], Mapping[str, Any]], ReadBytes]
    describe: Callable[[Any], dict[str, Any]]
    folders: Callable[[Any], Iterable[Path]] = field(default=lambda read: ())


def _names(files: Mapping[str, Any]) -> Iterable[str]:
    return Texts(files.table[f"{PLACE}name"]) if isinstance(files, Lookup) else files.values()


READERS: dict[str, Known] = {
    "folder": Known(
        FolderReader,
        str,
        lambda said, files: FolderReader(Path(said["folder"]), files),
        lambda read: {"folder": str(read.folder.resolve())},
        lambda read: folders_of(read.folder.resolve(), _names(read.files)),
    ),
    "zip": Known(
        ZipReader,
        Member,
        lambda said, files: ZipReader(Path(said["path"]), files),
        lambda read: {"path": str(read.path.resolve())},
    ),
    "tar": Known(
        TarReader,
        Piece,
        lambda said, files: TarReader(tuple(map(Path, said["paths"])), files),
        lambda read: {"paths": [str(path) for path in read.paths]},
    ),
    "parquet": Known(
        ParquetReader,
        Cell,
        lambda said, files: ParquetReader(tuple(map(Path, said["paths"])), said["column"], files),
        lambda read: {"paths": [str(path) for path in read.paths], "column": read.column},
    ),
    "datasets": Known(
        DatasetReader,
        int,
        lambda said, files: DatasetReader(Named(**said["named"]), said["column"], files),
        lambda read: {"named": asdict(read.named), "column": read.column},
    ),
}


def _walk(source: Path, depth: int | None) -> list[Path]:
    """Return a folder and those in it, so many levels down."""
    places = [source]
    for path, names, _ in os.walk(source, followlinks=True):
        level = len(Path(path).relative_to(source).parts)
        names[:] = names if depth is None or level < depth else []
        places += [Path(path) / name for name in names]
    return places


def _states(places: Iterable[Path], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a digest of each place's state, as far as a look tells; of none that is not there.

    Of a file: size, time and the bytes at its end. Of a folder: name, size and time (of content,
    nanoseconds) of each file in it that is not hidden. Those that are known are not looked at.
    """
    several = sorted(set(places))
    states = {str(path): known[str(path)] for path in several if known and str(path) in known}
    for path in several:
        if str(path) in states:
            continue
        with suppress(OSError):
            tail = TAIL // len(several)
            states[str(path)] = (
                _state_of_folder(path) if path.is_dir() else _state_of_file(path, tail)
            )
    return states


def _state_of_file(path: Path, tail: int) -> str:
    with open_regular(path) as file:
        state = os.fstat(file.fileno())
        file.seek(max(0, state.st_size - tail))
        about = repr((state.st_size, state.st_mtime_ns)).encode()
        return hashlib.sha256(about + file.read()).hexdigest()


def _state_of_folder(path: Path) -> str:
    """Digest the files of a folder in whatever order they come: the sum of their digests."""
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and is_file(entry):
                state = entry.stat()
                about = repr((entry.name, state.st_size, state.st_mtime_ns)).encode(
                    "utf-8", "replace"
                )
                total += int.from_bytes(hashlib.sha256(about).digest(), "little")
    return f"{total % 2**256:064x}"

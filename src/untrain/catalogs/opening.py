"""The formats that catalogues are read from, and opening one by the name of its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np

from untrain.catalogs.base import PAD, Catalog, Skipped
from untrain.catalogs.choice import Choice
from untrain.catalogs.exclude import exclude as without_listed
from untrain.catalogs.formats import huggingface, parquet, tables, webdataset
from untrain.catalogs.formats.shards import expand
from untrain.catalogs.listing import Origin, below, remembered
from untrain.catalogs.reading import refuse_if_unusable
from untrain.catalogs.rendered.catalog import rendered
from untrain.catalogs.rendered.drawing import remembered_drawing
from untrain.catalogs.reservations import respect as without_reserved
from untrain.core.annotations import check_options
from untrain.core.errors import InputError, did_you_mean
from untrain.core.outside import resolved
from untrain.core.registry import Registry

Lists = Path | str | Sequence[Path | str]

CATALOGS: Registry[Callable[..., Catalog]] = Registry(
    "catalogue format",
    {
        "rendered": "untrain.catalogs.rendered.catalog:rendered",
        "folder": "untrain.catalogs.formats.folder:from_folder",
        "fashion": "untrain.catalogs.formats.fashion:from_fashion",
        "csv": "untrain.catalogs.formats.tables:from_csv",
        "coco": "untrain.catalogs.formats.tables:from_coco",
        "parquet": "untrain.catalogs.formats.parquet:from_parquet",
        "webdataset": "untrain.catalogs.formats.webdataset:from_webdataset",
        "datasets": "untrain.catalogs.formats.huggingface:from_datasets",
        "imagefolder": "untrain.catalogs.formats.huggingface:from_imagefolder",
    },
)
OF_ROWS = tuple(field.name for field in fields(Choice) if field.init)
OF_ANY = ("where", "caption", "captions", "empty_caption")  # done here for formats without them
SUFFIXES = {
    ".zip": "fashion",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "coco",
    ".parquet": "parquet",
    ".tar": "webdataset",
}


def guess_format(path: Path) -> str:
    """Return the format that the data at ``path`` seem to have, by what is there."""
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    if any((path / name).is_file() for name in (huggingface.SAVED, huggingface.SAVED_SPLITS)):
        return "datasets"
    # The places where `from_fashion` looks.
    styles = ("styles.csv", "*/styles.csv", "*/*/styles.csv")
    if any(any(path.glob(table)) for table in styles):
        return "fashion"
    if any(any(path.glob(f"metadata.{suffix}")) for suffix in ("csv", "jsonl")):
        return "imagefolder"
    shards = (s for s in (".tar", ".parquet") if any(path.glob(f"*{s}")))
    return SUFFIXES.get(next(shards, ""), "folder")


def load_catalog(
    format: str,
    strict: bool = False,
    fresh: bool = False,
    resize: str = PAD,
    exclude: Lists | None = None,
    respect: str | Sequence[str] | None = None,
    **options: Any,
) -> Catalog:
    """Build the catalogue of a registered format.

    Files are read and checked once: a listing of them is kept in the cache and holds until one of
    them changes in name, size or time. So are the pictures that the format ``rendered`` draws.

    Parameters
    ----------
    format : str
        A name in `CATALOGS`, such as ``"rendered"``, ``"folder"``, ``"webdataset"``.
    strict : bool
        Refuse data of which anything cannot be used; given to the formats that can skip.
    fresh : bool
        Read and check everything, whatever the cache holds.
    resize : {"pad", "crop", "stretch"}
        As of `Catalog`.
    exclude : Path or sequence of Path, optional
        Opt-out lists, as `untrain.catalogs.opt_out.read_opt_out` takes them.
    respect : str or sequence of str, optional
        Reservations in the images that are honoured: of `untrain.catalogs.reservations.KINDS`.
    **options
        The format's own arguments, such as ``path``. All formats take ``where``, ``caption`` and
        ``empty_caption`` as `untrain.catalogs.choice.Choice` says; where the format has no columns
        of its own, over its attributes, and ``caption``.

    Raises
    ------
    InputError
        Unknown format, unknown or missing option, or what the format itself raises; an opt-out
        list that cannot be applied, or leaves nothing.
    """
    build = CATALOGS[format]
    known = dict(signature(build).parameters)
    open_ended = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in known.values())
    if known.pop("choice", None):
        build = partial(_with_choice, build)
        known |= {name: Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in OF_ROWS}
    options = {name: value for name, value in options.items() if value is not None}
    own = {"resize": resize, "exclude": exclude, "respect": respect}
    for names, takers in ((options, (CATALOGS[format], Choice)), (own, (load_catalog,))):
        check_options(f"catalogue format '{format}'", names, takers)
    later = {n: options.pop(n) for n in OF_ANY if n in options and n not in known}
    for option in options:
        if option not in known and not open_ended:
            hint = did_you_mean(option, [*known, *OF_ANY, "exclude", "respect"])
            raise InputError(f"catalogue format '{format}' has no option '{option}'{hint}")
    for name, parameter in known.items():
        named = parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        if named and parameter.default is Parameter.empty and name not in {*options, "strict"}:
            raise InputError(f"catalogue format '{format}' needs the option '{name}'")
    if format in ORIGINS:
        catalog = remembered(build, format, strict, fresh, options, ORIGINS[format](**options))
    elif build is rendered:
        catalog = remembered_drawing(options, fresh)
    else:
        catalog = build(**options, **({"strict": strict} if "strict" in known else {}))
    if later:
        catalog = refine(catalog, Choice(**later), strict)
    if exclude:
        catalog = without_listed(catalog, several(exclude))
    if respect:
        catalog = without_reserved(catalog, several(respect))
    return replace(catalog, resize=resize) if resize != PAD else catalog


def several(value: Any) -> list[Any]:
    """Return a value, or those in a list, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _with_choice(build: Callable[..., Catalog], **options: Any) -> Catalog:
    """Build a catalogue of rows; the options of the choice among them become one."""
    chosen = {name: options.pop(name) for name in OF_ROWS if name in options}
    return build(choice=Choice(**chosen), **options)


def takes_path(format: str) -> bool:
    """Tell whether a format reads files: all but those that make their pictures."""
    return "path" in signature(CATALOGS[format]).parameters


def refine(catalog: Catalog, choice: Choice, strict: bool = False) -> Catalog:
    """Choose rows and captions of a catalogue by its attributes, and its ``caption``.

    Raises
    ------
    InputError
        There is no such column, no row is left, or (strict) a caption is empty.
    """
    table = catalog.attributes
    choice = choice.settled([*map(str, table.columns), "caption"], catalog.name)
    rows, captions, skipped = [], [], list(catalog.skipped)
    columns = [(str(name), column.tolist()) for name, column in table.items()]
    for row, caption in enumerate(catalog.captions):
        values = {name: column[row] for name, column in columns} | {"caption": caption}
        if not choice.filter(values):
            continue
        texts = choice.texts(values)
        if texts:
            rows.append(row)
            captions.append(texts[0])
        else:
            skipped.append(Skipped(catalog.ids[row], "empty caption"))
    if not rows and len(skipped) == len(catalog.skipped):
        raise InputError(f"{catalog.name}: {choice.filter.explain()}")
    refuse_if_unusable(catalog.name, len(rows), skipped, strict)
    chosen = catalog.rows(np.array(rows, np.int64))
    return replace(chosen, captions=tuple(captions), skipped=tuple(skipped))


def _shards(suffixes: tuple[str, ...], path: Any, **_: Any) -> Origin:
    files = tuple(expand(path, suffixes))
    return Origin(str(path), str(files[0].parent), files)


def _table(folders: Callable[..., set[Path]], path: Any, **options: Any) -> Origin:
    file = resolved(Path(path).expanduser())
    return Origin(str(path), str(file.parent), (file,), partial(folders, path=path, **options))


ORIGINS: Mapping[str, Callable[..., Origin]] = {
    "folder": lambda path, **_: below(path, 0),
    "fashion": lambda path, **_: below(path, 3),
    "csv": partial(_table, tables.csv_folders),
    "coco": partial(_table, tables.coco_folders),
    "parquet": partial(_shards, parquet.SUFFIXES),
    "webdataset": partial(_shards, webdataset.SUFFIXES),
    "datasets": lambda path=None, **options: _dataset(huggingface.named(path, **options)),
    "imagefolder": lambda path, split=None, **_: _dataset(huggingface.in_folder(path, split)),
}
"""Where the formats find their data: what a listing of them depends on."""


def _dataset(which: huggingface.Named) -> Origin:
    folders = below(which.path, None).folders if which.path else tuple
    place = which.path or str(which)
    return Origin(str(which), place, (), folders, huggingface.opened(which)._fingerprint)

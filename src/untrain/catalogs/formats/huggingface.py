"""Hugging Face data sets, through the library `datasets`: of the hub, saved on disk, or folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from untrain.catalogs.base import Catalog
from untrain.catalogs.choice import Choice
from untrain.catalogs.formats.arrow_rows import (
    columns_of,
    image_bytes,
    image_column,
    records,
    sound,
    stamp_of_cell,
    stem_of,
)
from untrain.catalogs.intake import BLOCK, Row, Source, take_in
from untrain.catalogs.library import library
from untrain.core.errors import InputError

SAVED = "state.json"  # in a folder that `Dataset.save_to_disk` wrote
SAVED_SPLITS = "dataset_dict.json"


@dataclass(frozen=True)
class Named:
    """Which data set: what `datasets` needs to open it again."""

    builder: str
    path: str = ""
    hub: str = ""
    config: str | None = None
    split: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        return self.hub or self.path


@dataclass(frozen=True, eq=False)
class DatasetReader:
    """``read(id) -> bytes`` over the image column of a data set of `datasets`."""

    named: Named
    column: str
    files: Mapping[str, int]

    def __call__(self, image_id: str) -> bytes:
        row = self.files[image_id]
        cell = opened(self.named)[row : row + 1][self.column][0]
        return image_bytes(cell, Path(self.named.path), image_id)


def from_datasets(
    choice: Choice,
    path: Path | str | None = None,
    strict: bool = False,
    hub: str | None = None,
    image: str | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> Catalog:
    """Read a data set of the Hugging Face hub or one saved on disk; needs ``untrain[datasets]``.

    Every image is decoded once to check it. Its id is what the column ``id`` says, or else one
    called id, image_id or key, or the name of its file, where the data keep that, or the number of
    its row. A class label counts as its name.

    Parameters
    ----------
    path : Path, optional
        A folder that ``Dataset.save_to_disk`` wrote.
    choice : Choice
        Which rows and captions.
    strict : bool
        Refuse the data if any row cannot be used, instead of skipping it.
    hub : str, optional
        In place of ``path``: an id on the hub, which the library downloads once.
    image : str, optional
        Column of the images; default: the one that can be it.
    split : str, optional
        Needed if there are several, e.g. ``"train"`` or ``"train[:1000]"`` (of the hub).
    config, revision : str, optional
        Of the hub: the data set's configuration, and its branch, tag or commit.

    Raises
    ------
    InputError
        `datasets` is not installed or cannot open the data, a split must be named, and as
        `take_in`.
    """
    return _from(named(path, hub, config, split, revision), image, choice, strict)


def from_imagefolder(
    path: Path | str,
    choice: Choice,
    strict: bool = False,
    image: str | None = None,
    split: str | None = None,
) -> Catalog:
    """Read a folder as ``imagefolder`` of `datasets` does; needs ``untrain[datasets]``.

    Captions are in ``metadata.csv`` or ``metadata.jsonl`` beside the images (columns file_name
    and text); without it the folders an image lies in are the column ``label``. An image's id is
    its path below ``path`` without the suffix, unless a column is named.

    Parameters and errors are those of `from_datasets`.
    """
    return _from(in_folder(path, split), image, choice, strict)


def in_folder(path: Path | str, split: str | None = None) -> Named:
    """Return the data set of a folder of images; `InputError` if there is none."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        fault = "is no folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {fault}; expected a folder of images (imagefolder)")
    return Named("imagefolder", str(folder.resolve()), split=split)


def named(
    path: Path | str | None = None,
    hub: str | None = None,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    **_: Any,
) -> Named:
    """Return which data set options name; `InputError` if not exactly one is named."""
    if (path is None) == (hub is None):
        raise InputError("a catalogue of format 'datasets' needs either path or hub")
    if hub is not None:
        return Named("hub", "", hub, config, split, revision)
    folder = Path(path or "").expanduser()
    if not any((folder / name).is_file() for name in (SAVED, SAVED_SPLITS)):
        what = "was not written by Dataset.save_to_disk" if folder.exists() else "does not exist"
        raise InputError(
            f"{folder} {what}; for a folder of pictures there is the format imagefolder, for "
            "Parquet files the format parquet, and an id on the hub is named by hub"
        )
    return Named("disk", str(folder.resolve()), split=split)


def opened(which: Named) -> Any:
    """Return the `datasets.Dataset`, whose rows come as Arrow tables: nothing is decoded."""
    places = [Path(which.path), *(Path(which.path, n) for n in (SAVED, SAVED_SPLITS))]
    if which.builder == "disk":  # their rows are mapped: those of a file written anew are others
        places += sorted(Path(which.path).rglob("*.arrow"))
    there = [place for place in places if which.path and place.exists()]
    states = [place.stat() for place in there]
    return _opened(which, tuple((state.st_size, state.st_mtime_ns) for state in states))


@lru_cache(maxsize=4)
def _opened(which: Named, stamp: tuple[tuple[int, int], ...]) -> Any:
    """Open a data set once as long as it is not written anew."""
    datasets = library()
    try:
        found = _open(datasets, which)
    except InputError:
        raise
    except Exception as error:  # of the network, the hub, the file system, the data: anything
        raise InputError(f"{which} cannot be opened by the package 'datasets' ({error})") from None
    if isinstance(found, dict):
        names = list(found)
        if which.split is None and len(names) > 1:
            raise InputError(f"{which} has the splits {', '.join(names)}; choose one (split)")
        if which.split is not None and which.split not in names:
            raise InputError(f"{which} has no split '{which.split}'; there are {', '.join(names)}")
        found = found[which.split or names[0]]
    return found.with_format("arrow")


def _open(datasets: Any, which: Named) -> Any:
    if which.builder == "disk":
        return datasets.load_from_disk(which.path)
    if which.builder == "imagefolder":
        return datasets.load_dataset("imagefolder", data_dir=which.path)
    return datasets.load_dataset(
        which.hub, which.config, split=which.split, revision=which.revision
    )


def _from(which: Named, image: str | None, choice: Choice, strict: bool) -> Catalog:
    data = opened(which)
    schema = data.features.arrow_schema
    column = image_column(schema, image, str(which))
    source = Source(
        name=str(which).rstrip("/").rpartition("/")[2],
        where=str(which),
        columns=columns_of(schema, column),
        fields=("row",),
        kind=int,
        reader=lambda files: DatasetReader(which, column, files),
        total=len(data),
    )
    return take_in(_rows(which, data, column), source, choice, strict)


def _rows(which: Named, data: Any, image: str) -> Iterator[Row]:
    labels = {n: f.names for n, f in data.features.items() if type(f).__name__ == "ClassLabel"}
    base = Path(which.path)
    batches = (b for table in data.iter(BLOCK) for b in table.combine_chunks().to_batches())
    for number, (values, cell) in enumerate(records(sound(batches), image)):
        for name, words in labels.items():
            label = values.get(name)
            values[name] = words[label] if label is not None and label >= 0 else None
        stem = Path(stem_of(cell))
        inside = stem.relative_to(base) if which.path and stem.is_relative_to(base) else stem
        name = "" if inside == Path() else inside.as_posix()
        read = partial(image_bytes, cell, base)
        stamp = stamp_of_cell(cell, base, "")  # the rows of a data set that grew are others
        yield Row(name or str(number), values, (number,), read, stamp=stamp)

"""Groups of images: by an attribute of the catalogue, by folder, or by a file of the user's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import fingerprint
from untrain.core.given import read_table
from untrain.core.notes import Note

FOLDER = "folder"
UNKNOWN, OTHERS = "(none)", "(others)"
"""The group of images without a value, and that of groups pooled for being small."""

_TABLES = {".csv": ",", ".tsv": "\t"}
_MISSING = {"", "na", "nan", "n/a", "null", "none"}


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each image of a catalogue is in; every image is in one.

    Attributes
    ----------
    by : str
        What they were made by, as the user gave it.
    key : str
        The same as part of a file name.
    names : tuple of str
        In order of the alphabet; images without a value are the group ``(none)``, and groups that
        were pooled ``(others)``: these come last.
    of : ndarray of int, shape (images,)
        The number of each image's group, in the catalogue's order.
    least : int
        Groups with fewer images were pooled.
    notes : tuple of Note
        What a reader must know.
    """

    by: str
    key: str
    names: tuple[str, ...]
    of: np.ndarray
    least: int = 1
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sizes(self) -> np.ndarray:
        """Images of each group, int (groups,)."""
        return np.bincount(self.of, minlength=len(self))

    @property
    def fingerprint(self) -> str:
        """Of names and members, whatever they were made by."""
        return fingerprint(list(self.names), self.of.astype(np.int64).tobytes())


def groups_of(catalog: Catalog, by: str, least: int = 1) -> Groups:
    """Return the groups of a catalogue.

    Parameters
    ----------
    catalog : Catalog
    by : str
        An attribute of the catalogue, such as ``brand``; ``folder``, that of each id; or a file
        (.csv, .tsv or .parquet) whose first two columns are image ids and groups.
    least : int
        Groups with fewer images are pooled in one, ``(others)``.

    Raises
    ------
    InputError
        There is no such attribute or file, the file contradicts itself or knows no image of the
        catalogue, or all images are in one group.

    Examples
    --------
    >>> from untrain.catalogs import rendered
    >>> groups = groups_of(rendered(families=16, size_of_family=3, resolution=16), "brand")
    >>> len(groups), int(groups.sizes.sum())
    (8, 48)
    """
    if least < 1:
        raise InputError(f"the least size of a group is {least}; choose 1 or more")
    values, notes = _values(catalog, by)
    missing = values.isna() | values.str.strip().str.casefold().isin(_MISSING)
    words = values.str.strip().mask(missing, UNKNOWN)
    if missing.any():
        text = (
            f"{int(missing.sum())} of {len(catalog)} images have no {by}: they are a group of "
            f"their own, {UNKNOWN}, so that the shares are shares of everything"
        )
        notes.append(Note("images-without-group", text))
    counts = words.value_counts()
    small = [name for name in counts.index[counts < least] if name != UNKNOWN]
    if len(small) > 1:
        words = words.mask(words.isin(small), OTHERS)
        text = f"{len(small)} groups of fewer than {least} images are pooled in {OTHERS}"
        notes.append(Note("groups-pooled", text, tuple(sorted(small))))
    names = sorted(set(words), key=lambda name: (name in (UNKNOWN, OTHERS), name))
    if len(names) < 2:
        raise InputError(
            f"all {len(catalog)} images have the same {by}, '{names[0]}': there is nothing to "
            "share out; expected two groups or more"
        )
    of = words.map({name: number for number, name in enumerate(names)}).to_numpy(np.int64)
    notes += _single(names, of) + _copies(catalog, of)
    return Groups(by, _key(by), tuple(names), of, least, tuple(notes))


def _values(catalog: Catalog, by: str) -> tuple[pd.Series, list[Note]]:
    """Return the group of each image in words, missing where it has none."""
    known = list(catalog.attributes.columns)
    if by in known:
        return catalog.attributes[by].astype("object").map(_text).reset_index(drop=True), []
    if by == FOLDER:
        parents = [str(PurePosixPath(image_id).parent) for image_id in catalog.ids]
        return pd.Series(["" if name == "." else name for name in parents], dtype=object), []
    path = Path(by).expanduser()
    if path.suffix.lower() in (*_TABLES, ".parquet"):
        return _of_file(catalog, path)
    have = ", ".join(known) if known else "none"
    raise InputError(
        f"the catalogue has no attribute '{by}'{did_you_mean(by, [*known, FOLDER])}; it has: "
        f"{have}; or give '{FOLDER}', or a CSV file of image ids and groups"
    )


def _text(value: object) -> str | None:
    """Return a value of a table as text; a number that is whole, without its fraction."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def _of_file(catalog: Catalog, path: Path) -> tuple[pd.Series, list[Note]]:
    """Read a file of ids and groups; ids that the catalogue lacks are counted and left out."""
    try:
        table = read_table(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; expected a file of image ids and groups"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read as a table ({error.strerror})") from None
    if table.shape[1] < 2:
        raise InputError(
            f"{path} has {table.shape[1]} column: expected two with heads, image ids and groups"
        )
    pairs = pd.DataFrame({"id": table.iloc[:, 0].map(_text), "group": table.iloc[:, 1].map(_text)})
    pairs = pairs.drop_duplicates()
    twice = pairs["id"][pairs["id"].duplicated()]
    if len(twice):
        raise InputError(f"{path}: image '{twice.iloc[0]}' is in more than one group; expected one")
    found = pairs.set_index("id")["group"]
    strange = int((~found.index.isin(list(catalog.ids))).sum())
    if strange == len(found):
        first = f"its first id is '{found.index[0]}', " if len(found) else ""
        raise InputError(
            f"{path} knows no image of the catalogue: {first}the catalogue's is '{catalog.ids[0]}'"
        )
    notes = []
    if strange:
        text = (
            f"{path.name}: {strange} of its {len(found)} ids are not among the training images "
            "(held out, not chosen, or unknown) and are ignored"
        )
        notes.append(Note("groups-of-other-images", text))
    return found.reindex(list(catalog.ids)).reset_index(drop=True), notes


def _single(names: list[str], of: np.ndarray) -> list[Note]:
    """Return a note on groups of one image."""
    alone = [names[i] for i in np.flatnonzero(np.bincount(of) == 1)]
    if not alone:
        return []
    text = (
        f"{len(alone)} {'group has' if len(alone) == 1 else 'groups have'} a single image, which "
        "is seldom separable from zero; pool small groups with --least"
    )
    return [Note("groups-of-one", text, tuple(alone))]


def _copies(catalog: Catalog, of: np.ndarray) -> list[Note]:
    """Return a note on images that are byte-identical to one of another group."""
    shared = int((of != of[catalog.same_as]).sum())
    if not shared:
        return []
    text = (
        f"{shared} images are byte-identical to one of another group: where a group leaves, its "
        "copies in others stay, and the share is split between them"
    )
    return [Note("copies-across-groups", text)]


def _key(by: str) -> str:
    stem = Path(by).stem if Path(by).suffix.lower() in (*_TABLES, ".parquet") else by
    return re.sub(r"[^\w-]+", "-", stem).strip("-") or "groups"

"""A catalogue, or what is retained of it, in a format that other software reads.

Images keep their bytes and pairs their ids and captions in every format, so that what is read back
has the same fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from untrain.catalogs.base import PNG_SIGNATURE, Catalog
from untrain.core import disk
from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError, is_disk_full
from untrain.core.progress import track
from untrain.core.registry import Registry
from untrain.core.targets import check_folder_target

Write = Callable[[Catalog, Path], None]

EXPORTS: Registry[Write] = Registry(
    "export format",
    {
        "folder": "untrain.catalogs.export:write_folder",
        **{
            name: f"untrain.catalogs.export_tables:write_{name}"
            for name in ("csv", "coco", "imagefolder", "parquet", "webdataset", "datasets")
        },
    },
)


def export(
    catalog: Catalog, removed: Collection[str], path: Path | str, format: str = "folder"
) -> int:
    """Write the pairs that are not in ``removed``; the folder appears whole or not at all.

    `load_catalog` reads it back with the fingerprint of the catalogue without the removed ids, if
    that catalogue is in natural order of its ids and its captions have no white space around them,
    as all built here are.

    Parameters
    ----------
    catalog : Catalog
    removed : collection of str
        Ids.
    path : Path
        A folder that does not exist, or is empty. What lies in it, by ``format``:

        - ``folder``: ``<id>.jpg`` (or png) beside ``<id>.txt``; attributes are not in it
        - ``csv``, ``coco``, ``imagefolder``: ``table.csv``, ``captions.json`` or
          ``metadata.jsonl``, and ``images/``
        - ``parquet``: ``data-00000.parquet``, …; ``webdataset``: ``data-00000.tar``, …
        - ``datasets``: as ``Dataset.save_to_disk`` (needs ``untrain[datasets]``)
    format : str
        A name in `EXPORTS`.

    Returns
    -------
    int
        The number of pairs written.

    Raises
    ------
    InputError
        An id to remove is unknown, nothing is left, an id cannot be a file name (``folder``), or
        the path exists and is anything but an empty folder.
    """
    write, target = EXPORTS[format], check_folder_target(path)
    out = set(removed)
    unknown = out - catalog.index.keys()
    if unknown:
        raise InputError(f"{catalog.name}: no image with id '{min(unknown)}' to remove")
    if len(out) == len(catalog):
        raise InputError(
            f"all {len(catalog)} images of {catalog.name} are removed: nothing to write"
        )
    kept = np.ones(len(catalog), bool)
    kept[[catalog.index[image_id] for image_id in out]] = False
    retained = catalog.rows(np.flatnonzero(kept)) if out else catalog
    try:
        with atomic_folder(target, marked=False) as folder:
            write(retained, folder)
    except OSError as error:
        if is_disk_full(error):
            raise
        reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise InputError(f"{target} cannot be written ({reason})") from error
    return len(retained)


def export_folder(catalog: Catalog, removed: Collection[str], path: Path | str) -> int:
    """Write the pairs that are not in ``removed`` as ``<id>.jpg`` (or png) beside ``<id>.txt``.

    It is `export` with the format ``folder``.
    """
    return export(catalog, removed, path)


def write_folder(catalog: Catalog, folder: Path) -> None:
    """Write images beside captions; ids that meet on this file system (case, say) are `OSError`."""
    _refuse_unsafe(catalog.ids)
    pairs = zip(catalog.ids, catalog.captions, strict=True)
    for image_id, caption in track(pairs, "writing images", len(catalog)):
        data = catalog.encoded(image_id)
        suffix = ".png" if data.startswith(PNG_SIGNATURE) else ".jpg"
        for name, content in ((f"{image_id}{suffix}", data), (f"{image_id}.txt", caption.encode())):
            with disk.open_new(folder / name) as file:
                file.write(content)


def _refuse_unsafe(ids: Collection[str]) -> None:
    """Raise `InputError` for an id that would leave the folder or hide in it."""
    for image_id in ids:
        inside = Path(image_id).name == image_id != "" and "\0" not in image_id
        if not inside or image_id.startswith("."):
            raise InputError(
                f"id {image_id!r} cannot be a file name; rename it in the source data, or write "
                "another format, such as csv"
            )

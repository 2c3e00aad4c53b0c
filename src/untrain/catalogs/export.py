"""The retained data as a folder, for people who train with other software."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from untrain.catalogs.base import Catalog
from untrain.errors import InputError, is_disk_full
from untrain.files import atomic_path
from untrain.progress import track

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def export_folder(catalog: Catalog, removed: Collection[str], path: Path | str) -> int:
    """Write the pairs that are not in ``removed`` as ``<id>.jpg`` (or png) beside ``<id>.txt``.

    Images keep their bytes. The folder appears whole or not at all. `from_folder` reads it back
    with the fingerprint of the catalogue without the removed ids, if that catalogue is in natural
    order of its ids and its captions have no white space around them, as all built here are.

    Returns
    -------
    int
        The number of pairs written.

    Raises
    ------
    InputError
        An id to remove is unknown, nothing is left, an id cannot be a file name, or the path
        exists and is anything but an empty folder.
    """
    out = set(removed)
    unknown = out - catalog.index.keys()
    if unknown:
        raise InputError(f"{catalog.name}: no image with id '{min(unknown)}' to remove")
    kept = [i for i in catalog.ids if i not in out]
    if not kept:
        raise InputError(
            f"all {len(catalog)} images of {catalog.name} are removed: nothing to write"
        )
    _refuse_unsafe(kept)
    target = Path(path).expanduser().resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} exists and is not an empty folder; give a new path")
    try:
        with atomic_path(target) as folder:
            folder.mkdir()
            for image_id in track(kept, "writing images", len(kept)):
                _write_pair(catalog, image_id, folder)
    except OSError as error:
        if is_disk_full(error):
            raise
        reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise InputError(f"{target} cannot be written ({reason})") from error
    return len(kept)


def _write_pair(catalog: Catalog, image_id: str, folder: Path) -> None:
    """Write one pair; ids that meet on this file system (case, say) are an `OSError`."""
    data = catalog.read(image_id)
    suffix = ".png" if data.startswith(PNG_SIGNATURE) else ".jpg"
    caption = catalog.captions[catalog.index[image_id]].encode()
    for name, content in ((f"{image_id}{suffix}", data), (f"{image_id}.txt", caption)):
        with (folder / name).open("xb") as file:
            file.write(content)


def _refuse_unsafe(ids: Collection[str]) -> None:
    """Raise `InputError` for an id that would leave the folder or hide in it."""
    for image_id in ids:
        inside = Path(image_id).name == image_id != "" and "\0" not in image_id
        if not inside or image_id.startswith("."):
            raise InputError(f"id {image_id!r} cannot be a file name; rename it in the source data")

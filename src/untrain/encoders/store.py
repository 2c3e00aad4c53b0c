"""The feature store: each image is embedded once, ever, for an encoder, whatever run asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core import disk
from untrain.core.atomic import discard_leftovers
from untrain.core.cache import cache_folder, mark_used
from untrain.core.digests import WORDS, DigestTable, digests_of
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.growing import append_at, bytes_in
from untrain.core.locks import locked
from untrain.core.marks import MARKER, is_marked, mark
from untrain.core.progress import bar, console
from untrain.core.row_sums import BYTES, Looked, sums_of
from untrain.core.row_sums import FILE as SUMS
from untrain.core.tensors import map_numbers, read_numbers
from untrain.encoders.base import Encoder, describe
from untrain.encoders.embedding import Embedding, here
from untrain.encoders.float16 import widen

FILES = ("features.bin", "hashes.bin", SUMS, "meta.json", "lock")
VERSION = 2  # of the files; a store of an earlier one is made anew
BLOCK = 256  # images written at a time: what a kill can lose


class FeatureStore:
    """Features on disk by the content of the image and the encoder that made them.

    Under ``folder/<encoder fingerprint>/`` lie ``features.bin``, half-precision rows;
    ``hashes.bin``, the 32-byte content hash of each; and ``meta.json``. Rows are only ever added,
    under a lock, features before hashes: a row counts if both files hold all of it, and what a
    kill or a full disk left of another is cut off before the next is written. Byte-identical
    images, in one catalogue or several, share a row, and processes share the files.

    Parameters
    ----------
    folder : Path or None
        Where all encoders' features are kept, made when needed; None is the user's cache, which
        all runs share.
    encoder : Encoder
        What embeds the images that are not there yet.
    embed : Embedding
        Where it does so.
    """

    def __init__(self, folder: Path | None, encoder: Encoder, embed: Embedding = here) -> None:
        root = cache_folder("features") if folder is None else Path(folder)
        self.folder = root / encoder.fingerprint
        self.encoder = encoder
        self.embed = embed
        self._meta: dict[str, Any] | None = None  # of the files that the table is of
        self._table = DigestTable()
        self._looked = Looked()

    def features(self, catalog: Catalog, ids: Iterable[str], label: str) -> np.ndarray:
        """Return features, float32 (n, d), of the images ``ids``, embedding those not yet stored.

        Values have passed through half precision, so that they do not depend on what was stored
        before. ``label`` names the progress bar.

        Raises
        ------
        InputError
            If an image cannot be decoded, its features do not fit half precision, or a newer
            version of untrain wrote the store.
        """
        wanted = tuple(ids)
        if not wanted:
            return self.encoder.encode([])
        stored, rows = self.index(catalog, label, wanted)
        return widen(stored[rows])

    def index(
        self, catalog: Catalog, label: str, ids: Iterable[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return all that is stored, float16 (rows, d), and the row of every image, int64 (n,).

        The images are those of the catalogue, or ``ids`` of it. The features are a memory map, not
        a copy; images not yet stored are embedded first.

        Raises
        ------
        InputError
            As `features` does.
        """
        wanted, hashes = catalog.ids, catalog.hashes
        if ids is not None:
            wanted = tuple(ids)
            hashes = tuple(catalog.hashes[catalog.index[image_id]] for image_id in wanted)
        rows = self._rows(catalog, wanted, digests_of(hashes), label)
        return self._mapped(), rows

    def _rows(
        self, catalog: Catalog, ids: Sequence[str], digests: np.ndarray, label: str
    ) -> np.ndarray:
        self._refresh()
        rows = self._find(digests)
        while (rows < 0).any():  # again only if somebody deletes the store meanwhile
            missing = np.flatnonzero(rows < 0)
            first = np.unique(digests[missing], axis=0, return_index=True)[1]
            once = missing[np.sort(first)]
            self._embed(catalog, [ids[row] for row in once], digests[once], label)
            rows = self._find(digests)
        mark_used(self.folder)
        return rows

    def _find(self, digests: np.ndarray) -> np.ndarray:
        """Return the row of each digest, −1 where there is none, or one that is damaged."""
        rows = self._table.find(digests)
        if not self._is_summed or not len(self._table) or not (rows >= 0).any():
            return rows
        count = len(self._table)
        columns = [
            map_numbers(self.folder / "hashes.bin", np.uint64, (count, WORDS)),
            self._mapped(),
        ]
        bad = self._looked.bad(rows, columns, map_numbers(self.folder / SUMS, np.uint64, (count,)))
        for row in bad:  # struck out: nobody finds it any more
            disk.write_at(self.folder / "hashes.bin", int(row) * 8 * WORDS, bytes(8 * WORDS))
        if len(bad):
            console.print(
                f"feature store: {len(bad)} damaged rows in {self.folder}; computed again",
                markup=False,
            )
            self._meta = None
            self._refresh()
            rows = self._table.find(digests)
        return rows

    @property
    def _is_summed(self) -> bool:
        """Whether rows have checksums, which those of earlier versions have not."""
        return self._meta is not None and self._meta.get("sums") == SUMS

    def _embed(self, catalog: Catalog, ids: list[str], digests: np.ndarray, label: str) -> None:
        """Embed and store images that differ from each other, those of the catalogue ``ids``."""
        pending: list[np.ndarray] = []
        done = 0
        with (
            bar(label, len(ids)) as advance,
            closing(self.embed(self.encoder, catalog, ids)) as made,
        ):
            for features in made:
                pending.append(features)
                advance(len(features))
                waiting = sum(map(len, pending))
                if waiting >= BLOCK or done + waiting == len(ids):
                    self._append(digests[done : done + waiting], np.concatenate(pending))
                    pending, done = [], done + waiting

    def _refresh(self) -> None:
        """Take notice of rows that were added since, by this process or another."""
        meta = self._read_meta()
        if meta != self._meta:
            self._meta, self._table, self._looked = meta, DigestTable(), Looked()
        if meta is None:
            return
        known, size = len(self._table), 8 * WORDS
        hashes, features = self.folder / "hashes.bin", self.folder / "features.bin"
        rows = min(bytes_in(hashes) // size, bytes_in(features) // (2 * meta["d"]))
        if self._is_summed:
            rows = min(rows, bytes_in(self.folder / SUMS) // BYTES)
        if rows > known:
            added = read_numbers(hashes, np.uint64, (rows - known) * WORDS, known * size)
            self._table.extend(added.reshape(-1, WORDS))

    def _read_meta(self) -> dict[str, Any] | None:
        """Return what ``meta.json`` says; None if there is no store that this version can read."""
        try:
            meta = read_json(self.folder / "meta.json")
            version, d = int(meta["version"]), int(meta["d"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        if version > VERSION:
            raise InputError(
                f"feature store: {self.folder} was written by a newer untrain (format {version}, "
                f"this one reads {VERSION}); upgrade, or delete that folder "
                "to compute the features again"
            )
        if meta.get("whole", fingerprint(d)) != fingerprint(d):  # a flipped bit is another width
            return None
        return meta if version == VERSION and d > 0 else None

    def _append(self, digests: np.ndarray, features: np.ndarray) -> None:
        disk.make_folder(self.folder)
        with locked(self.folder / "lock"):
            self._refresh()
            if self._meta is None:
                self._begin(features.shape[1])
            elif self._meta["d"] != features.shape[1]:
                raise InputError(
                    f"feature store: the encoder returned {features.shape[1]} numbers per picture, "
                    f"and {self._meta['d']} are in {self.folder}; delete that folder"
                )
            new = self._table.find(digests) < 0  # others may have been quicker
            rows = len(self._table)
            append_at(self.folder / "features.bin", rows * features[:1].nbytes, features[new])
            if self._is_summed:
                sums = sums_of(digests[new], np.asarray(features[new], np.float16))
                append_at(self.folder / SUMS, rows * BYTES, sums)
            append_at(self.folder / "hashes.bin", rows * digests[:1].nbytes, digests[new])
            self._refresh()

    def _begin(self, d: int) -> None:
        """Make an empty store, in place of one that cannot be read if there is one."""
        if not is_marked(self.folder, SUMS):
            discard_leftovers(self.folder)  # of a process that was killed: this one has the lock
            known = {"lock"} if not (self.folder / MARKER).exists() else {*FILES, MARKER}
            if found := {path.name for path in self.folder.iterdir()} - known:
                raise InputError(
                    f"feature store: {self.folder} holds {min(found)}, which untrain did not write "
                    "or no longer knows; move that folder elsewhere"
                )
            mark(self.folder, FILES)
        for name in ("features.bin", "hashes.bin", SUMS):
            if (self.folder / name).exists():
                console.print(
                    f"feature store: {self.folder} cannot be read; its features are computed again"
                )
                disk.delete_file(self.folder / name)
        created = datetime.now(UTC).isoformat()
        description = describe(self.encoder)
        meta = {"version": VERSION, "d": d, "description": description, "created": created}
        meta |= {"sums": SUMS, "whole": fingerprint(d)}
        write_json(self.folder / "meta.json", meta)
        self._refresh()

    def _mapped(self) -> np.ndarray:
        if self._meta is None or not len(self._table):
            return self.encoder.encode([]).astype(np.float16)
        shape = (len(self._table), self._meta["d"])
        return map_numbers(self.folder / "features.bin", np.float16, shape)

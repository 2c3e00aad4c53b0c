"""The feature store: each image is embedded once for an encoder, whatever happens next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.encoders.base import Encoder
from untrain.errors import InputError
from untrain.files import atomic_path, fingerprint, read_json, write_json
from untrain.progress import bar

SHARD = 512  # images written at a time: what a kill can lose
BATCH = 32  # images held decoded at a time


class FeatureStore:
    """Features on disk by the content of the image and the encoder that made them.

    Under ``folder/<encoder fingerprint>/`` lie shards, written once and never changed: half
    precision features, ``<shard>.npy``, and the content hash of each row, ``<shard>.json``, which
    is written last, so that a shard without it does not count. Byte-identical images, in one
    catalogue or several, share a row.

    Parameters
    ----------
    folder : Path
        Where all encoders' features are kept; made when needed.
    encoder : Encoder
        What embeds the images that are not there yet.
    """

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.folder = Path(folder) / encoder.fingerprint
        self.encoder = encoder
        self._where: dict[str, tuple[str, int]] = {}  # content hash → shard, row
        self._read: set[str] = set()

    def features(self, catalog: Catalog, ids: Iterable[str], label: str) -> np.ndarray:
        """Return features, float32 (n, d), of the images ``ids``, embedding those not yet stored.

        Values have passed through half precision, so that they do not depend on what was stored
        before. ``label`` names the progress bar.

        Raises
        ------
        InputError
            If an image cannot be decoded or its features do not fit half precision.
        """
        wanted = tuple(ids)
        hashes = [catalog.hashes[catalog.index[image_id]] for image_id in wanted]
        self._find_shards()
        missing: dict[str, str] = {}
        for content, image_id in zip(hashes, wanted, strict=True):
            if content not in self._where:
                missing.setdefault(content, image_id)
        if missing:
            self._embed(catalog, missing, label)
        return self._gather(hashes)

    def _find_shards(self) -> None:
        for path in sorted(self.folder.glob("*.json")):
            if path.stem not in self._read:
                self._enter(path.stem, read_json(path))

    def _enter(self, shard: str, hashes: list[str]) -> None:
        self._read.add(shard)
        for row, content in enumerate(hashes):
            self._where.setdefault(content, (shard, row))

    def _embed(self, catalog: Catalog, missing: dict[str, str], label: str) -> None:
        """Embed and store the images ``missing``, a map from content hash to an id that has it."""
        hashes = list(missing)
        with bar(label, len(hashes)) as advance:
            for start in range(0, len(hashes), SHARD):
                shard = hashes[start : start + SHARD]
                blocks = []
                for first in range(0, len(shard), BATCH):
                    batch = [missing[content] for content in shard[first : first + BATCH]]
                    images = [np.asarray(catalog.image(image_id)) for image_id in batch]
                    blocks.append(self._half(self.encoder.encode(images)))
                    advance(len(batch))
                self._write(shard, np.concatenate(blocks))

    def _half(self, features: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            half = features.astype(np.float16)
        if not np.isfinite(half).all():
            raise InputError(
                "the encoder's features are not finite or above 65,504, the most that half "
                "precision can hold; use another layer or pooling"
            )
        return half

    def _write(self, hashes: list[str], features: np.ndarray) -> None:
        shard = fingerprint(hashes)
        with atomic_path(self.folder / f"{shard}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, features, allow_pickle=False)
        write_json(self.folder / f"{shard}.json", hashes)
        self._enter(shard, hashes)

    def _gather(self, hashes: list[str]) -> np.ndarray:
        if not hashes:
            return self.encoder.encode([])
        rows: dict[str, list[tuple[int, int]]] = {}  # shard → (row there, row here)
        for here, content in enumerate(hashes):
            shard, there = self._where[content]
            rows.setdefault(shard, []).append((there, here))
        features: np.ndarray | None = None
        for shard, pairs in rows.items():
            path = self.folder / f"{shard}.npy"
            try:
                stored = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise InputError(
                    f"feature store: {path} cannot be read ({error}); delete {self.folder} "
                    "and run again: the features are made anew"
                ) from None
            if features is None:
                features = np.empty((len(hashes), stored.shape[1]), np.float32)
            there_rows, here_rows = np.array(sorted(pairs)).T
            features[here_rows] = stored[there_rows]
        assert features is not None
        return features

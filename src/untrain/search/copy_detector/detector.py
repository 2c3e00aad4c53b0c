"""The copy detector: which images of a catalogue a picture is a copy of, edited or not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog, decode, read_image
from untrain.core.errors import InputError
from untrain.core.parallel import in_threads
from untrain.encoders.embedding import Embedding, here
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.search.copy_detector.alignment import Overlay, Picture, overlay
from untrain.search.copy_detector.kinds import name_edits
from untrain.search.copy_detector.measured import threshold
from untrain.search.copy_detector.placements import (
    FAINT,
    Laid,
    Placement,
    templates,
    ways_to_lay,
)
from untrain.search.copy_detector.structure import CELLS, StructureEncoder

MODES = ("thorough", "fast")
CHECKED = {"thorough": 60, "fast": 10}  # images that a picture is laid over
AT_ONCE = 4096  # images searched at a time: their products stay in the processor's cache
TALL = 0.98  # share of the images whose aspect says where a picture may lie

COLUMNS = {
    "query": "object",
    "image_id": "object",
    "position": "int64",
    "verdict": "object",
    "kinds": "object",
    "score": "float64",
    "agreement": "float64",
    "share": "float64",
    "scale": "float64",
    "angle": "float64",
    "covered": "float64",
}


class Match(NamedTuple):
    """A picture laid over an image of the catalogue."""

    position: int
    score: float
    laid: Laid
    overlay: Overlay
    kinds: tuple[str, ...]


class CopyDetector:
    """A catalogue in which copies are looked for; it stays open for any number of pictures.

    A picture's edges are laid on every image at many places and scales, straight and mirrored
    (`untrain.search.copy_detector.placements`); those that agree best are aligned exactly and
    compared edge by edge (`.alignment`). Colours take no part in it. How many copies are found so
    has been measured (`untrain.search.copy_detector.measured`), and no more than that is known.

    Parameters
    ----------
    catalog : Catalog
    mode : {"thorough", "fast"}
        ``fast`` looks only for whole pictures, straight and mirrored, not for parts of images nor
        for turned ones.
    embed : Embedding
        Where images that are not known yet are embedded.

    Raises
    ------
    InputError
        The catalogue is empty, an image of it cannot be read, or there is no such mode.
    """

    def __init__(self, catalog: Catalog, mode: str = "thorough", embed: Embedding = here) -> None:
        if mode not in MODES:
            raise InputError(f"the copy detector's mode is '{mode}'; expected one of {MODES}")
        if not len(catalog):
            raise InputError(f"{catalog.name} has no images; expected at least one to search")
        self.catalog, self.mode = catalog, mode
        store = FeatureStore(None, StructureEncoder(), embed)
        stored, rows = store.index(catalog, "looking at edges")
        self.rows, self.first, self.group = np.unique(rows, return_index=True, return_inverse=True)
        self._edges = widen(np.asarray(stored[self.rows]))
        self._energy = (self._edges**2).reshape(len(self.rows), -1, 2).sum(axis=-1)
        self.extent = _extent(self._energy)
        self._images: dict[int, Picture] = {}

    def find(
        self, images: Mapping[str, np.ndarray | Path] | Sequence[Path | str], top: int = 10
    ) -> pd.DataFrame:
        """Return the copies of pictures in the catalogue; of one that has none, the nearest image.

        Parameters
        ----------
        images : mapping of str to ndarray of uint8 H×W×3 or path; or sequence of paths
            Pictures by name. Only of files can it be told that the bytes are the same.
        top : int
            Copies of a picture, at most; byte-identical images of the catalogue count each.

        Returns
        -------
        DataFrame
            One row a picture and image, best first, pictures in the order given:

            - query, image_id; position of the image in the catalogue
            - verdict: ``"copy"``, or ``"similar"``: the nearest, not a copy as far as this can tell
            - kinds: names in `KINDS` of what was done, separated by spaces; empty if similar
            - score: 0–1; a copy from `measured.threshold` on
            - agreement, share, covered: see `Overlay`
            - scale: size of the picture over the size it has in the image, both as shares of their
              longer sides; angle: degrees by which it is turned

        Raises
        ------
        InputError
            A file is no picture.
        """
        named = images if isinstance(images, Mapping) else {Path(p).name: Path(p) for p in images}
        if not named:
            raise InputError("there is no picture to look for; expected at least one")
        tables = []
        for name, given in named.items():
            pixels, digest = _read(given)
            tables.append(self._table(name, self.matches(pixels), digest, top))
        return pd.concat(tables, ignore_index=True).astype(COLUMNS)

    def matches(self, picture: np.ndarray) -> list[Match]:
        """Return the images that were laid over a picture, best first; byte-identical ones once."""
        candidates, best, ways = self._candidates(picture)
        self._open(candidates)
        pictures: dict[tuple[bool, bool], Picture] = {}
        found = []
        for row in candidates.tolist():
            laid, placement = ways[best[row]]
            key = laid.bordered, laid.mirrored
            if key not in pictures:
                own = laid.picture[:, ::-1] if laid.mirrored else laid.picture
                pictures[key] = Picture(np.ascontiguousarray(own))
            image = self._images[row]
            over = overlay(laid, pictures[key], image, placement)
            found.append((over.score, row, laid, over, pictures[key]))
        found.sort(key=lambda f: (-f[0], f[1]))
        cut = threshold(self.mode)
        return [
            Match(
                int(self.first[row]),
                score,
                laid,
                over,
                name_edits(laid, own, self._images[row], over) if score >= cut else (),
            )
            for score, row, laid, over, own in found
        ]

    def _candidates(
        self, picture: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[Laid, Placement]]]:
        """Return the images that agree best with a picture and, of every image, the placement."""
        laid = ways_to_lay(picture, self.extent, self.mode == "thorough")
        ways = [(each, placement) for each in laid for placement in each.placements]
        edges, covered = (
            np.concatenate(parts) for parts in zip(*map(templates, laid), strict=True)
        )
        score, best = np.empty(len(self.rows), np.float32), np.empty(len(self.rows), np.int64)
        for start in range(0, len(self.rows), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            agreement = self._edges[part] @ edges.T
            agreement /= np.sqrt(self._energy[part] @ covered.T) + FAINT
            best[part] = agreement.argmax(axis=1)
            score[part] = agreement.max(axis=1)
        count = min(CHECKED[self.mode], len(score))
        order = np.argsort(-score, kind="stable")[:count]
        return order, best, ways

    def _open(self, rows: np.ndarray) -> None:
        """Read images that are not in hand."""
        if len(self._images) > KEPT:
            self._images.clear()
        missing = [row for row in rows.tolist() if row not in self._images]

        def read(row: int) -> Picture:
            image_id = self.catalog.ids[int(self.first[row])]
            return Picture(np.asarray(decode(self.catalog.read(image_id), image_id)))

        self._images.update(zip(missing, in_threads(read, missing), strict=True))

    def _table(self, name: str, found: list[Match], digest: str | None, top: int) -> pd.DataFrame:
        cut = threshold(self.mode)
        rows = []
        for match in found:
            same = np.flatnonzero(self.group == self.group[match.position])
            linear = match.overlay.motion[:, :2]
            scale = float(np.sqrt(abs(np.linalg.det(linear))))
            angle = np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
            for position in same.tolist():
                kinds = match.kinds
                if digest is not None and self.catalog.hashes[position] == digest:
                    kinds = ("identical",)
                rows.append(
                    (
                        *(name, self.catalog.ids[position], position),
                        "copy" if match.score >= cut else "similar",
                        " ".join(kinds),
                        *(match.score, match.overlay.agreement, match.overlay.share),
                        *(scale, float(angle), match.overlay.covered),
                    )
                )
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        copies = table[table["verdict"] == "copy"]
        return copies.head(top) if len(copies) else table.head(1)


KEPT = 2000  # images in hand


def _extent(energy: np.ndarray) -> tuple[float, float]:
    """Return width and height, shares of the square, that nearly all images stay within."""
    cells = energy.reshape(-1, CELLS, CELLS) > 0
    widths, heights = (cells.any(axis=axis).sum(axis=1) / CELLS for axis in (1, 2))
    return float(np.quantile(widths, TALL)), float(np.quantile(heights, TALL))


def _read(given: np.ndarray | Path) -> tuple[np.ndarray, str | None]:
    if isinstance(given, np.ndarray):
        return given, None
    pixels = read_image(given)
    return pixels, hashlib.sha256(Path(given).expanduser().read_bytes()).hexdigest()

"""The copy detector: which images of a catalogue a picture is a copy of, edited or not."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.digests import digests_of
from untrain.core.errors import InputError
from untrain.core.images import read_image
from untrain.core.outside import read_bytes
from untrain.core.parallel import in_threads
from untrain.encoders.embedding import Embedding, here
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.search.copy_detector.alignment import overlay
from untrain.search.copy_detector.comparison import Overlay, Picture
from untrain.search.copy_detector.kinds import name_edits
from untrain.search.copy_detector.measured import THRESHOLD, score
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
WHOLE = 10  # and so many more that agree as a whole
AT_ONCE = 4096  # images searched at a time: their products stay in the processor's cache
COARSE = 2  # cells a side of the squares in which the edges under a picture are counted
KEPT = 2000  # images in hand
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


VERDICTS = ("copy", "copy_or_variant", "similar")


class Match(NamedTuple):
    """A picture laid over an image of the catalogue.

    Attributes
    ----------
    position : int
        Of byte-identical images the first.
    verdict : str
        One of `VERDICTS`.
    kinds : tuple of str
        What was done, names in `KINDS`; empty if only similar.
    score : float
    laid, overlay : Laid, Overlay
    """

    position: int
    verdict: str
    kinds: tuple[str, ...]
    score: float
    laid: Laid
    overlay: Overlay


def verdict_on(over: Overlay) -> tuple[str, float]:
    """Return one of `VERDICTS` and the higher of the scores of the first two, 0–1."""
    if over.correlation < 0:
        return "similar", 0.0
    copy = score(over.evidence(True), "copy")
    variant = score(over.evidence(False), "copy_or_variant")
    verdict = "copy" if copy >= THRESHOLD else "copy_or_variant" if variant >= THRESHOLD else ""
    return verdict or "similar", max(copy, variant)


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
        energy = (self._edges**2).reshape(-1, CELLS, CELLS, 2).sum(axis=-1)
        self.extent = _extent(energy)
        self._energy = _coarse(energy)
        self._images: dict[int, Picture] = {}

    def find(
        self,
        images: Mapping[str, np.ndarray | Path] | Sequence[Path | str],
        top: int = 10,
        itself: Mapping[str, int] | None = None,
    ) -> pd.DataFrame:
        """Return the copies of pictures in the catalogue; of one that has none, the nearest image.

        Parameters
        ----------
        images : mapping of str to ndarray of uint8 H×W×3 or path; or sequence of paths
            Pictures by name. Only of files can it be told that the bytes are the same.
        top : int
            Copies of a picture, at most; byte-identical images of the catalogue count each.
        itself : mapping of str to int, optional
            Positions of pictures that are images of the catalogue, by name: each is left out of
            what is found for it, and byte-identical others are told as such.

        Returns
        -------
        DataFrame
            One row a picture and image, best first, pictures in the order given:

            - query, image_id; position of the image in the catalogue
            - verdict: ``"copy"``; ``"copy_or_variant"``: the same edges, but in other colours or
              not everywhere, which a copy has that was recoloured or that something was laid
              over, and so has another colour or print of the same product, photographed the
              same way; or ``"similar"``: the nearest, not a copy as far as this can tell
            - kinds: names in `KINDS` of what was done, separated by spaces; empty if similar
            - score: 0–1; flagged from `measured.THRESHOLD` on, a half
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
            own = (itself or {}).get(name)
            if own is not None:
                digest = self.catalog.hashes[own]
            tables.append(self._table(name, self.matches(pixels), digest, top, own))
        return pd.concat(tables, ignore_index=True).astype(COLUMNS)

    def matches(self, picture: np.ndarray) -> list[Match]:
        """Return the images that were laid over a picture, best first; byte-identical ones once."""
        candidates, best, ways = self._candidates(picture)
        images = self._open(candidates)
        pictures: dict[int, Picture] = {}
        found: list[Match] = []
        for row in candidates.tolist():
            laid, placement = ways[best[row]]
            key = id(laid)
            if key not in pictures:
                pictures[key] = Picture(laid.pixels())
            over = overlay(laid, pictures[key], images[row], placement)
            verdict, points = verdict_on(over)
            kinds: tuple[str, ...] = ()
            if np.array_equal(picture, images[row].pixels):
                verdict, points, kinds = "copy", 1.0, ("same_pixels",)
            elif verdict != "similar":
                recoloured = over.recoloured
                kinds = name_edits(laid, pictures[key], images[row], over, recoloured)
            found.append(Match(int(self.first[row]), verdict, kinds, points, laid, over))
        return sorted(found, key=lambda m: (VERDICTS.index(m.verdict), -m.score, m.position))

    def _candidates(
        self, picture: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[Laid, Placement]]]:
        """Return the images that agree best with a picture and, of every image, the placement."""
        laid = ways_to_lay(picture, self.extent, self.mode == "thorough")
        ways = [(each, placement) for each in laid for placement in each.placements]
        edges, covered = (
            np.concatenate(parts) for parts in zip(*map(templates, laid), strict=True)
        )
        covered = _coarse(covered.reshape(-1, CELLS, CELLS)) / COARSE**2
        as_whole = [n for n, (each, placement) in enumerate(ways) if each.whole(placement)]
        scores, whole = np.empty((2, len(self.rows)), np.float32)
        best = np.empty(len(self.rows), np.int64)
        for start in range(0, len(self.rows), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            agreement = self._edges[part] @ edges.T
            agreement /= np.sqrt(self._energy[part] @ covered.T) + FAINT
            best[part] = agreement.argmax(axis=1)
            scores[part] = agreement.max(axis=1)
            whole[part] = agreement[:, as_whole].max(axis=1)
        order = highest(scores, CHECKED[self.mode])
        # Of many images that are nearly the same, parts can agree better than the very same whole.
        nearest = highest(whole, WHOLE)
        order = np.concatenate([order, nearest[~np.isin(nearest, order)]])
        return order, best, ways

    def _open(self, rows: np.ndarray) -> dict[int, Picture]:
        """Return images, read anew if they are not in hand."""
        wanted, known = rows.tolist(), self._images
        if all(row in known for row in wanted):
            return {row: known[row] for row in wanted}

        def read(row: int) -> Picture:
            return known.get(row) or Picture(self._pixels(int(self.first[row])))

        images = dict(zip(wanted, in_threads(read, wanted), strict=True))
        self._images = {**(known if len(known) < KEPT else {}), **images}
        return images

    def _pixels(self, position: int) -> np.ndarray:
        image_id = self.catalog.ids[position]
        return np.asarray(self.catalog.image(image_id))

    def _table(
        self, name: str, found: list[Match], digest: str | None, top: int, own: int | None
    ) -> pd.DataFrame:
        same_bytes = set(self._with_bytes(digest).tolist())
        groups = {int(self.group[match.position]): match for match in found}
        rows = [_row(at, None, ("identical",)) for at in sorted(same_bytes)]
        for group, match in groups.items():
            same = np.flatnonzero(self.group == group).tolist()
            rows += [_row(at, match, match.kinds) for at in same if at not in same_bytes]
        rows = [row for row in rows if row[0] != own]
        table = pd.DataFrame(rows, columns=list(COLUMNS)[2:])
        table.insert(0, "image_id", [self.catalog.ids[at] for at in table["position"]])
        table.insert(0, "query", name)
        copies = table[table["verdict"] != "similar"]
        return copies.head(top) if len(copies) else table.head(1)

    def _with_bytes(self, digest: str | None) -> np.ndarray:
        """Return the images with the bytes of a file, by their digest."""
        if digest is None:
            return np.empty(0, np.int64)
        return np.flatnonzero((self._digests == digests_of([digest])[0]).all(axis=1))

    @cached_property
    def _digests(self) -> np.ndarray:
        return digests_of(self.catalog.hashes)


def highest(scores: np.ndarray, n: int) -> np.ndarray:
    """Return where the ``n`` highest scores are, highest first, equal ones in their order."""
    n = min(n, len(scores))
    least = np.partition(scores, len(scores) - n)[len(scores) - n]
    among = np.flatnonzero(scores >= least)
    return among[np.argsort(-scores[among], kind="stable")[:n]]


def _row(position: int, match: Match | None, kinds: tuple[str, ...]) -> tuple:
    """Return a row of the table of `CopyDetector.find`, without query and id."""
    if match is None:  # the very same file
        return position, "copy", " ".join(kinds), 1.0, 1.0, 1.0, 1.0, 0.0, 1.0
    over = match.overlay
    linear = over.motion[:, :2]
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    angle = math.degrees(math.atan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    numbers = match.score, over.agreement, over.share, scale, angle, over.covered
    return position, match.verdict, " ".join(kinds), *numbers


@cache
def no_copies() -> pd.DataFrame:
    """Return the table of `CopyDetector.find` without any."""
    return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)


def _coarse(cells: np.ndarray) -> np.ndarray:
    """Return sums over squares of `COARSE` × `COARSE` cells, (n, CELLS, CELLS) → (n, m)."""
    side = CELLS // COARSE
    parts = cells.reshape(-1, side, COARSE, side, COARSE)
    return np.ascontiguousarray(parts.sum(axis=(2, 4)).reshape(len(cells), -1))


def _extent(energy: np.ndarray) -> tuple[float, float]:
    """Return width and height, shares of the square, that nearly all images stay within."""
    cells = energy > 0
    widths, heights = (cells.any(axis=axis).sum(axis=1) / CELLS for axis in (1, 2))
    return float(np.quantile(widths, TALL)), float(np.quantile(heights, TALL))


def _read(given: np.ndarray | Path) -> tuple[np.ndarray, str | None]:
    if isinstance(given, np.ndarray):
        return given, None
    pixels = read_image(given)
    return pixels, hashlib.sha256(read_bytes(Path(given).expanduser())).hexdigest()

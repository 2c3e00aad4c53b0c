"""Four processes that embed at once into one feature store, some of them killed on the way."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import struct
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.digests import digests_of
from untrain.core.progress import console
from untrain.encoders.store import FeatureStore
from watching import Outcome

PROCESSES = 4
SHARED = 0.2
"""Of the images of a process, how many more are embedded by the next one too."""


class Colour:
    """An encoder that costs nothing: the colour of a picture of one pixel, which is its number."""

    fingerprint, non_negative, description = "endurance", True, "the colour of one pixel"

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return the three bytes of each picture eight times, float32 (n, 24)."""
        if not len(images):
            return np.zeros((0, 24), np.float32)
        return np.tile(np.stack([image[0, 0] for image in images]), 8).astype(np.float32)


def pixel(number: int) -> bytes:
    """Return a PNG of one pixel of the colour ``number``, below 2²⁴."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    rows = zlib.compress(b"\0" + number.to_bytes(3, "big"), 1)
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def pixels(numbers: Sequence[int]) -> Catalog:
    """Return a catalogue of such pictures, made when they are read."""
    ids = tuple(map(str, numbers))
    return Catalog(
        name="pixels",
        ids=ids,
        captions=ids,
        hashes=tuple(hashlib.sha256(pixel(number)).hexdigest() for number in numbers),
        read=lambda image_id: pixel(int(image_id)),
        attributes=pd.DataFrame(index=range(len(ids))),
    )


def fill(folder: Path, numbers: Sequence[int]) -> None:
    """Embed pictures into a store; what a process does."""
    console.quiet = True
    catalog = pixels(numbers)
    FeatureStore(folder, Colour()).index(catalog, "embedding")


def rows(place: Path, count: int, kills: int = 0) -> Outcome:
    """Have four processes embed ``count`` pictures each and a fifth of the next one's.

    Parameters
    ----------
    place : Path
    count : int
    kills : int
        How often one of them, by chance, is killed with SIGKILL at a random moment and begun again.
    """
    console.quiet = True
    folder, whole = place / "features", PROCESSES * count
    parts = [
        [(first * count + i) % whole for i in range(round(count * (1 + SHARED)))]
        for first in range(PROCESSES)
    ]
    context = multiprocessing.get_context("spawn")

    def begun(part: Sequence[int]) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=fill, args=(folder, part))
        process.start()
        return process

    start, chance = time.monotonic(), random.Random(17)
    working = [begun(part) for part in parts]
    looks = wrong = killed = 0
    counted: list[int] = []
    catalog = pixels(range(whole))
    wanted = Colour().encode([np.array([[list(n.to_bytes(3, "big"))]]) for n in range(whole)])
    wanted = wanted.astype(np.float16)
    digests = digests_of(catalog.hashes)
    while any(each.is_alive() for each in working):
        time.sleep(chance.uniform(0.1, 0.5))
        bad, there = _wrong(folder, digests, wanted)
        looks, wrong = looks + 1, wrong + bad
        counted.append(there)
        alive = [i for i, each in enumerate(working) if each.is_alive()]
        if killed < kills and alive and there > whole * killed / (kills + 1):
            number = chance.choice(alive)
            working[number].kill()
            working[number].join()
            working[number], killed = begun(parts[number]), killed + 1
    took = time.monotonic() - start
    outcome = Outcome()
    ended = sum(each.exitcode == 0 for each in working)
    outcome.count("processes that ended well", ended, PROCESSES)
    outcome.rows.append(["rows that they were asked for", sum(map(len, parts))])
    if kills:
        outcome.rows.append(["processes killed (SIGKILL) and begun again", killed])
    outcome.rows.append(["seconds, on a machine that did other work", round(took)])
    there = np.fromfile(folder / Colour.fingerprint / "hashes.bin", np.uint64).reshape(-1, 4)
    unique = np.unique(there, axis=0)
    outcome.count("pictures whose row is there", len(unique), whole)
    outcome.zero("rows that are there twice", len(there) - len(unique))
    stored, at = FeatureStore(folder, Colour()).index(catalog, "looking")
    fill(place / "alone", range(whole))
    alone, own = FeatureStore(place / "alone", Colour()).index(catalog, "looking")
    same = (np.asarray(stored[at]) == np.asarray(alone[own])).all(axis=1)
    right = (np.asarray(stored[at]) == wanted).all(axis=1)
    outcome.count("rows with the bytes that one process writes", int((same & right).sum()), whole)
    outcome.rows.append(["looks of a reader while they wrote", looks])
    outcome.zero("wrong or half-made rows that it saw", wrong)
    outcome.zero("looks that saw fewer rows than one before", sum(np.diff(counted) < 0))
    return outcome


def _wrong(folder: Path, digests: np.ndarray, wanted: np.ndarray) -> tuple[int, int]:
    """Return how many rows a reader that has just come finds wrong, and how many there are."""
    store = FeatureStore(folder, Colour())
    store._refresh()
    found = store._table.find(digests)
    known = np.flatnonzero(found >= 0)
    if not len(known):
        return 0, 0
    return int((np.asarray(store._mapped()[found[known]]) != wanted[known]).any(axis=1).sum()), len(
        known
    )

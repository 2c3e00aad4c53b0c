"""The search of a trace: pictures asked about some at a time, and what was found for all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.core.notes import Note
from untrain.core.threads import cores, one_thread_a_product
from untrain.encoders.base import Encoder
from untrain.encoders.store import FeatureStore
from untrain.search.calibration import Calibration
from untrain.search.catalog_index import CatalogIndex
from untrain.search.compare.comparison import undefined_note
from untrain.search.compare.metrics import measured
from untrain.search.neighbours import NEIGHBOURS
from untrain.search.rank.metric_table import CANDIDATES_LEFT_OUT, LEFT_OUT
from untrain.search.rank.ranking import rank
from untrain.search.trace_pictures import Seen, SeenPictures
from untrain.search.trace_query import Similarity, TracedPicture, answer

WORDS = "text_tfidf"


@dataclass(frozen=True)
class Words:
    """What a prompt finds, and its similarity to any images, by the name of the metric."""

    found: list[np.ndarray]
    similarity: Similarity
    notes: list[Note]


class Search:
    """Pictures asked about some at a time, and what was found for all so far.

    Memory grows by the tables alone: ``pictures`` keeps those of the catalogue that were decoded
    up to a number of bytes. ``words`` gives what the prompt of a picture finds, by its name;
    ``themselves`` the positions of pictures that are images of the catalogue, which are left out of
    what is found for them.
    """

    def __init__(
        self,
        opened: CatalogIndex,
        encoder: Encoder,
        calibration: Calibration,
        words: Callable[[str], Words],
        count: int,
        ranking: str,
        top: int,
        seconds: dict[str, float],
        themselves: Mapping[str, int],
        pictures: SeenPictures,
    ) -> None:
        self.opened, self.encoder, self.calibration = opened, encoder, calibration
        self.words, self.count, self.ranking, self.top = words, count, ranking, top
        self.seconds, self.themselves = seconds, themselves
        self.found: tuple[list[pd.DataFrame], ...] = [], [], []
        self.most = 0
        self._pictures = pictures
        self._store = FeatureStore(None, encoder)
        self._pairs = 0
        self._undefined: Counter[str] = Counter()
        self._left_out: list[Note] = []
        self._with_words = False

    def ask(self, images: Mapping[str, np.ndarray]) -> None:
        """Trace some pictures: search, compare, rank, test for copies.

        All or none of them have words that can be compared.
        """
        self._with_words |= any("tfidf" in self.words(name).similarity for name in images)
        queries = self._queries(images)
        self.most = max(self.most, *(len(query.candidates) for query in queries))
        with timed(self.seconds, "read"):
            wanted = np.unique(np.concatenate([query.candidates for query in queries]))
            pictures = self._pictures.of(wanted)
        with timed(self.seconds, "compare"):
            compared = self._compared(queries, pictures)
        with timed(self.seconds, "rank"):
            ranking = rank(self.ranking, compared)
            self._left_out += ranking.notes
            ranked = _with_positions(ranking.table, compared, queries)
        with timed(self.seconds, "copy test"):
            told = answer(
                *(queries, self.opened, self.calibration, pictures),
                *(compared, ranked, self.top),
            )
        self._pairs += len(compared)
        missing = compared[measured(compared)].isna().sum()
        self._undefined.update({str(m): int(n) for m, n in missing.items() if n})
        for kept, part in zip(self.found, (told.table, told.copies, ranked), strict=True):
            kept.append(part)

    def notes(self) -> list[Note]:
        """Return what was undefined and what was left out for it, once for all pictures."""
        undefined = [undefined_note(m, self._undefined[m], self._pairs) for m in self._undefined]
        return [*undefined, *_left_out(self.ranking, self._left_out, self._with_words)]

    def _queries(self, images: Mapping[str, np.ndarray]) -> list[TracedPicture]:
        """Return the pictures with their features and candidates."""
        opened, pictures = self.opened, list(images.values())
        with timed(self.seconds, "encode"):
            features = pooled = opened.encoder.encode(pictures)
            if self.encoder.fingerprint != opened.encoder.fingerprint:
                features = self.encoder.encode(pictures)
        with timed(self.seconds, "search"):
            most = max(self.count, 2 * NEIGHBOURS)
            near, cosines = opened.vectors.query(pooled, most + bool(self.themselves))
            queries = []
            for row, (name, picture) in enumerate(images.items()):
                own = self.themselves.get(name)
                others = np.flatnonzero(near[row] != (-1 if own is None else own))[:most]
                found = near[row][others]
                candidates = np.unique(
                    np.concatenate([found[: self.count], *self.words(name).found])
                )
                queries.append(
                    TracedPicture(
                        name,
                        picture,
                        features[row],
                        pooled[row],
                        found[0],
                        _neighbours(opened, pooled[row], found, cosines[row][others], own),
                        candidates if own is None else candidates[candidates != own],
                        "" if own is None else opened.catalog.ids[own],
                    )
                )
            return queries

    def _compared(self, queries: list[TracedPicture], pictures: Mapping[int, Seen]) -> pd.DataFrame:
        """Return the metrics of all pairs: pictures side by side, or one in two threads."""
        several = len(queries) > 1

        def compared(query: TracedPicture) -> pd.DataFrame:
            return query.compared(
                *(self.opened, self._store, pictures),
                self.words(query.name).similarity,
                aside=not several,
            )

        if not several:
            return compared(queries[0])
        with one_thread_a_product(), ThreadPoolExecutor(cores()) as pool:
            return pd.concat(list(pool.map(compared, queries)), ignore_index=True)


def _with_positions(
    ranked: pd.DataFrame, compared: pd.DataFrame, queries: Sequence[TracedPicture]
) -> pd.DataFrame:
    """Return every image compared, with its score and where it is in the catalogue."""
    positions = np.concatenate([query.candidates for query in queries])
    place = dict(zip(compared["image_id"], positions.tolist(), strict=True))
    table = ranked[["prompt_id", "image_id", "score"]].rename(columns={"prompt_id": "query"})
    at = table["image_id"].map(place).astype("int64")
    return table.assign(position=at).reset_index(drop=True)


def _left_out(ranking: str, notes: Iterable[Note], with_words: bool) -> list[Note]:
    """Say of metrics that some picture was ranked without; words, only where there is a prompt.

    And of pictures whose candidates were not all ranked.
    """
    told: list[Note] = []
    without: list[str] = []
    for note in notes:
        if note.code == CANDIDATES_LEFT_OUT:
            without += note.about
        elif note.code != LEFT_OUT:
            told.append(note)
        elif metrics := [m for m in note.about if with_words or m != WORDS]:
            text = f"the ranking {ranking} goes without {', '.join(metrics)} where undefined"
            told.append(Note(LEFT_OUT, text, tuple(metrics)))
    if without:
        text = f"the ranking {ranking} leaves out candidates for which it is undefined"
        several = f"{text}, of {len(without)} pictures ({', '.join(without[:3])}"
        told.append(
            Note(CANDIDATES_LEFT_OUT, f"{several}{' …' * (len(without) > 3)})", tuple(without))
        )
    return list(dict.fromkeys(told))


def _neighbours(
    opened: CatalogIndex, pooled: np.ndarray, near: np.ndarray, cosines: np.ndarray, own: int | None
) -> np.ndarray:
    """Return the cosines of the nearest images, byte-identical ones once: `NEIGHBOURS` at most.

    Without the image ``own``, of which ``near`` and ``cosines`` are without already.
    """
    first = np.sort(np.unique(opened.rows[near], return_index=True)[1])
    others = len(opened.catalog) - (own is not None)
    if len(first) < NEIGHBOURS and len(near) < others:  # copies took their places
        positions, values = opened.vectors.distinct(pooled[None], NEIGHBOURS + (own is not None))
        if own is None:
            return values[0]
        alone = (opened.rows == opened.rows[own]).sum() == 1
        drop = alone & (opened.rows[positions[0]] == opened.rows[own])
        return values[0][~drop][:NEIGHBOURS]
    return cosines[first[:NEIGHBOURS]]


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add what the work inside takes to the seconds of a part."""
    start = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - start

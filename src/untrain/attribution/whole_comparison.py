"""Every query compared with the whole catalogue, for the leaderboard; kept beside the bank."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd

from untrain import __version__
from untrain.catalogs.base import Catalog
from untrain.catalogs.formats.folder import in_threads
from untrain.core.files import fingerprint, write_parquet
from untrain.core.progress import bar
from untrain.encoders.base import Encoder, encode_text, pooled
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.runs.pictures import read_picture
from untrain.runs.run import Run
from untrain.search.compare.comparison import compare
from untrain.search.compare.extra import (
    hamming,
    histogram_intersection,
    perceptual_hashes,
    standard_ssim,
)
from untrain.search.compare.features import cosine, feature_metrics
from untrain.search.compare.metrics import METRICS
from untrain.search.compare.pixel import pixel_metrics
from untrain.search.retrieve.candidates import PictureSearch, retrieve, text_index

T = TypeVar("T")
CHUNK = 512  # candidates read and compared at a time


@dataclass(frozen=True, eq=False)
class Compared:
    """Metrics of all pairs, and what they cost.

    Attributes
    ----------
    table : DataFrame
        As `untrain.search.compare.comparison.compare` returns it, for all queries.
    seconds : dict of str to float
        By step (`steps_of`), for one query with all of its candidates.
    """

    table: pd.DataFrame
    seconds: dict[str, float]

    def cost(self, metrics: Sequence[str]) -> float:
        """Return the seconds a query of computing these metrics and nothing else."""
        steps = {"search", *(step for metric in metrics for step in steps_of(metric))}
        return sum(self.seconds.get(step, 0.0) for step in steps)


def steps_of(metric: str) -> tuple[str, ...]:
    """Return what must be done for a metric; the study's pixel metrics are made all in one."""
    needs = METRICS[metric].needs
    before = {"pixels": ("pictures",), "features": ("encode",)}.get(needs, ())
    return (*before, METRICS[metric].step.name)


def compare_all(run: Run, prompts: pd.DataFrame, limit: int) -> Compared:
    """Compare each prompt's generated pictures with the whole catalogue.

    Pictures are first brought to one size, that of the run's own comparison where the training
    images have one (perceptual hashes see them so, too). The result is kept as
    ``bank/comparison.parquet`` and made anew only when the pictures, the catalogue, the encoder or
    the arguments are others.

    Parameters
    ----------
    run : Run
    prompts : DataFrame
        Columns prompt_id and prompt.
    limit : int
        Candidates a prompt: of a larger catalogue those that captions and features together find
        first.
    """
    path, key = run.path("bank", "comparison.parquet"), _key(run, prompts, limit)
    if path.exists():
        kept = pd.read_parquet(path)
        if kept.attrs.get("key") == key:
            return Compared(kept, dict(kept.attrs["seconds"]))
    table, seconds = _Whole(run, prompts, limit).compare()
    table.attrs = {"key": key, "seconds": seconds}
    write_parquet(path, table)
    return Compared(table, seconds)


def queries(run: Run, prompt_id: str) -> list[np.ndarray]:
    """Return the pictures that A drew for a prompt."""
    count = run.config.per_prompt
    return [read_picture(run.path("queries", prompt_id, f"{g}.png")) for g in range(count)]


def clocked(work: Callable[[], T]) -> tuple[T, float]:
    """Return what ``work`` returns and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _key(run: Run, prompts: pd.DataFrame, limit: int) -> str:
    return fingerprint(
        __version__,
        run.catalog.fingerprint,
        run.encoder.fingerprint,
        run.path("queries.safetensors").read_bytes(),
        prompts[["prompt_id", "prompt"]].to_dict("list"),
        run.config.per_prompt,
        min(limit, len(run.catalog)),
    )


@dataclass(frozen=True, eq=False)
class _Features:
    """One encoder's features of the images needed and of each prompt's generated pictures."""

    encoder: Encoder
    stored: np.ndarray
    rows: np.ndarray
    own: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, catalog: Catalog, encoder: Encoder, ids: Sequence[str], drawn: dict[str, list]
    ) -> _Features:
        stored, rows = FeatureStore(None, encoder).index(catalog, "features", ids)
        return cls(encoder, stored, rows, {p: encoder.encode(of) for p, of in drawn.items()})

    def part(self, part: slice) -> np.ndarray:
        return widen(self.stored[self.rows[part]])


class _Whole:
    """The comparison of all prompts, a chunk of the catalogue at a time: each is read once."""

    def __init__(self, run: Run, prompts: pd.DataFrame, limit: int) -> None:
        self.encoder, self.catalog, self.prompts = run.encoder, run.catalog, prompts
        self.drawn = {p: queries(run, p) for p in prompts["prompt_id"]}
        self.wanted, self.searching = self._candidates(limit)
        self.needed = np.unique(np.concatenate(list(self.wanted.values())))
        self.ids = [self.catalog.ids[i] for i in self.needed]
        self.features = self._features(self.encoder)
        short = pooled(self.encoder)
        self.short = None if short is self.encoder else self._features(short)
        self.size = self._size(run.config.retrieval.top)
        self.resized = {p: _resize(own, self.size) for p, own in self.drawn.items()}
        texts = list(prompts["prompt"])
        everywhere = np.tile(np.arange(len(self.catalog)), (len(texts), 1))
        tfidf, self.reading = clocked(
            lambda: text_index(self.catalog, "tfidf").similarity(texts, everywhere)
        )
        self.tfidf = dict(zip(self.drawn, tfidf, strict=True))
        words = [encode_text(self.encoder, [text]) for text in texts]
        self.words = dict(zip(self.drawn, words, strict=True))

    def compare(self) -> tuple[pd.DataFrame, dict[str, float]]:
        """Return the table of all pairs and the seconds of each step."""
        tables = []
        with bar("comparing with all", len(self.needed)) as advance:
            for start in range(0, len(self.needed), CHUNK):
                part = slice(start, min(start + CHUNK, len(self.needed)))
                tables += self._chunk(part)
                advance(part.stop - part.start)
        return pd.concat(tables, ignore_index=True), self._seconds()

    def _chunk(self, part: slice) -> list[pd.DataFrame]:
        positions = self.needed[part]
        images, features = self._images(part), self.features.part(part)
        short = self.short.part(part) if self.short else None
        tables = []
        for p, own in self.resized.items():
            inside = np.isin(positions, self.wanted[p])
            if not inside.any():
                continue
            text = {"tfidf": self.tfidf[p][positions[inside]]}
            words = self.words[p]
            if words is not None:
                text["clip"] = cosine(words, features[inside])[0]
            pair = (
                None if short is None or self.short is None else (self.short.own[p], short[inside])
            )
            ids = [self.catalog.ids[i] for i in positions[inside]]
            some = list(images[inside]), self.features.own[p], features[inside]
            tables.append(compare(p, list(own), ids, *some, pooled=pair, text=text))
        return tables

    def _candidates(self, limit: int) -> tuple[dict[str, np.ndarray], float]:
        """Return the positions of each prompt's candidates, rising, and the seconds a query."""
        if limit >= len(self.catalog):
            return dict.fromkeys(self.drawn, np.arange(len(self.catalog))), 0.0
        whole = pooled(self.encoder)
        stored, rows = FeatureStore(None, whole).index(self.catalog, "indexing images")

        def search() -> pd.DataFrame:
            own = {p: whole.encode(of) for p, of in self.drawn.items()}
            pictures = PictureSearch(stored, rows, own)
            return retrieve(self.catalog, self.prompts, "hybrid", limit, pictures).table

        found, seconds = clocked(search)
        positions = found["image_id"].map(self.catalog.index.__getitem__).astype("int64")
        by_prompt = positions.groupby(found["prompt_id"])
        return {str(p): np.sort(of) for p, of in by_prompt}, seconds / len(self.drawn)

    def _features(self, encoder: Encoder) -> _Features:
        return _Features.of(self.catalog, encoder, self.ids, self.drawn)

    def _size(self, top: int) -> tuple[int, int]:
        """Return the width and height that the run compares at, if training images are of one."""
        images = in_threads(lambda i: self.catalog.image(i).size, self.catalog.ids[:top])
        own = [(p.shape[1], p.shape[0]) for p in next(iter(self.drawn.values()))]
        width, height = np.mean(own + images, axis=0)
        return int(width), int(height)

    def _images(self, part: slice) -> np.ndarray:
        read = in_threads(lambda i: np.asarray(self.catalog.image(i)), self.ids[part])
        return _resize(read, self.size)

    def _seconds(self) -> dict[str, float]:
        """Time each step on the first query and chunk, scaled to all candidates of a query."""
        part = slice(0, min(CHUNK, len(self.needed)))
        (p, drawn), text = next(iter(self.drawn.items())), self.prompts["prompt"].iloc[0]
        scale = len(self.wanted[p]) / (part.stop - part.start)
        images, reading = clocked(lambda: self._images(part))
        own, encoding = clocked(lambda: self.encoder.encode(drawn))
        sides = _resize(drawn, self.size), images
        works: dict[str, Callable[[], object]] = {
            "pixel": lambda: pixel_metrics(*sides),
            "pixel_ssim_standard": lambda: standard_ssim(*sides),
            "pixel_phash": lambda: hamming(*(perceptual_hashes(list(side)) for side in sides)),
            "pixel_histogram_intersection": lambda: histogram_intersection(*sides),
            "feature": lambda: feature_metrics(own, self.features.part(part)),
        }
        seconds = {step: scale * clocked(work)[1] for step, work in works.items()}
        seconds |= {"search": self.searching, "pictures": scale * reading, "encode": encoding}
        seconds["text_tfidf"] = self.reading / len(self.drawn)
        if (words := self.words[p]) is not None:
            encoding = clocked(lambda: encode_text(self.encoder, [text]))[1]
            comparing = clocked(lambda: cosine(words, self.features.part(part)))[1]
            seconds["text_clip"] = encoding + scale * comparing
        if self.short:
            short = self.short
            query, encoding = clocked(lambda: short.encoder.encode(drawn))
            comparing = clocked(lambda: cosine(query, short.part(part)))[1]
            seconds["pooled_cosine"] = encoding + scale * comparing
        return seconds


def _resize(images: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    return np.stack([cv2.resize(i, size, interpolation=cv2.INTER_LINEAR) for i in images])

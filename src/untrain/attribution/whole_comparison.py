"""Every query compared with the whole catalogue, by every metric, and what each metric costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd

from untrain import __version__
from untrain.catalogs.base import Catalog
from untrain.core.cache import cached
from untrain.core.files import fingerprint, read_json, read_parquet, write_json, write_parquet
from untrain.core.parallel import in_threads
from untrain.core.progress import bar
from untrain.encoders.base import Encoder, encode_text, pooled
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.generators.queries import Queries
from untrain.search.compare.comparison import compare
from untrain.search.compare.features import cosine
from untrain.search.compare.metrics import METRICS, Sides, measured
from untrain.search.retrieve.candidates import PictureSearch, retrieve, text_index

T = TypeVar("T")
CHUNK = 512  # candidates read and compared at a time


@dataclass(frozen=True, eq=False)
class WholeComparison:
    """Metrics of all pairs, and what they cost.

    Attributes
    ----------
    table : DataFrame
        As `untrain.search.compare.comparison.compare` returns it, for all queries.
    seconds : dict of str to float
        For one prompt with all of its candidates: of each
        `untrain.search.compare.metrics.Step` by its name, of getting what steps need by its name
        in `untrain.search.compare.metrics.Needs`, and of the ``search`` for candidates.
    """

    table: pd.DataFrame
    seconds: dict[str, float]

    def cost(self, metrics: Sequence[str]) -> float:
        """Return the seconds a prompt of computing these metrics and nothing else."""
        parts = {part for m in metrics for part in (METRICS[m].needs, METRICS[m].step.name)}
        return sum(self.seconds.get(part, 0.0) for part in {"search", *parts})

    def save(self, folder: Path) -> None:
        """Write a table and, as JSON, the seconds into a new folder."""
        write_parquet(folder / "pairs.parquet", self.table)
        write_json(folder / "seconds.json", self.seconds)

    @classmethod
    def load(cls, folder: Path) -> WholeComparison:
        """Read what `save` wrote."""
        return cls(read_parquet(folder / "pairs.parquet"), read_json(folder / "seconds.json"))


def clocked(work: Callable[[], T]) -> tuple[T, float]:
    """Return what ``work`` returns and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def compare_all(
    catalog: Catalog,
    encoder: Encoder,
    queries: Queries,
    limit: int,
    size: tuple[int, int],
) -> WholeComparison:
    """Compare each prompt's pictures with the whole catalogue; the result is cached.

    Parameters
    ----------
    catalog : Catalog
    encoder : Encoder
        Of the features that are compared.
    queries : Queries
    limit : int
        Candidates a prompt: of a larger catalogue those that captions and features together find
        first.
    size : (int, int)
        Width and height that all pictures are brought to first, see `common_size` (perceptual
        hashes see them so, too).
    """
    prompts = len(queries.prompt_ids)
    description = f"{prompts} prompts compared with {catalog.name}: {len(catalog):,} images"
    found, _ = cached(
        "comparisons",
        _key(catalog, encoder, queries, limit, size),
        {"description": description, "rows": len(catalog)},
        make=lambda: _Comparer(catalog, encoder, queries, limit, size).compare(),
        save=lambda made, path: made.save(path),
        load=WholeComparison.load,
    )
    return found


def common_size(catalog: Catalog, queries: Queries, candidates: int) -> tuple[int, int]:
    """Return width and height that a prompt is compared at with so many candidates.

    That is what `untrain.search.compare.pixel.resize_folder` makes of its pictures and the first
    images of the catalogue: the same for any others, where training images are of one size.
    """
    images = in_threads(lambda i: catalog.image(i).size, catalog.ids[:candidates])
    first = queries.of(queries.prompt_ids[0]).pictures
    own = [(picture.shape[1], picture.shape[0]) for picture in first]
    width, height = np.mean(own + images, axis=0)
    return int(width), int(height)


def _key(
    catalog: Catalog, encoder: Encoder, queries: Queries, limit: int, size: tuple[int, int]
) -> str:
    return fingerprint(
        __version__,
        catalog.fingerprint,
        encoder.fingerprint,
        queries.keys,
        dict(queries.texts),
        *queries.pictures,
        min(limit, len(catalog)),
        size,
    )


class _Features:
    """One encoder's features of the images needed and of each prompt's pictures."""

    def __init__(
        self, catalog: Catalog, encoder: Encoder, ids: Sequence[str], asked: Mapping[str, Sequence]
    ) -> None:
        self.encoder = encoder
        self.stored, self.rows = FeatureStore(None, encoder).index(catalog, "features", ids)
        self.own = {prompt_id: encoder.encode(of) for prompt_id, of in asked.items()}

    def part(self, part: slice) -> np.ndarray:
        return widen(self.stored[self.rows[part]])


class _Comparer:
    """Compares all prompts, a chunk of the catalogue at a time: each image is read once."""

    def __init__(
        self,
        catalog: Catalog,
        encoder: Encoder,
        queries: Queries,
        limit: int,
        size: tuple[int, int],
    ) -> None:
        self.encoder, self.catalog, self.size = encoder, catalog, size
        self.texts = {prompt_id: queries.texts[prompt_id] for prompt_id in queries.prompt_ids}
        self.asked = {prompt_id: list(own.pictures) for prompt_id, own in queries.by_prompt()}
        self.wanted, self.searching = self._candidates(limit)
        self.needed = np.unique(np.concatenate(list(self.wanted.values())))
        self.ids = [catalog.ids[i] for i in self.needed]
        self.features = _Features(catalog, encoder, self.ids, self.asked)
        short = pooled(encoder)
        self.pooled = None if short is encoder else _Features(catalog, short, self.ids, self.asked)
        self.resized = {p: _resize(own, size) for p, own in self.asked.items()}
        texts = list(self.texts.values())
        everywhere = np.tile(np.arange(len(catalog)), (len(texts), 1))
        tfidf, self.reading = clocked(
            lambda: text_index(catalog, "tfidf").similarity(texts, everywhere)
        )
        self.tfidf = dict(zip(self.texts, tfidf, strict=True))
        self.words = {p: encode_text(encoder, [text]) for p, text in self.texts.items()}

    def compare(self) -> WholeComparison:
        """Return all pairs, and the seconds of each step."""
        tables = []
        with bar("comparing with all", len(self.needed)) as advance:
            for start in range(0, len(self.needed), CHUNK):
                part = slice(start, min(start + CHUNK, len(self.needed)))
                tables += self._chunk(part)
                advance(part.stop - part.start)
        table = pd.concat(tables, ignore_index=True)
        return WholeComparison(table, self._seconds(measured(table)))

    def _chunk(self, part: slice) -> list[pd.DataFrame]:
        positions = self.needed[part]
        images, features = self._images(part), self.features.part(part)
        short = self.pooled.part(part) if self.pooled else None
        tables = []
        for p in self.texts:
            inside = np.isin(positions, self.wanted[p])
            if inside.any():
                few = None if short is None else short[inside]
                sides = self._sides(p, positions[inside], images[inside], features[inside], few)
                ids = [self.catalog.ids[i] for i in positions[inside]]
                compared = sides.generated, ids, sides.candidates, *sides.features
                tables.append(compare(p, *compared, pooled=sides.pooled, text=sides.text))
        return tables

    def _sides(
        self,
        prompt_id: str,
        positions: np.ndarray,
        images: np.ndarray,
        features: np.ndarray,
        short: np.ndarray | None,
    ) -> Sides:
        """Return a prompt's pictures and these images, in all forms."""
        text = {"tfidf": self.tfidf[prompt_id][positions]}
        if (words := self.words[prompt_id]) is not None:
            text["clip"] = cosine(words, features)[0]
        both = None
        if self.pooled and short is not None:
            both = self.pooled.own[prompt_id], short
        own = self.features.own[prompt_id]
        return Sides(list(self.resized[prompt_id]), list(images), (own, features), both, text)

    def _candidates(self, limit: int) -> tuple[dict[str, np.ndarray], float]:
        """Return the positions of each prompt's candidates, rising, and the seconds a prompt."""
        if limit >= len(self.catalog):
            return dict.fromkeys(self.asked, np.arange(len(self.catalog))), 0.0
        whole = pooled(self.encoder)
        stored, rows = FeatureStore(None, whole).index(self.catalog, "indexing images")
        prompts = pd.DataFrame({"prompt_id": list(self.texts), "prompt": list(self.texts.values())})

        def search() -> pd.DataFrame:
            own = {p: whole.encode(of) for p, of in self.asked.items()}
            pictures = PictureSearch(stored, rows, own)
            return retrieve(self.catalog, prompts, "hybrid", limit, pictures).table

        found, seconds = clocked(search)
        positions = found["image_id"].map(self.catalog.index.__getitem__).astype("int64")
        by_prompt = positions.groupby(found["prompt_id"])
        return {str(p): np.sort(of) for p, of in by_prompt}, seconds / len(self.asked)

    def _images(self, part: slice) -> np.ndarray:
        read = in_threads(lambda i: np.asarray(self.catalog.image(i)), self.ids[part])
        return _resize(read, self.size)

    def _seconds(self, metrics: Sequence[str]) -> dict[str, float]:
        """Time each step on the first prompt and chunk, scaled to all candidates of a prompt."""
        part = slice(0, min(CHUNK, len(self.needed)))
        p, asked = next(iter(self.asked.items()))
        scale = len(self.wanted[p]) / (part.stop - part.start)
        images, reading = clocked(lambda: self._images(part))
        features, widening = clocked(lambda: self.features.part(part))
        encoding = clocked(lambda: self.encoder.encode(asked))[1]
        seconds = {
            "search": self.searching,
            "pixels": scale * reading,
            "features": encoding + scale * widening,
            "captions": self.reading / len(self.asked),
        }
        short = None
        if self.pooled:
            few = self.pooled
            short, widening = clocked(lambda: few.part(part))
            seconds["pooled"] = clocked(lambda: few.encoder.encode(asked))[1] + scale * widening
        if (words := self.words[p]) is not None:
            read = clocked(lambda: encode_text(self.encoder, [self.texts[p]]))[1]
            comparing = clocked(lambda: cosine(words, features))[1]
            seconds["words"] = read + scale * comparing
        sides = self._sides(p, self.needed[part], images, features, short)
        assert len(sides.resized[0])  # done before any step is timed
        for step in dict.fromkeys(METRICS[metric].step for metric in metrics):
            seconds[step.name] = scale * clocked(lambda step=step: step.compute(sides))[1]  # type: ignore[misc]
        return seconds


def _resize(images: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    return np.stack([cv2.resize(i, size, interpolation=cv2.INTER_LINEAR) for i in images])

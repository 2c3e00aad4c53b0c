"""Retrieval: the training images that may answer a prompt, by their captions, features, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.cache import CONTENT, USELESS, cached
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.registry import Registry
from untrain.search.retrieve.index_files import last_made
from untrain.search.retrieve.indexes import VECTOR_INDEXES
from untrain.search.retrieve.inverted import best
from untrain.search.retrieve.text import TEXT_RETRIEVERS, Retriever
from untrain.search.retrieve.vectors import unit

FUSION_K = 60  # Cormack, Clarke & Büttcher (2009)
FUSION_DEPTH = 1000  # of each list that is fused
KEPT_FROM = 10_000  # captions; fewer are indexed faster than they are found in the cache


@dataclass(frozen=True)
class Method:
    """What a method searches: captions, by a text retriever; pictures, by an index; or both, fused.

    Attributes
    ----------
    text : str, optional
        A name in `TEXT_RETRIEVERS`.
    index : str, optional
        A name in `VECTOR_INDEXES`.
    """

    text: str | None = None
    index: str | None = None


RETRIEVERS: Registry[Method] = Registry(
    "retriever",
    {
        "tfidf": Method(text="tfidf"),
        "bm25": Method(text="bm25"),
        "features": Method(index="exact"),
        "hnsw": Method(index="hnsw"),
        "ivfpq": Method(index="ivfpq"),
        "hybrid": Method(text="tfidf", index="exact"),
    },
)


@dataclass(frozen=True, eq=False)
class PictureSearch:
    """What a search by pictures needs.

    Attributes
    ----------
    features : ndarray, (m, d)
        float16 or float32, may be a memory map, as `FeatureStore.index` returns it.
    rows : ndarray of int64, (images,)
        The row of each image of the catalogue in ``features``.
    queries : mapping
        Prompt id → features of its generated pictures, (generations, d).
    """

    features: np.ndarray
    rows: np.ndarray
    queries: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Found:
    """The candidates of some prompts.

    Attributes
    ----------
    table : DataFrame
        Columns ``prompt_id``, ``image_id``, ``rank`` (from 1) and ``score``, best first. The score
        is the retriever's for text, the mean cosine over the prompt's generations for pictures,
        and the sum of 1 / (60 + rank) over both lists where they are fused.
    measured : dict of str to float
        `VectorIndex.measured`: how well an approximate index finds; empty where the search cannot
        miss.
    """

    table: pd.DataFrame
    measured: dict[str, float]


def needs_pictures(method: str) -> bool:
    """Tell whether a method searches by generated pictures, and so needs a `PictureSearch`."""
    return RETRIEVERS[method].index is not None


def retrieve(
    catalog: Catalog,
    prompts: pd.DataFrame,
    method: str = "tfidf",
    top: int = 100,
    pictures: PictureSearch | None = None,
) -> Found:
    """Return the ``top`` candidates of each prompt, or all images if there are fewer.

    Parameters
    ----------
    catalog : Catalog
    prompts : DataFrame
        Columns ``prompt_id`` and ``prompt``.
    method : str
        A name in `RETRIEVERS`.
    top : int
        Candidates a prompt.
    pictures : PictureSearch, optional
        For the methods that search by pictures (`needs_pictures`).

    Returns
    -------
    Found
    """
    how = RETRIEVERS[method]
    depth = max(top, FUSION_DEPTH) if how.text and how.index else top
    lists: list[tuple[np.ndarray, np.ndarray]] = []
    measured: dict[str, float] = {}
    if how.text:
        lists.append(text_index(catalog, how.text).query(prompts["prompt"].tolist(), depth))
    if how.index:
        if pictures is None:
            raise InputError(f"'{method}' searches by generated pictures; none were given")
        seen, measured = _by_pictures(how.index, prompts["prompt_id"], pictures, depth)
        lists.append(seen)
    positions, scores = lists[0] if len(lists) == 1 else _fused(lists, min(top, len(catalog)))
    found = positions.shape[1]
    table = pd.DataFrame(
        {
            "prompt_id": np.repeat(prompts["prompt_id"].to_numpy(), found),
            "image_id": np.array(catalog.ids, dtype=object)[positions.ravel()],
            "rank": np.tile(np.arange(1, found + 1), len(prompts)),
            "score": scores.ravel(),
        }
    )
    return Found(table, measured)


def fuse(rankings: Sequence[np.ndarray], top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the best of several rankings by reciprocal rank fusion.

    An image scores the sum of 1 / (60 + rank) over the rankings that have it, rank from 1.
    G. Cormack, C. Clarke & S. Büttcher (2009), Reciprocal Rank Fusion outperforms Condorcet and
    individual Rank Learning Methods.

    Parameters
    ----------
    rankings : sequence of ndarray of int64
        Positions, each best first and without repeats.
    top : int

    Returns
    -------
    positions, scores : ndarray
        At most ``top``, best first, equal scores by position.

    Examples
    --------
    >>> fuse([np.array([5, 2]), np.array([2, 7])], top=2)[0].tolist()
    [2, 5]
    """
    positions, where = np.unique(np.concatenate(rankings), return_inverse=True)
    scores = np.zeros(len(positions))
    parts = np.concatenate([1 / (FUSION_K + 1 + np.arange(len(r))) for r in rankings])
    np.add.at(scores, where, parts)
    order = best(scores, min(top, len(scores)))
    return positions[order], scores[order]


def text_similarity(catalog: Catalog, prompts: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Return the TF-IDF cosine of prompt and caption of any pairs, 0 where they share no word.

    Parameters
    ----------
    catalog : Catalog
    prompts : DataFrame
        Columns ``prompt_id`` and ``prompt``.
    pairs : DataFrame
        Columns ``prompt_id`` and ``image_id``.

    Returns
    -------
    Series of float64
        Named ``text_tfidf``, with the index of ``pairs``.
    """
    retriever = text_index(catalog, "tfidf")
    texts = dict(zip(prompts["prompt_id"], prompts["prompt"], strict=True))
    positions = pairs["image_id"].map(catalog.index.__getitem__).astype("int64").to_numpy()
    scores = np.empty(len(pairs))
    for prompt_id, where in pairs.groupby("prompt_id").indices.items():
        scores[where] = retriever.similarity([texts[str(prompt_id)]], positions[None, where])[0]
    return pd.Series(scores, index=pairs.index, name="text_tfidf")


def text_index(catalog: Catalog, name: str = "tfidf") -> Retriever:
    """Return a text retriever fitted on the catalogue's captions; kept if they are many."""
    if len(catalog) < KEPT_FROM:
        return TEXT_RETRIEVERS[name]().fit(catalog.captions)
    return open_text(catalog, name)[0]


def open_text(
    catalog: Catalog, name: str = "tfidf", fresh: bool = False
) -> tuple[Retriever, tuple[Note, ...]]:
    """Return the index of a catalogue's captions, from the cache or made now.

    It is known by the content of the catalogue; that of one that grew grows out of the one before.
    And notes, as `untrain.core.cache.cached` returns them.
    """
    kind = TEXT_RETRIEVERS[name]
    description = f"{name} index of captions, {catalog.name}: {len(catalog):,} images"

    def make() -> Retriever:
        grown = None
        before = None if fresh else last_made(catalog.name, catalog.content, name)
        if before:
            with suppress(*USELESS):  # one that is damaged is as good as none
                grown = kind.grown(before.folder / CONTENT, catalog.captions)
        return grown or kind().fit(catalog.captions)

    return cached(
        "indexes",
        f"{catalog.content}-{name}",
        {"description": description, "catalog": catalog.name, "rows": len(catalog)},
        make=make,
        save=lambda retriever, folder: retriever.save(folder),
        load=kind.load,
        fresh=fresh,
    )


def _by_pictures(
    index: str, prompt_ids: pd.Series, pictures: PictureSearch, top: int
) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, float]]:
    """Return positions and mean cosines over a prompt's generations, and the recall measured.

    The mean of cosines with unit vectors is the scalar product with their mean, so one query a
    prompt, by the mean vector, gives the exact order.
    """
    means = np.stack([unit(np.asarray(pictures.queries[p])).mean(axis=0) for p in prompt_ids])
    fitted = VECTOR_INDEXES[index]().fit(pictures.features, pictures.rows)
    positions, cosines = fitted.query(means, top)
    return (positions, cosines * np.linalg.norm(means, axis=1, keepdims=True)), fitted.measured


def _fused(lists: list[tuple[np.ndarray, np.ndarray]], top: int) -> tuple[np.ndarray, np.ndarray]:
    """Fuse what captions and pictures give for each prompt.

    A caption that scores 0 shares no word with it and has no rank; a picture always has one, so
    that there are ``top`` to be found.
    """
    rows = []
    words, (pictures, _) = lists
    for positions, scores, seen in zip(*words, pictures, strict=True):
        rows.append(fuse([positions[scores != 0], seen], top))
    fused, summed = zip(*rows, strict=True)
    return np.stack(fused), np.stack(summed)

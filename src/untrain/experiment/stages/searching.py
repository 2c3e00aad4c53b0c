"""The stages that search the training images: candidates, every metric, rankings, the copy test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.catalogs.formats.folder import in_threads
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.progress import bar, track
from untrain.encoders import load_encoder
from untrain.encoders.base import Encoder, encode_text, pooled
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.experiment.stages.stages import prepare
from untrain.runs.pictures import read_picture
from untrain.runs.run import Run
from untrain.search.compare.comparison import compare as compare_prompt
from untrain.search.compare.comparison import undefined_notes
from untrain.search.compare.features import cosine
from untrain.search.copies import PictureReaders, copy_test
from untrain.search.rank.ranking import rank as rank_by
from untrain.search.retrieve.candidates import PictureSearch, needs_pictures, text_similarity
from untrain.search.retrieve.candidates import retrieve as retrieve_by

BATCH = 256  # images drawn again at a time
TOGETHER = 8  # prompts whose pictures are encoded together: of one they seldom fill a batch


def retrieve(run: Run) -> None:
    """Find the candidates of each prompt: among the captions, the pictures, or both."""
    settings = run.config.retrieval
    pictures = _picture_search(run) if needs_pictures(settings.method) else None
    found = retrieve_by(run.catalog, run.prompts, settings.method, settings.top, pictures)
    if found.measured:
        run.record["retrieval"] = found.measured
    run.keep("retrieval", found.table)


def _picture_search(run: Run) -> PictureSearch:
    """Return pooled features of the whole catalogue and of every prompt's pictures."""
    encoder = pooled(run.encoder)
    features, rows = FeatureStore(None, encoder).index(run.catalog, "indexing images")
    encoded = _encoded_queries(run, encoder, list(run.prompts["prompt_id"]))
    return PictureSearch(features, rows, {p: own for p, _, own in encoded})


def _queries(run: Run, prompt_id: str) -> list[np.ndarray]:
    return [
        read_picture(run.path("queries", prompt_id, f"{g}.png"))
        for g in range(run.pictures[prompt_id])
    ]


def _encoded_queries(
    run: Run, encoder: Encoder, prompt_ids: Sequence[str]
) -> Iterator[tuple[str, list[np.ndarray], np.ndarray]]:
    """Yield each prompt, its generated pictures and their features."""
    for start in range(0, len(prompt_ids), TOGETHER):
        pictures = {p: _queries(run, p) for p in prompt_ids[start : start + TOGETHER]}
        features = encoder.encode([picture for own in pictures.values() for picture in own])
        ends = np.cumsum([len(own) for own in pictures.values()])
        for (p, own), part in zip(pictures.items(), np.split(features, ends[:-1]), strict=True):
            yield p, own, part


def compare(run: Run) -> None:
    """Compare every query with every candidate, in pixels, features and words; test for copies."""
    retrieval = run.table("retrieval")
    encoder = run.encoder
    needed = sorted(set(retrieval["image_id"]))
    stored, rows = FeatureStore(None, encoder).index(run.catalog, "features", needed)
    row = dict(zip(needed, rows, strict=True))
    words = retrieval.assign(text=text_similarity(run.catalog, run.prompts, retrieval).to_numpy())
    asked = dict(zip(run.prompts["prompt_id"], run.prompts["prompt"], strict=True))
    parts = []
    # Where pictures were searched, their pooled features are in the store already.
    searched = needs_pictures(run.config.retrieval.method)
    whole = FeatureStore(None, pooled(encoder)) if searched else None
    groups = dict(iter(words.groupby("prompt_id", sort=False)))
    encoded = _encoded_queries(run, encoder, list(map(str, groups)))
    for prompt_id, generated, own in track(encoded, "comparing", len(groups)):
        candidates = groups[prompt_id]
        ids = list(candidates["image_id"])
        features = widen(stored[[row[i] for i in ids]])
        text = {"tfidf": candidates["text"].to_numpy()}
        text |= _text_to_picture(encoder, asked[prompt_id], features)
        parts.append(
            compare_prompt(
                prompt_id,
                generated,
                ids,
                in_threads(lambda i: np.asarray(run.catalog.image(i)), ids),
                own,
                features,
                pooled=_pooled_pair(run, whole, generated, ids) if whole else None,
                text=text,
            )
        )
    table = pd.concat(parts, ignore_index=True)
    for note in undefined_notes(table):
        run.warn(replace(note, text=f"{note}."))
    run.keep("comparison", table)
    run_copy_test(run)


def _pooled_pair(
    run: Run, store: FeatureStore, generated: list[np.ndarray], ids: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pooled features of generated pictures and of candidates."""
    return store.encoder.encode(generated), store.features(run.catalog, ids, "pooled features")


def _text_to_picture(encoder: Encoder, prompt: str, features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cosine of a prompt with each candidate's picture, if the encoder reads words."""
    words = encode_text(encoder, [prompt])
    return {} if words is None else {"clip": cosine(words, features)[0]}


def run_copy_test(run: Run) -> None:
    """Ask whether generated pictures are nearer to training images than held-out ones are.

    Training and held-out images are first drawn again by the generator's frozen parts: beside a
    crisp photograph, whatever a coarse generator draws looks new, even what it memorised.
    """
    prepare(run)
    settings, catalog = run.config.copies, run.catalog
    encoder = pooled(load_encoder(settings.encoder.name, **settings.encoder.options))
    groups = np.repeat(run.prompts["prompt_id"].to_numpy(), list(run.pictures.values()))
    queries = [query for p in run.prompts["prompt_id"] for query in _queries(run, p)]
    first: dict[str, int] = {}  # of byte-identical images, the first stands for all
    test = copy_test(
        _redrawn_features(run, catalog, encoder),
        _redrawn_features(run, run.held_out, encoder),
        encoder.encode(queries),
        np.array([first.setdefault(content, i) for i, content in enumerate(catalog.hashes)]),
        settings.alpha,
        _pictures(run, queries),
        list(groups),
    )
    table = test.table.rename(columns={"query": "prompt_id", "nearest": "image_id"})
    table["prompt_id"] = groups
    table["image_id"] = np.array(catalog.ids, dtype=object)[table["image_id"]]
    generations = np.concatenate([np.arange(count) for count in run.pictures.values()])
    table.insert(1, "generation", generations)
    run.keep("copies", table)
    run.record["copies"] = test.summary


def _pictures(run: Run, queries: Sequence[np.ndarray]) -> PictureReaders:
    """Return what the copy test lays over each other: drawn again, and for true copies as it was.

    A coarse generator draws many different pictures alike.
    """
    sides = run.catalog, run.held_out
    train, held_out = (_redraw(run, side) for side in sides)
    originals = _originals(run.catalog), _originals(run.held_out)
    return PictureReaders(train, held_out, queries.__getitem__, originals)


def _originals(catalog: Catalog) -> Callable[[int], np.ndarray]:
    return lambda position: np.asarray(catalog.image(catalog.ids[position]))


def _redrawn(run: Run, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
    """Return images as the generator's frozen parts would draw them, uint8 (n, H, W, 3)."""
    model = run.generator
    return model.decode(model.encode(catalog.pixels(model.image_size, ids)))


def _redraw(run: Run, catalog: Catalog) -> Callable[[int], np.ndarray]:
    return lambda position: _redrawn(run, catalog, [catalog.ids[position]])[0]


def _redrawn_features(run: Run, catalog: Catalog, encoder: Encoder) -> np.ndarray:
    """Return the features of all images, drawn again."""
    features = np.empty((len(catalog), encoder.encode([]).shape[1]), np.float16)
    with bar("copy test", len(catalog)) as advance:
        for start in range(0, len(catalog), BATCH):
            ids = catalog.ids[start : start + BATCH]
            features[start : start + len(ids)] = encoder.encode(list(_redrawn(run, catalog, ids)))
            advance(len(ids))
    return features


def rank(run: Run) -> None:
    """Score and order the candidates of each prompt, by every ranking asked for.

    The first decides what is removed and must be defined; one that is only shown beside it and
    cannot be computed, as the study's is not with features below zero, is a warning.
    """
    comparison, retrieval = run.table("comparison"), run.table("retrieval")
    tables = []
    for method in run.ranking_methods:
        try:
            ranked = rank_by(method, comparison, retrieval, run.prompts, run.catalog.ids)
        except InputError as error:
            if method == run.config.ranking.method:
                raise
            text = f"The ranking {method} is left out: {error}."
            run.warn(Note("ranking-left-out", text, (method,)))
            continue
        for note in ranked.notes:
            run.warn(replace(note, text=f"{note}."))
        tables.append(ranked.table)
    run.keep("ranking", pd.concat(tables, ignore_index=True))

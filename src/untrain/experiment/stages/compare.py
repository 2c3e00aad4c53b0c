"""The stage ``compare``: every query against every candidate, and the copy test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.parallel import in_threads
from untrain.core.progress import bar, track
from untrain.encoders import load_encoder
from untrain.encoders.base import Encoder, encode_text, pooled
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.experiment.stages.base import Stage, encoder_identity, section
from untrain.generators.base import Generator
from untrain.generators.queries import Queries
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.search.compare.comparison import compare as compare_prompt
from untrain.search.compare.comparison import undefined_notes
from untrain.search.compare.features import cosine
from untrain.search.copies import PictureReaders, copy_test
from untrain.search.query_features import encode_queries
from untrain.search.retrieve.candidates import needs_pictures, text_similarity

BATCH = 256  # images redrawn at a time


def settings(run: Run) -> Any:
    """Return the encoders of the comparison and of the copy test, its level and held-out images."""
    encoders = [encoder_identity(each) for each in (run.config.encoder, run.config.copies.encoder)]
    return [section(run, "copies"), *encoders, run.held_out.fingerprint]


def compare(run: Run) -> None:
    """Write ``comparison.parquet`` and ``copies.parquet``."""
    run.trainer.prepare()
    compare_given(run)


def compare_given(run: Run) -> None:
    """Compare pictures of a generator that needs no preparation."""
    queries = read_queries(run.folder)
    # If pictures were searched, their pooled features are already in the store.
    searched = needs_pictures(run.config.retrieval.method)
    table = compare_queries(
        queries, run.table("retrieval"), run.catalog, run.encoder, with_pooled=searched
    )
    for note in undefined_notes(table):
        run.warn(replace(note, text=f"{note}."))
    run.keep("comparison", table)
    asked = run.config.copies
    encoder = pooled(load_encoder(asked.encoder.name, **asked.encoder.options))
    copies, summary = run_copy_test(
        queries, run.catalog, run.held_out, run.generator, encoder, asked.alpha
    )
    run.keep("copies", copies)
    run.record["copies"] = summary


def compare_queries(
    queries: Queries,
    retrieval: pd.DataFrame,
    catalog: Catalog,
    encoder: Encoder,
    with_pooled: bool = False,
) -> pd.DataFrame:
    """Compare every query with every candidate of its prompt, in pixels, features and words.

    Parameters
    ----------
    queries : Queries
    retrieval : DataFrame
        Columns prompt_id and image_id: the candidates.
    catalog : Catalog
    encoder : Encoder
    with_pooled : bool
        Whether pooled features are compared too.

    Returns
    -------
    DataFrame
        As `untrain.search.compare.comparison.compare` returns it, for all prompts.
    """
    needed = sorted(set(retrieval["image_id"]))
    stored, rows = FeatureStore(None, encoder).index(catalog, "features", needed)
    row = dict(zip(needed, rows, strict=True))
    texts = pd.DataFrame({"prompt_id": list(queries.texts), "prompt": list(queries.texts.values())})
    words = retrieval.assign(text=text_similarity(catalog, texts, retrieval).to_numpy())
    groups = dict(iter(words.groupby("prompt_id", sort=False)))
    whole = FeatureStore(None, pooled(encoder)) if with_pooled else None
    parts = []
    encoded = encode_queries(encoder, queries.of(*map(str, groups)))
    for own, own_features in track(encoded, "comparing", len(groups)):
        prompt_id = own.prompt_ids[0]
        candidates = groups[prompt_id]
        ids = list(candidates["image_id"])
        features = widen(stored[[row[i] for i in ids]])
        text = {"tfidf": candidates["text"].to_numpy()}
        text |= _text_to_picture(encoder, own.texts[prompt_id], features)
        generated = list(own.pictures)
        parts.append(
            compare_prompt(
                prompt_id,
                generated,
                ids,
                in_threads(lambda i: np.asarray(catalog.image(i)), ids),
                own_features,
                features,
                pooled=_pooled_pair(whole, catalog, generated, ids) if whole else None,
                text=text,
            )
        )
    return pd.concat(parts, ignore_index=True)


def _pooled_pair(
    store: FeatureStore, catalog: Catalog, generated: list[np.ndarray], ids: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pooled features of generated pictures and of candidates."""
    return store.encoder.encode(generated), store.features(catalog, ids, "pooled features")


def _text_to_picture(encoder: Encoder, prompt: str, features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cosine of a prompt with each candidate's picture, if the encoder reads words."""
    words = encode_text(encoder, [prompt])
    return {} if words is None else {"clip": cosine(words, features)[0]}


def run_copy_test(
    queries: Queries,
    catalog: Catalog,
    held_out: Catalog,
    generator: Generator,
    encoder: Encoder,
    alpha: float,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Test whether queries are nearer to training images than held-out images are.

    Training and held-out images are first redrawn by the generator's frozen parts: compared with a
    crisp photograph, anything a coarse generator produces looks new, even what it memorised.

    Parameters
    ----------
    queries : Queries
    catalog, held_out : Catalog
        What the generator was trained on, and what it was not.
    generator : Generator
        With its frozen parts prepared.
    encoder : Encoder
        With one vector per image (`untrain.encoders.base.pooled`).
    alpha : float
        Share of held-out images flagged in error.

    Returns
    -------
    copies : DataFrame
        prompt_id, generation, image_id (the nearest training image) and the columns of
        `untrain.search.copies.copy_test`.
    summary : dict
    """
    pictures = list(queries.pictures)
    prompt_ids = [prompt_id for prompt_id, _ in queries.keys]
    first: dict[str, int] = {}  # of byte-identical images, the first stands for all
    test = copy_test(
        _redrawn_features(generator, catalog, encoder),
        _redrawn_features(generator, held_out, encoder),
        encoder.encode(pictures),
        np.array([first.setdefault(content, i) for i, content in enumerate(catalog.hashes)]),
        alpha,
        # Overlaid twice: redrawn, and as they were, to find true copies, because a coarse
        # generator redraws many different pictures in the same way.
        PictureReaders(
            _redraw(generator, catalog),
            _redraw(generator, held_out),
            pictures.__getitem__,
            (_originals(catalog), _originals(held_out)),
        ),
        prompt_ids,
    )
    table = test.table.rename(columns={"query": "prompt_id", "nearest": "image_id"})
    table["prompt_id"] = prompt_ids
    table["image_id"] = np.array(catalog.ids, dtype=object)[table["image_id"]]
    table.insert(1, "generation", [generation for _, generation in queries.keys])
    return table, test.summary


def _originals(catalog: Catalog) -> Callable[[int], np.ndarray]:
    return lambda position: np.asarray(catalog.image(catalog.ids[position]))


def _redrawn(generator: Generator, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
    """Return images as the generator's frozen parts would draw them, uint8 (n, H, W, 3)."""
    return generator.decode(generator.encode(catalog.pixels(generator.image_size, ids)))


def _redraw(generator: Generator, catalog: Catalog) -> Callable[[int], np.ndarray]:
    return lambda position: _redrawn(generator, catalog, [catalog.ids[position]])[0]


def _redrawn_features(generator: Generator, catalog: Catalog, encoder: Encoder) -> np.ndarray:
    """Return the features of all images, redrawn; float16 (images, d)."""
    features = np.empty((len(catalog), encoder.encode([]).shape[1]), np.float16)
    with bar("copy test", len(catalog)) as advance:
        for start in range(0, len(catalog), BATCH):
            ids = catalog.ids[start : start + BATCH]
            features[start : start + len(ids)] = encoder.encode(
                list(_redrawn(generator, catalog, ids))
            )
            advance(len(ids))
    return features


STAGE = Stage(
    name="compare",
    help=STAGE_HELP["compare"],
    work=compare,
    settings=settings,
    after=("generate", "retrieve"),
    outputs=("comparison.parquet", "copies.parquet"),
)
STAGE_OF_GIVEN_PICTURES = replace(STAGE, work=compare_given)

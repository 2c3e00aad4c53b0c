"""The stages that search the training images: candidates, every metric, rankings, the copy test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.encoders import load_encoder
from untrain.encoders.base import Encoder, encode_text, pooled
from untrain.encoders.store import FeatureStore
from untrain.experiment.run import Run, read_picture
from untrain.experiment.stages import prepare
from untrain.progress import bar, track
from untrain.search.comparison import compare as compare_prompt
from untrain.search.copies import Pictures, copy_test
from untrain.search.ranking import rank as rank_by
from untrain.search.retrieval import PictureSearch, needs_pictures, text_similarity
from untrain.search.retrieval import retrieve as retrieve_by

BATCH = 256  # images drawn again at a time


def retrieve(run: Run) -> None:
    """Find the candidates of each prompt: among the captions, the pictures, or both."""
    settings = run.config.retrieval
    pictures = _picture_search(run) if needs_pictures(settings.method) else None
    found = retrieve_by(run.catalog, run.prompts, settings.method, settings.top, pictures)
    run.keep("retrieval", found)


def _picture_search(run: Run) -> PictureSearch:
    """Return pooled features of the whole catalogue and of every prompt's pictures."""
    encoder = pooled(run.encoder)
    features, rows = FeatureStore(None, encoder).index(run.catalog, "indexing images")
    queries = {p: encoder.encode(_queries(run, p)) for p in run.prompts["prompt_id"]}
    return PictureSearch(features, rows, queries)


def _queries(run: Run, prompt_id: str) -> list[np.ndarray]:
    return [
        read_picture(run.path("queries", prompt_id, f"{g}.png"))
        for g in range(run.config.generations)
    ]


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
    groups = list(words.groupby("prompt_id", sort=False))
    for prompt_id, candidates in track(groups, "comparing", len(groups)):
        ids = list(candidates["image_id"])
        generated = _queries(run, str(prompt_id))
        features = stored[[row[i] for i in ids]]
        text = {"tfidf": candidates["text"].to_numpy()}
        text |= _text_to_picture(encoder, asked[str(prompt_id)], features.astype(np.float32))
        parts.append(
            compare_prompt(
                str(prompt_id),
                generated,
                ids,
                [np.asarray(run.catalog.image(i)) for i in ids],
                encoder.encode(generated),
                features,
                text=text,
            )
        )
    for note in _summed_up([note for part in parts for note in part.attrs["notes"]]):
        run.warn(note)
    run.keep("comparison", pd.concat(parts, ignore_index=True))
    test_copies(run)


def _text_to_picture(encoder: Encoder, prompt: str, features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cosine of a prompt with each candidate's picture, if the encoder reads words."""
    words = encode_text(encoder, [prompt])
    if words is None:
        return {}
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(words[0])
    return {"clip": features @ words[0] / np.maximum(lengths, 1e-12)}


def _summed_up(notes: Sequence[str]) -> list[str]:
    """Return one note for each metric that is undefined somewhere, not one for each prompt."""
    metrics: dict[str, list[str]] = {}
    for note in notes:
        prompt, _, rest = note.removeprefix("prompt ").partition(": ")
        metric, _, why = rest.partition(" is undefined for ")
        metrics.setdefault(f"{metric}|{why.partition(': ')[2]}", []).append(prompt)
    return [
        "The metric {} is undefined for some pairs of {} prompts ({}): {}. Rankings leave it "
        "out there.".format(
            key.partition("|")[0],
            len(prompts),
            ", ".join(prompts[:3]) + (" …" if len(prompts) > 3 else ""),
            key.partition("|")[2],
        )
        for key, prompts in metrics.items()
    ]


def test_copies(run: Run) -> None:
    """Ask whether generated pictures are nearer to training images than held-out ones are.

    Training and held-out images are first drawn again by the generator's frozen parts: beside a
    crisp photograph, whatever a coarse generator draws looks new, even what it has by heart.
    """
    prepare(run)
    settings, catalog = run.config.copies, run.catalog
    encoder = pooled(load_encoder(settings.encoder.name, **settings.encoder.options))
    groups = np.repeat(run.prompts["prompt_id"].to_numpy(), run.config.generations)
    queries = [query for p in run.prompts["prompt_id"] for query in _queries(run, p)]
    first: dict[str, int] = {}  # of byte-identical images, the first stands for all
    test = copy_test(
        _redrawn_features(run, catalog, encoder),
        _redrawn_features(run, run.held_out, encoder),
        encoder.encode(queries),
        np.array([first.setdefault(content, i) for i, content in enumerate(catalog.hashes)]),
        settings.alpha,
        Pictures(_redraw(run, catalog), _redraw(run, run.held_out), queries.__getitem__),
        list(groups),
    )
    table = test.table.rename(columns={"query": "prompt_id", "nearest": "image_id"})
    table["prompt_id"] = groups
    table["image_id"] = np.array(catalog.ids, dtype=object)[table["image_id"]]
    generations = np.tile(np.arange(run.config.generations), len(run.prompts))
    table.insert(1, "generation", generations)
    run.keep("copies", table)
    run.record["copies"] = test.summary


def _redrawn(run: Run, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
    """Return images as the generator's frozen parts would draw them, uint8 (n, H, W, 3)."""
    model = run.generator
    return model.detokenize(model.tokenize(catalog.pixels(model.image_size, ids)))


def _redraw(run: Run, catalog: Catalog) -> Callable[[int], np.ndarray]:
    return lambda position: _redrawn(run, catalog, [catalog.ids[position]])[0]


def _redrawn_features(run: Run, catalog: Catalog, encoder: Encoder) -> np.ndarray:
    """Return the features of all images, drawn again."""
    features = [encoder.encode([])]
    with bar("copy test", len(catalog)) as advance:
        for start in range(0, len(catalog), BATCH):
            ids = catalog.ids[start : start + BATCH]
            features.append(encoder.encode(list(_redrawn(run, catalog, ids))))
            advance(len(ids))
    return np.concatenate(features)


def rank(run: Run) -> None:
    """Score and order the candidates of each prompt, by every ranking asked for."""
    comparison, retrieval = run.table("comparison"), run.table("retrieval")
    tables = [
        rank_by(method, comparison, retrieval, run.prompts, run.catalog.ids)
        for method in run.ranking_methods
    ]
    run.keep("ranking", pd.concat(tables, ignore_index=True))

"""Every attributor at hand, as one score of each training image for each query of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.attribution.whole_comparison import CHUNK, Compared, clocked, queries
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.encoders import load_encoder
from untrain.encoders.base import Encoder, encode_text, pooled
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.runs.examples import read_examples
from untrain.runs.run import Run
from untrain.search.compare.features import cosine
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.ranking import RANKINGS, check_method, metrics_of, parse_method, rank
from untrain.search.rank.weights import Weights
from untrain.search.retrieve.candidates import text_index

RANDOM, FAMILY = "random", "family"
RANDOM_DRAWS = 20
TEXTS = {"text": "tfidf", "bm25": "bm25"}  # "text" is the ranking of that name, on all captions
TWICE = ("metric:text_tfidf", "metric:pixel_cosine")  # the rankings text and pixel_cosine


@dataclass(frozen=True, eq=False)
class Attributor:
    """What one attributor says.

    Attributes
    ----------
    name, kind : str
        The kind is text, metric, ranking, encoder, fitted, scores, oracle or chance.
    draws : list of ndarray of float, each (queries, images)
        Higher is more influential, NaN where there is no score; several only at random.
    seconds : float
        What it costs a query, on its own; NaN if unknown.
    """

    name: str
    kind: str
    draws: list[np.ndarray]
    seconds: float


def attributors(
    run: Run,
    prompts: pd.DataFrame,
    found: Compared,
    rankings: Sequence[str],
    encoders: Sequence[str],
    notes: list[str],
) -> Iterator[Attributor]:
    """Yield all attributors, one after the other.

    Parameters
    ----------
    run : Run
    prompts : DataFrame
        Columns prompt_id, prompt and family, the queries.
    found : Compared
        All pairs of these, as `untrain.attribution.whole_comparison.compare_all` returns them.
    rankings, encoders : sequence of str
        Further ones, by name: as `untrain.search.rank.ranking.rank` and
        `untrain.encoders.load_encoder` take them.
    notes : list of str
        Is told what was left out.

    Raises
    ------
    InputError
        One of the user's own cannot be had, or its weights were fitted on this run.
    """
    asked = list(dict.fromkeys([*run.ranking_methods, *rankings]))
    for method in asked:
        check_method(method)
        notes += check_fitted(run, method)
    yield from _texts(run, prompts)
    own = [m for m in RANKINGS if m not in TEXTS]
    own += [f"metric:{m}" for m in METRICS if m in found.table]
    for method in dict.fromkeys([*own, *asked]):
        if method in TEXTS or (method in TWICE and method not in asked):
            continue
        try:
            yield _ranking(run, prompts, found, method, notes)
        except InputError as error:
            if method in rankings:
                raise
            notes.append(f"{method} is left out: {error}")
    for name in encoders:
        yield from _encoder(run, prompts, name)
    shape = len(prompts), len(run.catalog)
    drawn = [rng("leaderboard", run.config.seed, i).random(shape) for i in range(RANDOM_DRAWS)]
    yield Attributor(RANDOM, "chance", drawn, np.nan)
    members = of_family(run, prompts)
    if members is not None:
        yield Attributor(FAMILY, "oracle", [members.astype(np.float64)], np.nan)


def check_fitted(run: Run, method: str) -> list[str]:
    """Refuse weights that were fitted on the effects of this very run; note what is not known.

    Raises
    ------
    InputError
        The file's ``about`` names this run, or its examples are this run's.
    """
    name = parse_method(method)
    if name.kind != "fitted":
        return []
    fitted_on = Weights.load(Path(name.argument)).about.get("runs", [])
    if not fitted_on:
        return [f"{method} does not say what it was fitted on: it may have seen this run"]
    try:
        own = read_examples(run.folder).describe()["examples"]
    except InputError:  # no effects here that anything could have been fitted on
        own = None
    same_data = [about for about in fitted_on if about.get("catalog") == run.catalog.fingerprint]
    for about in fitted_on:
        named = about in same_data and about.get("name") == run.config.name
        if named or (own is not None and about.get("examples") == own):
            raise InputError(
                f"{name.argument} was fitted on this run ({about.get('name')}); what is fitted "
                "must be tried on a run that it has not seen: fit it on others with "
                "`untrain weights`, or leave it out"
            )
    if same_data:
        return [f"{method} was fitted on other runs of the same catalogue, perhaps of its families"]
    return []


def of_family(run: Run, prompts: pd.DataFrame) -> np.ndarray | None:
    """Return which images are of each prompt's family (queries, images); None if not known."""
    if FAMILY not in run.catalog.attributes or (prompts["family"].fillna("") == "").any():
        return None
    families = run.catalog.attributes[FAMILY].astype(str).to_numpy()
    return families[None] == prompts["family"].astype(str).to_numpy()[:, None]


def _texts(run: Run, prompts: pd.DataFrame) -> Iterator[Attributor]:
    texts = list(prompts["prompt"])
    everywhere = np.tile(np.arange(len(run.catalog)), (len(texts), 1))
    for name, retriever in TEXTS.items():
        index = text_index(run.catalog, retriever)
        scores, seconds = clocked(partial(index.similarity, texts, everywhere))
        yield Attributor(name, "text", [scores], seconds / len(texts))


def _ranking(
    run: Run, prompts: pd.DataFrame, found: Compared, method: str, notes: list[str]
) -> Attributor:
    parsed = parse_method(method)
    ranked, seconds = clocked(lambda: rank(method, found.table, None, run.prompts, run.catalog.ids))
    if incomplete := ranked.notes:
        more = f" (and {len(incomplete) - 1} more such)" if len(incomplete) > 1 else ""
        notes.append(f"{incomplete[0]}{more}")
    cost = np.nan if parsed.kind == "scores" else found.cost(metrics_of(method))
    scores = _dense(ranked.table, prompts, run)
    return Attributor(method, parsed.kind or "ranking", [scores], cost + seconds / len(prompts))


def _dense(table: pd.DataFrame, prompts: pd.DataFrame, run: Run) -> np.ndarray:
    """Return a ranking's scores as (queries, images), NaN where it has none."""
    rows = pd.Index(prompts["prompt_id"]).get_indexer(pd.Index(table["prompt_id"]))
    columns = pd.Index(run.catalog.ids).get_indexer(pd.Index(table["image_id"]))
    known = (rows >= 0) & (columns >= 0)
    scores = np.full((len(prompts), len(run.catalog)), np.nan)
    scores[rows[known], columns[known]] = table["score"].to_numpy(np.float64)[known]
    return scores


def _encoder(run: Run, prompts: pd.DataFrame, name: str) -> Iterator[Attributor]:
    """Yield the mean cosine with a prompt's pictures and, where it reads words, with the prompt."""
    encoder = pooled(load_encoder(name))
    stored, rows = FeatureStore(None, encoder).index(run.catalog, f"features, {name}")
    drawn = [queries(run, p) for p in prompts["prompt_id"]]
    own, encoding = clocked(lambda: [encoder.encode(of) for of in drawn])
    yield _nearest(f"encoder:{name}", own, stored, rows, encoding)
    words, reading = clocked(lambda: _words(encoder, prompts))
    if words is not None:
        yield _nearest(f"encoder:{name}, text", words, stored, rows, reading)


def _words(encoder: Encoder, prompts: pd.DataFrame) -> list[np.ndarray] | None:
    found = encode_text(encoder, list(prompts["prompt"]))
    return None if found is None else [row[None] for row in found]


def _nearest(
    name: str, own: list[np.ndarray], stored: np.ndarray, rows: np.ndarray, encoding: float
) -> Attributor:
    """Score each image by its mean cosine with a query's features, a chunk at a time."""

    def score() -> np.ndarray:
        parts = []
        for start in range(0, len(rows), CHUNK):
            block = widen(stored[rows[start : start + CHUNK]])
            parts.append(np.stack([cosine(of, block).mean(axis=0) for of in own]))
        return np.concatenate(parts, axis=1)

    scores, comparing = clocked(score)
    return Attributor(name, "encoder", [scores], (encoding + comparing) / len(own))

"""Features of queries: what a search by pictures, and every comparison of features, starts from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.encoders.base import Encoder, pooled
from untrain.encoders.store import FeatureStore
from untrain.generators.queries import Queries
from untrain.search.retrieve.candidates import PictureSearch

TOGETHER = 8  # prompts whose pictures are encoded together: of one they seldom fill a batch


def encode_queries(encoder: Encoder, queries: Queries) -> Iterator[tuple[Queries, np.ndarray]]:
    """Yield the queries of each prompt with their features, float32 (n, d)."""
    prompt_ids = queries.prompt_ids
    for start in range(0, len(prompt_ids), TOGETHER):
        parts = [queries.of(prompt_id) for prompt_id in prompt_ids[start : start + TOGETHER]]
        features = encoder.encode([picture for part in parts for picture in part.pictures])
        ends = np.cumsum([len(part) for part in parts])
        yield from zip(parts, np.split(features, ends[:-1]), strict=True)


def picture_search(catalog: Catalog, encoder: Encoder, queries: Queries) -> PictureSearch:
    """Return pooled features of the whole catalogue and of every prompt's pictures."""
    encoder = pooled(encoder)
    features, rows = FeatureStore(None, encoder).index(catalog, "indexing images")
    own = {part.prompt_ids[0]: found for part, found in encode_queries(encoder, queries)}
    return PictureSearch(features, rows, own)

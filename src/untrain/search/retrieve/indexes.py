"""The vector indexes by name."""

from __future__ import annotations

from untrain.core.registry import Registry
from untrain.search.retrieve.vector_index import ExactIndex, VectorIndex

VECTOR_INDEXES: Registry[type[VectorIndex]] = Registry(
    "vector index",
    {
        "exact": ExactIndex,
        "hnsw": "untrain.search.retrieve.faiss_index:HnswIndex",
        "ivfpq": "untrain.search.retrieve.faiss_index:IvfPqIndex",
    },
)

"""What `bench_parts.py` measures: each engine behind the same few methods, by name."""

from __future__ import annotations

from typing import Any

from lance_engines import LanceText, LanceVectors
from text_engines import Bm25, Fts5, Matrix, Tantivy, Tfidf
from vector_engines import Exact, Hnsw, IvfPq, UsearchByte, UsearchHalf

PARTS: dict[str, Any] = {
    "exact": Exact, "ivfpq": IvfPq, "hnsw": Hnsw,
    "lance-ivfpq": LanceVectors, "usearch-f16": UsearchHalf, "usearch-i8": UsearchByte,
    "tfidf": Tfidf, "bm25": Bm25, "matrix": Matrix,
    "tantivy": Tantivy, "fts5": Fts5, "lance-fts": LanceText,
}  # fmt: skip
TEXT = ("tfidf", "bm25", "matrix", "tantivy", "fts5", "lance-fts")

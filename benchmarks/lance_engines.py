"""LanceDB, of vectors and of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from drawn import BLOCK, TOP, Data
from vector_engines import Vectors


def lance_rows(data: Data, rows: range, text: bool) -> Iterator[pa.RecordBatch]:
    """Yield rows for LanceDB."""
    for start in range(rows.start, rows.stop, BLOCK):
        stop = min(start + BLOCK, rows.stop)
        place = pa.array(np.arange(start, stop))
        if text:
            column: pa.Array = data.captions.data.slice(start, stop - start).combine_chunks()
        else:
            block = np.ascontiguousarray(data.vectors[start:stop]).ravel()
            column = pa.FixedSizeListArray.from_arrays(pa.array(block), data.vectors.shape[1])
        yield pa.record_batch([place, column], names=["place", "content"])


class Lance:
    """LanceDB: a table with an index."""

    text = False

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        import lancedb

        self.data, self.table = data, lancedb.connect(folder).open_table("images")

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Write a table and index it."""
        import lancedb

        batches = lance_rows(data, data.some(False), cls.text)
        first = next(lance_rows(data, range(1), cls.text))
        reader = pa.RecordBatchReader.from_batches(first.schema, batches)
        table = lancedb.connect(folder).create_table("images", reader)
        cls._index(table, data)

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Append and fold the new rows into the index."""
        import lancedb

        table = lancedb.connect(folder).open_table("images")
        table.add(pa.Table.from_batches(lance_rows(data, data.some(True), cls.text)))
        table.optimize()

    @staticmethod
    def _index(table: Any, data: Data) -> None:
        raise NotImplementedError


class LanceVectors(Lance, Vectors):
    """IVF-PQ with as many clusters and codes as untrain's."""

    @staticmethod
    def _index(table: Any, data: Data) -> None:
        clusters = 2 ** round(np.log2(data.images) / 2)
        table.create_index(
            metric="cosine", num_partitions=clusters, num_sub_vectors=64,
            vector_column_name="content",
        )  # fmt: skip
        table.create_scalar_index("place")

    def query(self, query: np.ndarray) -> np.ndarray:
        """Find and decide."""
        clusters = 2 ** round(np.log2(self.data.images) / 2)
        search = self.table.search(query, vector_column_name="content").metric("cosine")
        search = search.nprobes(max(16, clusters // 32)).limit(10 * TOP).select(["place"])
        found = search.to_arrow()["place"].to_numpy()
        return self.decided(self.data, found, query)


class LanceText(Lance):
    """Full-text search, BM25."""

    text, judged = True, "bm25"

    @staticmethod
    def _index(table: Any, data: Data) -> None:
        table.create_fts_index(
            "content", with_position=False, stem=False, remove_stop_words=False,
            ascii_folding=False,
        )  # fmt: skip

    def asked(self, data: Data) -> Sequence[Any]:
        """Return what it is asked."""
        return data.prompts["long"]

    def query(self, query: str) -> np.ndarray:
        """Return the best."""
        search = self.table.search(query, query_type="fts", fts_columns="content")
        return search.limit(TOP).select(["place"]).to_arrow()["place"].to_numpy()

"""What `bench_parts.py` measures: each engine behind the same few methods."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from untrain.catalogs.columns import Texts
from untrain.search.retrieve.indexes import VECTOR_INDEXES
from untrain.search.retrieve.inverted import best
from untrain.search.retrieve.postings import words
from untrain.search.retrieve.text import TEXT_RETRIEVERS
from untrain.search.retrieve.vectors import cosines

TOP, WIDER = 100, 400
ADDED = 0.01
BLOCK = 2**16
NOTHING = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Data:
    """Vectors and captions of all images, of which the first ``images`` are there at first."""

    images: int
    vectors: np.ndarray
    captions: Texts
    queries: np.ndarray
    prompts: dict[str, list[str]]

    @classmethod
    def open(cls, place: Path) -> Data:
        """Map what was drawn."""
        drawn = json.loads((place / "drawn.json").read_text())
        table = pa.ipc.open_file(pa.memory_map(str(place / "captions.arrow"))).read_all()
        return cls(
            drawn["images"],
            np.load(place / "vectors.npy", mmap_mode="r") if drawn["vectors"] else NOTHING,
            Texts(table["text"]),
            np.load(place / "queries.npy").astype(np.float32) if drawn["vectors"] else NOTHING,
            {"long": drawn["long"], "short": drawn["short"]},
        )

    def some(self, added: bool) -> range:
        """Return the images at first, or those added."""
        return range(self.images, len(self.captions)) if added else range(self.images)


class Vectors:
    """An engine of vectors."""

    judged = "cosine"

    def asked(self, data: Data) -> Sequence[Any]:
        """Return what it is asked."""
        return data.queries

    def decided(self, data: Data, found: np.ndarray, query: np.ndarray) -> np.ndarray:
        """Return the best of those found, by exact cosines."""
        values = cosines(data.vectors, found, query)
        return found[np.argsort(-values, kind="stable")][:TOP]


class Ours(Vectors):
    """untrain's vector indexes."""

    kind: ClassVar[str]

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        features = data.vectors if after else data.vectors[: data.images]
        self.index = VECTOR_INDEXES[self.kind].load(folder, features)

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Fit and save."""
        VECTOR_INDEXES[cls.kind]().fit(data.vectors[: data.images]).save(folder)

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Let it grow, or make it anew where that is nothing."""
        kind = VECTOR_INDEXES[cls.kind]
        (kind.grown(folder, data.vectors) or kind().fit(data.vectors)).save(folder)

    def query(self, query: np.ndarray) -> np.ndarray:
        """Return the best."""
        return self.index.query(query[None], TOP)[0][0]


class Exact(Ours):
    kind = "exact"


class Hnsw(Ours):
    kind = "hnsw"


class IvfPq(Ours):
    kind = "ivfpq"


class Usearch(Vectors):
    """usearch: HNSW, its file mapped."""

    dtype: ClassVar[str]

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        from usearch.index import Index

        self.data, self.index = data, Index.restore(str(folder / "index"), view=True)
        self.index.expansion_search = 128

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Add everything to a new graph."""
        from usearch.index import Index

        folder.mkdir()
        index = Index(
            ndim=data.vectors.shape[1], metric="cos", dtype=cls.dtype, connectivity=16,
            expansion_add=80, expansion_search=128,
        )  # fmt: skip
        cls._put(index, data, data.some(False), folder)

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Load, add, save."""
        from usearch.index import Index

        index = Index.restore(str(folder / "index"))
        cls._put(index, data, data.some(True), folder)

    @staticmethod
    def _put(index: Any, data: Data, rows: range, folder: Path) -> None:
        for start in range(rows.start, rows.stop, BLOCK):
            keys = np.arange(start, min(start + BLOCK, rows.stop))
            index.add(keys, data.vectors[keys].astype(np.float32), threads=1)
        index.save(str(folder / "index"))

    def query(self, query: np.ndarray) -> np.ndarray:
        """Find and decide."""
        found = self.index.search(query, WIDER, threads=1).keys.astype(np.int64)
        return self.decided(self.data, found, query)


class UsearchHalf(Usearch):
    dtype = "f16"


class UsearchByte(Usearch):
    dtype = "i8"


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


class OursText:
    """untrain's text retrievers."""

    kind: ClassVar[str]
    judged: ClassVar[str]

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        self.index = TEXT_RETRIEVERS[self.kind].load(folder)

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Fit and save."""
        captions = data.captions.take(np.arange(data.images))
        TEXT_RETRIEVERS[cls.kind]().fit(captions).save(folder)

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Load, add, save."""
        captions = data.captions.take(np.arange(data.images, len(data.captions)))
        TEXT_RETRIEVERS[cls.kind].load(folder).add(captions).save(folder)

    def asked(self, data: Data) -> Sequence[Any]:
        """Return what it is asked."""
        return data.prompts["long"]

    def query(self, query: str) -> np.ndarray:
        """Return the best."""
        return self.index.query([query], TOP)[0][0]


class Tfidf(OursText):
    kind = judged = "tfidf"


class Bm25(OursText):
    kind = judged = "bm25"


class Matrix:
    """TF-IDF as scikit-learn's sparse matrix, by word: every caption of a word is added up."""

    judged = "tfidf"

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        from scipy.sparse import load_npz

        self.columns, self.idf = load_npz(folder / "columns.npz"), np.load(folder / "idf.npy")
        self.vocabulary = json.loads((folder / "vocabulary.json").read_text())

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Fit and save."""
        from scipy.sparse import save_npz
        from sklearn.feature_extraction.text import TfidfVectorizer

        folder.mkdir()
        vectorizer = TfidfVectorizer()
        columns = vectorizer.fit_transform(data.captions.take(np.arange(data.images))).tocsc()
        save_npz(folder / "columns.npz", columns, compressed=False)
        np.save(folder / "idf.npy", vectorizer.idf_)
        vocabulary = {word: int(column) for word, column in vectorizer.vocabulary_.items()}
        (folder / "vocabulary.json").write_text(json.dumps(vocabulary))

    def asked(self, data: Data) -> Sequence[Any]:
        """Return what it is asked."""
        return data.prompts["long"]

    def query(self, query: str) -> np.ndarray:
        """Add up and return the best."""
        known = [self.vocabulary[word] for word in words(query) if word in self.vocabulary]
        columns, counts = np.unique(known, return_counts=True)
        weights = counts * self.idf[columns]
        scores = self.columns[:, columns] @ (weights / np.linalg.norm(weights))
        return best(scores, TOP)


class Tantivy:
    """tantivy: BM25 with k₁ = 1.2, b = 0.75."""

    judged = "bm25"

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        import tantivy

        self.tantivy, index = tantivy, tantivy.Index.open(str(folder))
        self.schema, self.searcher = index.schema, index.searcher()

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Index everything with one thread."""
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_integer_field("place", fast=True)
        schema.add_text_field("content", tokenizer_name="default", index_option="freq")
        folder.mkdir()
        cls._put(tantivy.Index(schema.build(), path=str(folder)), data, data.some(False))

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Commit the new ones as a further segment."""
        import tantivy

        cls._put(tantivy.Index.open(str(folder)), data, data.some(True))

    @staticmethod
    def _put(index: Any, data: Data, rows: range) -> None:
        import tantivy

        writer = index.writer(heap_size=500_000_000, num_threads=1)
        captions = data.captions.take(np.arange(rows.start, rows.stop))
        for place, caption in zip(rows, captions, strict=True):
            writer.add_document(tantivy.Document(place=place, content=caption))
        writer.commit()
        writer.wait_merging_threads()

    def asked(self, data: Data) -> Sequence[Any]:
        """Return what it is asked."""
        return data.prompts["long"]

    def query(self, query: str) -> np.ndarray:
        """Return the best of a disjunction."""
        query_of = self.tantivy.Query
        terms = [query_of.term_query(self.schema, "content", word) for word in words(query)]
        wanted = query_of.boolean_query([(self.tantivy.Occur.Should, term) for term in terms])
        hits = self.searcher.search(wanted, TOP).hits
        addresses = [address for _, address in hits]
        return np.array(self.searcher.fast_field_values("place", addresses), np.int64)


class Fts5:
    """SQLite's FTS5: BM25 with k₁ = 1.2, b = 0.75."""

    judged = "bm25"

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        self.base = sqlite3.connect(f"file:{folder / 'base'}?mode=ro", uri=True)

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Fill a table without content."""
        folder.mkdir()
        base = sqlite3.connect(folder / "base")
        base.execute(
            "create virtual table captions using fts5"
            "(content, content='', tokenize='unicode61 remove_diacritics 0')"
        )
        cls._put(base, data, data.some(False))

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Insert more."""
        cls._put(sqlite3.connect(folder / "base"), data, data.some(True))

    @staticmethod
    def _put(base: sqlite3.Connection, data: Data, rows: range) -> None:
        captions = data.captions.take(np.arange(rows.start, rows.stop))
        with base:
            base.executemany(
                "insert into captions(rowid, content) values (?, ?)",
                zip(rows, captions, strict=True),
            )
        base.close()

    def asked(self, data: Data) -> Sequence[Any]:
        """Return what it is asked."""
        return data.prompts["long"]

    def query(self, query: str) -> np.ndarray:
        """Return the best of a disjunction."""
        wanted = " OR ".join(f'"{word}"' for word in words(query))
        select = "select rowid from captions where captions match ? order by rank limit ?"
        return np.array([row for (row,) in self.base.execute(select, (wanted, TOP))], np.int64)


PARTS: dict[str, Any] = {
    "exact": Exact, "ivfpq": IvfPq, "hnsw": Hnsw,
    "lance-ivfpq": LanceVectors, "usearch-f16": UsearchHalf, "usearch-i8": UsearchByte,
    "tfidf": Tfidf, "bm25": Bm25, "matrix": Matrix,
    "tantivy": Tantivy, "fts5": Fts5, "lance-fts": LanceText,
}  # fmt: skip
TEXT = ("tfidf", "bm25", "matrix", "tantivy", "fts5", "lance-fts")

"""Engines of text: untrain's retrievers, a sparse matrix, tantivy and SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from drawn import TOP, Data
from untrain.search.retrieve.inverted import best
from untrain.search.retrieve.postings import words
from untrain.search.retrieve.text import TEXT_RETRIEVERS


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

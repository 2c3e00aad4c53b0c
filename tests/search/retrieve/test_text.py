"""TF-IDF is scikit-learn's, BM25 is its formula; both survive the disk and say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import log
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.helpers.captions import captions
from untrain.core.errors import InputError
from untrain.search.retrieve.text import (
    TEXT_RETRIEVERS,
    Bm25Retriever,
    Retriever,
    TfidfRetriever,
    words,
)

KINDS = [TfidfRetriever, Bm25Retriever]
Make = Callable[[], Retriever]


@given(st.text(max_size=60))
def test_words_are_those_of_scikit_learn(text: str) -> None:
    assert words(text) == TfidfVectorizer().build_analyzer()(text)


def test_bm25_is_its_formula_worked_by_hand() -> None:
    texts = ["red red hat", "blue hat", "red shoe for men in summer"]
    prompt, k1, b = "red hat hat", 1.5, 0.75
    lengths = [len(text.split()) for text in texts]
    expected = np.zeros(3)
    for word in prompt.split():
        found = sum(word in text.split() for text in texts)
        idf = log(1 + (3 - found + 0.5) / (found + 0.5))
        for row, text in enumerate(texts):
            tf = text.split().count(word)
            norm = k1 * (1 - b + b * lengths[row] / np.mean(lengths))
            expected[row] += idf * tf / (tf + norm)
    retriever = Bm25Retriever().fit(texts)
    scores = retriever.similarity([prompt], np.array([[0, 1, 2]]))
    np.testing.assert_allclose(scores[0], expected, rtol=1e-6)


def test_bm25_scores_are_those_of_bm25s() -> None:
    texts, prompts = captions(300), ["red hat for men", "striped SHOE, 2012", "winter winter"]
    model = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    model.index(bm25s.tokenize(texts, stopwords=[], show_progress=False), show_progress=False)
    positions, scores = Bm25Retriever().fit(texts).query(prompts, 300)
    for row, prompt in enumerate(prompts):
        known = [word for word in words(prompt) if word in model.vocab_dict]
        np.testing.assert_allclose(scores[row], model.get_scores(known)[positions[row]], rtol=1e-6)
        assert (np.diff(scores[row]) <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_similarity_of_any_caption_is_the_score_it_is_found_with(kind: Make) -> None:
    retriever = kind().fit(captions(80))
    positions, scores = retriever.query(["red hat", "blue shoe 2011"], 80)
    np.testing.assert_array_equal(
        retriever.similarity(["red hat", "blue shoe 2011"], positions), scores
    )
    assert (retriever.similarity(["zeppelin", ""], positions[:, :3]) == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_index_answers_as_the_saved_one(kind: Make, tmp_path: Path) -> None:
    retriever = kind().fit([*captions(200), "Überzieher, été"])
    retriever.save(tmp_path / "index")
    loaded = kind().load(tmp_path / "index")
    for prompt in ("red hat 2012", "été überzieher"):
        for one, other in zip(
            retriever.query([prompt], 20), loaded.query([prompt], 20), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_a_loaded_index_needs_no_scikit_learn(tmp_path: Path) -> None:
    import subprocess
    import sys

    TfidfRetriever().fit(captions(20)).save(tmp_path / "index")
    code = (
        "import sys; from pathlib import Path;"
        "from untrain.search.retrieve.text import TfidfRetriever as T;"
        f"T.load(Path({str(tmp_path / 'index')!r})).query(['red'], 1);"
        "print({'sklearn', 'scipy', 'bm25s'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_is_damaged_absent_or_of_another_version_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    TfidfRetriever().fit(captions(50)).save(folder)
    with pytest.raises(InputError, match="'tfidf' of version 1; expected 'bm25'"):
        Bm25Retriever.load(folder)
    parts = (folder / "parts.npy").read_bytes()
    (folder / "parts.npy").write_bytes(parts[:-8])
    with pytest.raises(InputError, match=r"cannot be read .* delete it"):
        TfidfRetriever.load(folder)
    (folder / "parts.npy").write_bytes(parts)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "version": 99}))
    with pytest.raises(InputError, match="version 99"):
        TfidfRetriever.load(folder)
    (folder / "meta.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        TfidfRetriever.load(folder)
    with pytest.raises(InputError, match="cannot be read"):
        TfidfRetriever.load(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_that_cannot_be_answered_are_said(kind: Make) -> None:
    retriever = kind().fit(["red hats", "blue shoes"])
    for prompt, found in {
        " ": "a prompt is empty",
        "!": "has no words",
        "shose": "did you mean 'shoes'",
        "zeppelin": "expected words that captions use",
    }.items():
        with pytest.raises(InputError, match=found):
            retriever.query(["red", prompt], 1)
    with pytest.raises(InputError, match="cannot be indexed"):
        kind().fit(["!", "?"])
    with pytest.raises(InputError, match="did you mean 'bm25'"):
        TEXT_RETRIEVERS["bm52"]

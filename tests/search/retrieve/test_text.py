"""TF-IDF is scikit-learn's, BM25 is its formula; both survive the disk and say what is wrong."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from math import log
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.helpers.captions import captions
from untrain.core.errors import InputError
from untrain.core.marks import mark
from untrain.search.retrieve import inverted, postings
from untrain.search.retrieve.inverted import best
from untrain.search.retrieve.postings import words
from untrain.search.retrieve.text import (
    TEXT_RETRIEVERS,
    Bm25Retriever,
    Retriever,
    TfidfRetriever,
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


def former(texts: list[str], prompt: str) -> np.ndarray:
    """Scores by scikit-learn's matrix, word by word: what TF-IDF is here, to the last bit."""
    vectorizer = TfidfVectorizer()
    columns = vectorizer.fit_transform(texts).tocsc()
    known = [vectorizer.vocabulary_.get(word) for word in sorted(words(prompt))]
    counts = Counter(word for word in known if word is not None)
    weights = {word: count * vectorizer.idf_[word] for word, count in counts.items()}
    length = sum(weight**2 for weight in weights.values()) ** 0.5
    scores = np.zeros(len(texts))
    for word, weight in weights.items():
        of_word = slice(columns.indptr[word], columns.indptr[word + 1])
        scores[columns.indices[of_word]] += weight / length * columns.data[of_word]
    return scores


@pytest.fixture
def never_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few captions there are, most of them must be left out unseen."""
    for name, value in {"DENSE": 0, "FEW": 0, "SAMPLED": 2, "JOINED": 0}.items():
        monkeypatch.setattr(inverted, name, value)


@pytest.mark.usefixtures("never_all")
@pytest.mark.parametrize("top", [1, 7, 100])
def test_tfidf_is_the_whole_matrix_to_the_last_bit(top: int) -> None:
    texts = captions(900, longest=14)
    retriever = TfidfRetriever().fit(texts)
    for prompt in ("red hat", "men", "summer shoe 2012 blue blue bag", "striped w7 w300"):
        positions, scores = retriever.query([prompt], top)
        expected = former(texts, prompt)
        np.testing.assert_array_equal(positions[0], best(expected, top))
        np.testing.assert_array_equal(scores[0], expected[positions[0]])


TEXTS = st.lists(
    st.lists(st.sampled_from(["aa", "bb", "cc", "dd", "ee", "ff"]), max_size=5).map(" ".join),
    min_size=1,
    max_size=30,
)


@pytest.mark.usefixtures("never_all")
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 40))
def test_what_is_added_bit_by_bit_answers_as_what_is_indexed_at_once(
    kind: Make, added: list[list[str]], top: int
) -> None:
    every = ["aa bb cc", *(text for texts in added for text in texts)]
    grown = kind().fit(["aa bb cc"])
    for texts in added:
        grown.add(texts)
    whole = kind().fit(every)
    for prompt in ("aa", "bb cc dd", "ee ee ff aa bb cc dd"):
        if not set(words(prompt)) & set(words(" ".join(every))):
            continue
        positions, scores = grown.query([prompt], top)
        of_all = whole.similarity([prompt], np.arange(len(every))[None])[0]
        np.testing.assert_array_equal(positions[0], best(of_all, min(top, len(every))))
        np.testing.assert_array_equal(scores[0], of_all[positions[0]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("never_all")
def test_what_grew_is_kept_without_copying_what_was_there(kind: Make, tmp_path: Path) -> None:
    first, more = captions(300), captions(20, seed=1)
    kind().fit(first).save(tmp_path / "before")
    kind.load(tmp_path / "before").add(more).save(tmp_path / "after")  # type: ignore[attr-defined]
    names = ("words-0.npy", "captions-0.npy", "parts-0.npy")
    for name in names:
        assert (tmp_path / "after" / name).samefile(tmp_path / "before" / name)
    shutil.rmtree(tmp_path / "before")
    grown = kind.load(tmp_path / "after")  # type: ignore[attr-defined]
    whole = kind().fit([*first, *more])
    for one, other in zip(grown.query(["red hat"], 9), whole.query(["red hat"], 9), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [TfidfRetriever, Bm25Retriever])
@pytest.mark.parametrize("dense", [0, 10**6])
def test_an_index_grows_by_captions_between_the_others(
    kind: type[Retriever], dense: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DENSE": dense, "FEW": 0, "SAMPLED": 2, "JOINED": 0}.items():
        monkeypatch.setattr(inverted, name, value)
    texts = captions(500)  # of few words, so that many are equal
    texts[7] = texts[9] = ""
    there = np.random.default_rng(3).random(500) < 0.9
    kind().fit([text for text, kept in zip(texts, there, strict=True) if kept]).save(tmp_path / "a")
    grown = kind.grown(tmp_path / "a", texts)
    assert grown is not None
    grown.save(tmp_path / "b")
    whole, prompts = kind().fit(texts), ["red hat", "men 2012 women", "striped bag summer shoe"]
    for index in (grown, kind.load(tmp_path / "b")):
        for one, other in zip(index.query(prompts, 40), whole.query(prompts, 40), strict=True):
            np.testing.assert_array_equal(one, other)
        some = np.array([[3, 7, 499]] * 3)
        np.testing.assert_array_equal(
            index.similarity(prompts, some), whole.similarity(prompts, some)
        )
    assert kind.grown(tmp_path / "b", [*texts[1:], "a caption in place of the first"]) is None
    assert kind.grown(tmp_path / "b", texts[1:]) is None
    assert kind.grown(tmp_path / "b", texts * 3) is None
    again = kind.grown(tmp_path / "b", [*texts, "red", "red"])
    assert again is not None
    whole = kind().fit([*texts, "red", "red"])
    np.testing.assert_array_equal(again.query(["red"], 9)[0], whole.query(["red"], 9)[0])


def test_small_additions_are_joined_so_that_segments_stay_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = captions(400)
    retriever = TfidfRetriever().fit(texts[:200])
    for start in range(200, 400, 4):
        retriever.add(texts[start : start + 4])
    assert len(retriever._segments) <= 5
    monkeypatch.setattr(postings, "SEGMENT", 90)
    monkeypatch.setattr(inverted, "SEGMENT", 90)
    several = TfidfRetriever().fit(texts)
    assert [len(segment) for segment in several._segments] == [90, 90, 90, 90, 40]
    for one, other in zip(
        retriever.query(["red hat"], 30), several.query(["red hat"], 30), strict=True
    ):
        np.testing.assert_array_equal(one, other)


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
    with pytest.raises(InputError, match="'tfidf' of version 2; expected 'bm25'"):
        Bm25Retriever.load(folder)
    for name in ("parts-0", "starts-0", "idf"):
        whole = (folder / f"{name}.npy").read_bytes()
        (folder / f"{name}.npy").write_bytes(whole[:-8])
        with pytest.raises(InputError, match=r"cannot be read .* delete it"):
            TfidfRetriever.load(folder)
        (folder / f"{name}.npy").write_bytes(whole)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "version": 99}))
    mark(folder, checksums=True)  # as another version would have written it
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

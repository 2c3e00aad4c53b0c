"""Digests are found in the row that a dictionary would give."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from untrain.core.digests import DigestTable, digests_of

# Few values a word, so that digests often share the first one, or all four.
words = st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=12)


@given(st.lists(words, max_size=4), words)
def test_the_first_row_of_a_digest_is_found(parts: list, asked: list) -> None:
    table = DigestTable()
    for part in parts:
        table.extend(np.array(part, np.uint64).reshape(-1, 4))
    added = [digest for part in parts for digest in part]
    rows = [added.index(digest) if digest in added else -1 for digest in asked]
    assert len(table) == len(added)
    assert table.find(np.array(asked, np.uint64).reshape(-1, 4)).tolist() == rows


def test_hashes_of_any_text_have_digests() -> None:
    sha = hashlib.sha256(b"a").hexdigest()
    np.testing.assert_array_equal(
        digests_of([sha]), np.frombuffer(bytes.fromhex(sha), np.uint64)[None]
    )
    mixed = digests_of([sha, "12", "z" * 64, ""])
    assert mixed.shape == (4, 4)
    assert len(np.unique(mixed, axis=0)) == 4
    np.testing.assert_array_equal(mixed[:1], digests_of([sha]))
    assert digests_of([]).shape == (0, 4)

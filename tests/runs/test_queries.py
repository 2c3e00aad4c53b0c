from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from untrain.core.errors import InputError
from untrain.generators.queries import Queries
from untrain.runs.queries import (
    read_queries,
    read_redrawn,
    read_references,
    write_prompts,
    write_queries,
    write_redrawn,
)

TEXTS = {"p00": "a red, long dress", "p01": "nan"}
KEYS = (("p00", 0), ("p00", 1), ("p01", 0))
ROWS = np.random.default_rng(0)


def queries(keys: tuple[tuple[str, int], ...] = KEYS) -> Queries:
    pictures = ROWS.integers(0, 256, (len(keys), 5, 4, 3)).astype(np.uint8)
    return Queries(keys, TEXTS, list(pictures), ROWS.random((len(keys), 6)).astype(np.float32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = pd.DataFrame({"prompt_id": list(TEXTS), "prompt": list(TEXTS.values())})
    write_prompts(tmp_path, table.assign(family="", role="query", seen=False))
    return tmp_path


def test_queries_come_back_as_they_were(folder: Path) -> None:
    written, references = queries(), queries((("p00", 2), ("p01", 1)))
    write_queries(folder, written, references)
    found = read_queries(folder)
    assert found.keys == KEYS and found.texts == TEXTS
    assert found.prompts == ["a red, long dress"] * 2 + ["nan"]
    np.testing.assert_array_equal(np.stack(list(found.pictures)), np.stack(written.pictures))
    assert found.samples is not None
    np.testing.assert_array_equal(found.samples, written.samples)
    for found_one, one in zip(read_references(folder, TEXTS), references.pictures, strict=True):
        np.testing.assert_array_equal(found_one, one)


def test_given_pictures_have_no_samples(folder: Path) -> None:
    written = queries()
    write_queries(folder, Queries(written.keys, TEXTS, written.pictures))
    assert read_queries(folder).samples is None


def test_what_another_model_drew_is_aligned_with_the_queries(folder: Path) -> None:
    asked = queries()
    again = queries(asked.keys[::-1])
    write_redrawn(folder, "B00", again)
    found = read_redrawn(folder, "B00", asked)
    np.testing.assert_array_equal(np.stack(found[1:]), np.stack(again.pictures)[::-1][1:])


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no generated pictures yet"):
        read_queries(tmp_path)


def test_some_queries_keep_their_order_and_prompts() -> None:
    whole = queries()
    some = whole.of("p01", "p00")
    assert some.keys == (("p01", 0), ("p00", 0), ("p00", 1)) and list(some.texts) == ["p01", "p00"]
    assert [prompt_id for prompt_id, _ in whole.by_prompt()] == ["p00", "p01"]

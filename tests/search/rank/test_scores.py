"""A user's own scores become a ranking, or a message that says what is wrong with them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from untrain.core.errors import InputError
from untrain.search.rank.ranking import rank
from untrain.search.rank.scores import read_scores

IDS = ["007", "008", "009"]
PROMPTS = pd.DataFrame(
    {
        "prompt_id": ["p0", "p1", "c0"],
        "prompt": ["a red shirt", "nan", "a bag"],
        "role": ["query", "query", "control"],
    }
)
GOOD = pd.DataFrame(
    {
        "prompt_id": ["p0", "p0", "p1", "p0"],
        "image_id": ["007", "009", "008", "008"],
        "score": [0.5, 2.0, -1.0, 0.5],
    }
)


def written(folder: Path, table: pd.DataFrame, name: str = "scores.parquet") -> Path:
    path = folder / name
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_the_highest_score_comes_first_and_ids_keep_their_zeros(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, GOOD.assign(method="trak"), name)
    ranked = rank(f"scores:{path}", pd.DataFrame(), prompts=PROMPTS, ids=IDS).table
    assert list(ranked.columns) == ["method", "prompt_id", "image_id", "score", "rank"]
    assert set(ranked["method"]) == {f"scores:{path}"}
    assert ranked["image_id"].tolist() == ["009", "007", "008", "008"]
    assert ranked["rank"].tolist() == [1, 2, 3, 1]


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_prompts_may_be_given_by_their_text(tmp_path: Path, name: str) -> None:
    texts = GOOD["prompt_id"].map(dict(zip(PROMPTS["prompt_id"], PROMPTS["prompt"], strict=True)))
    by_text = GOOD.drop(columns="prompt_id").assign(prompt=texts)
    expected = read_scores(written(tmp_path, GOOD), PROMPTS, IDS).table
    found = read_scores(written(tmp_path, by_text, name), PROMPTS, IDS).table
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_id": ["p0", "p0", "p1", "p9"]}, r"1 prompt_id not among .*'p9'"),
        (
            {"image_id": ["007", "009", "008", "08"]},
            r"1 image not .*'08' — did you mean '008'",
        ),
        ({"image_id": [7, 9, 8, 8]}, r"3 images not among .*'7'"),
        (
            {"score": [0.5, np.nan, 1, 1]},
            r"1 of 4 scores .* finite number, first 'nan' of .*009",
        ),
        ({"score": [0.5, np.inf, 1, 1]}, r"1 of 4 scores are no finite number, first 'inf'"),
        ({"score": ["high", "1", "2", "3"]}, r"first 'high' of prompt 'p0', image '007'"),
        ({"image_id": ["007", "009", "008", "007"]}, r"1 pairs .* more than one score.*'007'"),
        ({"prompt_id": ["p0"] * 4, "image_id": [*IDS, "007"]}, r"more than one score"),
        ({"method": ["trak", "trak", "trak", "tracin"]}, r"'tracin', 'trak'; write one file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, list], message: str) -> None:
    path = written(tmp_path, GOOD.assign(**change))
    with pytest.raises(InputError, match=message):
        read_scores(path, PROMPTS, IDS)


def test_every_query_needs_a_score_and_no_control_does(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD[GOOD["prompt_id"] == "p0"])
    with pytest.raises(InputError, match="prompt 'p1' has no score"):
        read_scores(path, PROMPTS, IDS)


@pytest.mark.parametrize("column", ["prompt_id", "image_id", "score"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    path = written(tmp_path, GOOD.drop(columns=column))
    with pytest.raises(InputError, match=rf"(?s)has no column {column}.*expected prompt_id"):
        read_scores(path, PROMPTS, IDS)


def test_a_text_of_two_prompts_needs_ids(tmp_path: Path) -> None:
    twice = PROMPTS.assign(prompt="a red shirt")
    path = written(tmp_path, GOOD.drop(columns="prompt_id").assign(prompt="a red shirt"))
    with pytest.raises(InputError, match="more than one prompt: use prompt_id"):
        read_scores(path, twice, IDS)


@pytest.mark.parametrize("name", ["absent.parquet", "broken.parquet", "empty.csv"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    if name != "absent.parquet":
        (tmp_path / name).write_bytes(b"" if name == "empty.csv" else b"PAR1 not")
    with pytest.raises(InputError, match=name):
        read_scores(tmp_path / name, PROMPTS, IDS)

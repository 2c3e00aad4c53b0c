"""Effects held against each other, in words; older runs have none."""

from __future__ import annotations

import pandas as pd

from tests.helpers.reports import TRIAL, effects
from untrain.report.answer import effect_sentences
from untrain.report.tables.differences import difference_rows, difference_sentence

DIFFERENCE, INCREMENT = "randomised-difference", "randomised-increment"


def answer(effects: pd.DataFrame) -> str:
    return " ".join(effect_sentences(effects))


def with_comparisons(difference: float) -> pd.DataFrame:
    more = effects(
        (DIFFERENCE, "targeted", None, "nll", difference, 0.1, 0.3, 0.01, 10),
        (INCREMENT, "targeted", None, "nll", 0.5, 0.4, 0.6, 0.001, 100),
        (INCREMENT, "targeted", None, "reference_cosine", 0.5, 0.4, 0.6, 0.001, 100),
    ).assign(two_sided_p=[0.02, 0.002, 0.002], control=["random_uniform", None, None])
    return pd.concat([TRIAL, more])


def test_the_answer_says_how_much_more_than_random_images() -> None:
    text = answer(with_comparisons(0.2)).replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "is 0.20 larger than that of as many random images (95 % interval 0.10–0.30, p = 0.02)."
        in text
    )
    assert "0.20 smaller than" in answer(with_comparisons(-0.2))


def test_each_comparison_says_what_is_compared() -> None:
    assert difference_rows(with_comparisons(0.2)) == [
        (
            "the 10 images found for a prompt, beyond 10 random images",
            "0.200",
            "0.100–0.300",
            "0.02",
        ),
        ("the 100 images found, beyond the first 10 of them", "0.500", "0.400–0.600", "0.002"),
    ]


def test_runs_without_comparisons_say_nothing_of_them() -> None:
    assert difference_rows(TRIAL) == []
    assert difference_sentence(TRIAL) == ""

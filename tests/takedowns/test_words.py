"""The answer in short says what was found, what was not, and of how many, in whole sentences."""

from __future__ import annotations

from typing import Any

import pytest

from untrain.report.takedown import Told, in_short, recall_rows, shown, wrongly_found


def record(run: bool = True, **counts: int) -> dict[str, Any]:
    known = dict.fromkeys(
        ("found", "not_found", "in_training", "only_held_out", "only_unused", "to_decide"), 0
    )
    return {
        "run": {"training_images": 1200} if run else None,
        "found": {"about": {"images": 1250}},
        "counts": {"pictures": 5, "removed": 0} | known | counts,
        "influence": None,
        "trial": None,
        "removal": None,
        "after": None,
    }


def short(of: dict[str, Any]) -> list[str]:
    return [sentence.striptags() for sentence in in_short(Told(of))]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {"found": 0, "not_found": 5},
            [
                "No copy of any of the 5 pictures that were sent was found among the 1,250 images "
                "that were searched. What is nearest is shown below: please look at it."
            ],
        ),
        (
            {"found": 4, "not_found": 1, "in_training": 3, "only_held_out": 1},
            [
                "3 of the 5 pictures that were sent, or copies of them, are among the 1,200 images "
                "that the model was trained on.",
                "1 of the 5 pictures that were sent was set aside before the training, to test the "
                "model with: the model never saw it.",
                "Of 1 of the 5 pictures that were sent no copy was found; what is nearest is shown "
                "below.",
            ],
        ),
        (
            {"pictures": 1, "found": 1, "in_training": 1},
            [
                "The picture that was sent, or a copy of it, is among the 1,200 images that the "
                "model was trained on."
            ],
        ),
        (
            {"pictures": 1, "found": 1, "only_held_out": 1},
            [
                "The picture that was sent is not among the 1,200 images that the model was "
                "trained on.",
                "The picture that was sent was set aside before the training, to test the model "
                "with: the model never saw it.",
            ],
        ),
    ],
)
def test_what_was_found_is_said_in_short(counts: dict[str, int], expected: list[str]) -> None:
    assert short(record(**counts)) == expected


def test_a_number_is_shown_for_people() -> None:
    assert shown(None, "three") == "unknown"
    assert shown(-0.00001, "three") == "0.000"
    assert shown(12345, "whole") == "12,345"
    assert shown(1.0, "p") == "1.000"
    assert shown(0.00099, "percent") == "0.1 %" and shown(1.0, "percent") == "100 %"


def test_what_was_measured_of_the_search_is_said_by_kind() -> None:
    rates = [("cropped", 0.5), ("cropped", 0.9), ("mirrored", 1.0)]
    recall = [{"kind": kind, "rate": rate} for kind, rate in rates]
    told = Told({"found": {"about": {"detector": {"recall": recall}}}})
    rows = [(kind, share.striptags()) for kind, share in recall_rows(told)]
    assert rows == [("cropped", "50 % to 90 %"), ("mirrored", "100 %")]
    counted = {"kind": "cropped", "found": 11, "n": 12, "rate": 0.9167}
    wrong = {"wrong": 1, "n": 441, "rate": 0.0023}
    about = {"detector": {"recall": [counted], "false_positives": wrong}}
    told = Told({"found": {"about": about}})
    assert recall_rows(told)[0][1].striptags() == "11 of 12 (91.7 %)"
    said = wrongly_found(told)
    assert said and said.striptags() == "1 of 441 (0.2 %)"

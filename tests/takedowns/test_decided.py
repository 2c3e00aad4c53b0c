"""What a person decided reaches the list, the counts, the sentences and the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import untrain
from tests.helpers.experiments import one_thread, quiet  # noqa: F401 - fixtures
from tests.helpers.requests import pictures_of, stranger, write_request
from untrain.core.errors import InputError
from untrain.takedowns import answer
from untrain.takedowns.deciding import removed_ids
from untrain.takedowns.finding import Found, Match
from untrain.takedowns.record import counts, counts_before

NOBODY: dict[str, list[str]] = {"not_copies": [], "also": []}


def match(picture: str, image_id: str, verdict: str, part: str = "training") -> dict[str, Any]:
    copy = verdict == "copy"
    return {
        "picture": picture,
        "image_id": image_id,
        "verdict": verdict,
        "copy": copy,
        "part": part,
    }


MATCHES = [
    match("a", "1", "copy"),
    match("b", "2", "copy_or_variant"),
    match("c", "3", "similar"),
    match("c", "4", "similar"),
]


@pytest.mark.parametrize(
    ("decisions", "expected", "ids"),
    [
        (NOBODY, (1, 1, 1, 1), ["1"]),
        ({"not_copies": [], "also": ["2"]}, (2, 0, 1, 0), ["1", "2"]),
        ({"not_copies": ["2"], "also": []}, (1, 0, 2, 0), ["1"]),
        ({"not_copies": ["1"], "also": ["3"]}, (1, 1, 1, 1), ["3"]),
    ],
)
def test_found_to_decide_and_not_found_add_up(
    decisions: dict[str, list[str]], expected: tuple[int, ...], ids: list[str]
) -> None:
    found = counts(3, 0, MATCHES, len(ids), decisions)
    names = ("found", "undecided", "not_found", "to_decide")
    assert tuple(found[name] for name in names) == expected
    assert sum(expected[:3]) == 3
    assert removed_ids(MATCHES, decisions) == ids


def test_an_image_that_no_model_saw_is_theirs_but_needs_no_removal() -> None:
    held = [match("a", "9", "copy_or_variant", "held-out")]
    also = {"not_copies": [], "also": ["9"]}
    assert counts(1, 0, held, 0, also)["only_held_out"] == 1
    assert removed_ids(held, also) == []


def test_the_counts_of_older_records_are_what_they_were() -> None:
    assert counts_before(3, 0, MATCHES, 1) == {
        "pictures": 3,
        "unreadable": 0,
        "found": 1,
        "not_found": 2,
        "in_training": 1,
        "only_held_out": 0,
        "only_unused": 0,
        "training_images": 1,
        "to_decide": 1,
        "removed": 1,
    }


def test_an_undecided_image_can_be_settled_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = untrain.load_catalog("rendered", families=4, size_of_family=3)
    letter = write_request(tmp_path / "letter", {**pictures_of(catalog, 1), "x.png": stranger()})
    open_id, numbers = catalog.ids[7], ("score", "agreement", "share", "scale", "angle")
    variant = Match(
        picture="x.png",
        image_id=open_id,
        part="training",
        kind="recoloured",
        verdict="copy_or_variant",
        copy=False,
        by_way_of="",
        content="0",
        **{"caption": "", **dict.fromkeys(numbers)},
    )
    search = answer.find

    def found_too(*arguments: Any) -> Found:
        found = search(*arguments)
        own = tuple(m for m in found.matches if m.picture != "x.png")
        return Found((*own, variant), found.about)

    monkeypatch.setattr(answer, "find", found_too)

    def ask(**decisions: list[str]) -> untrain.api.requested.Takedown:
        return untrain.takedown(letter, catalog=catalog, out=tmp_path / "out", **decisions)

    def told(**decisions: list[str]) -> tuple[list[str], str, str]:
        found = ask(**decisions)
        assert found.verify(request=letter).passed
        return found.ids, " ".join(found.short), found.report.read_text(encoding="utf-8")

    first = catalog.ids[0]
    ids, short, page = told()
    assert ids == [first]
    assert "a person has to decide. Until then 1 of the 2 pictures that were sent counts" in short
    assert "no copy was found" not in short
    assert "looks like a copy: recoloured; not counted" in page
    ids, short, page = told(also=[open_id])
    assert ids == sorted([first, open_id])
    assert "All 2 pictures that were sent" in short and "has to decide" not in short
    assert "decided: 1 image is theirs." in short
    assert "a person decided: theirs" in page and "not counted" not in page
    ids, short, page = told(not_copies=[open_id])
    assert ids == [first]
    assert "Of 1 of the 2 pictures that were sent no copy was found" in short
    assert "A person decided that this is not the picture that was sent" in page
    assert "a person decided: not theirs" in page and "has to decide" not in short
    with pytest.raises(InputError, match="both theirs and not theirs"):
        ask(also=[open_id], not_copies=[open_id])

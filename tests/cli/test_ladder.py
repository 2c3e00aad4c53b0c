"""``untrain ladder``: what it says, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain

ASKED = ("--methods", "nothing", "--methods", "ascent:rate=0.02", "--budgets", "0.05")
FEW = ("--seeds", 1, "--targeted", 1, "--random", 0, "--family", 0)


@pytest.mark.slow
def test_a_ladder_is_planned_and_climbed(untrain: Untrain, micro_copy: Callable[..., Path]) -> None:
    folder = micro_copy()
    said = untrain("ladder", folder, *ASKED, *FEW, "--plan")
    assert said.code == 0, said.err
    assert "2 models, 2 to make and measure" in said.out
    assert not (folder / "ladder").exists()
    said = untrain("-q", "ladder", folder, *ASKED, *FEW)
    assert said.code == 0, said.err
    assert "ascent:rate=0.02" in said.out and "5.0%" in said.out
    said = untrain("-q", "ladder", folder, *ASKED, *FEW, "--json")
    rows = json.loads(said.out)
    assert {row["method"] for row in rows} == {"nothing", "ascent:rate=0.02"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--budgets", "0"], "found 0"),
        (["--budgets", "half"], "shares of a training"),
        (["--methods", "acsent"], "did you mean 'ascent'"),
        (["--methods", "ascent:rat=1"], "did you mean 'rate'"),
        (["--sets", "nowhere.txt"], "cannot read the image id file"),
    ],
)
def test_what_cannot_be_is_refused(
    untrain: Untrain, micro_copy: Callable[..., Path], options: list[object], says: str
) -> None:
    folder = micro_copy()
    said = untrain("ladder", folder, *options)
    assert said.code == 2
    assert says in said.err
    assert not (folder / "ladder").exists()


def test_a_run_must_be_there(untrain: Untrain) -> None:
    said = untrain("ladder", "nowhere")
    assert said.code == 2
    assert "neither a run folder" in said.err

"""The harness that damages files: a few of its cases hold."""

from __future__ import annotations

import pytest

import damage_made
from damage import measure


@pytest.mark.slow
def test_a_few_damaged_files_are_noticed_and_made_again() -> None:
    found = measure(count=3)
    assert not found["not_held"]
    assert sum(row[1] for row in found["rows"] if row[0].endswith("cases")) == 3


@pytest.mark.slow
def test_what_no_stage_made_is_made_again_by_the_command_that_is_told() -> None:
    found = damage_made.measure(count=6)
    assert not found["not_held"]
    assert found["rows"][-1][1:] == [6, 6, 6]

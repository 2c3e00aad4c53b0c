"""The harness that damages files: a few of its cases hold."""

from __future__ import annotations

import pytest

from damage import measure


@pytest.mark.slow
def test_a_few_damaged_files_are_noticed_and_made_again() -> None:
    found = measure(count=3)
    assert not found["not_held"]
    assert sum(row[1] for row in found["rows"] if row[0].endswith("cases")) == 3

"""An invented run for the tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.reports import make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run folder."""
    return make_run(tmp_path / "run")

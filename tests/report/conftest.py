"""An invented run for the tests of the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.reports import make_run
from untrain.report.figures import STYLE


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run folder."""
    return make_run(tmp_path / "run")


@pytest.fixture(autouse=True, scope="session")
def quick_pdf() -> Iterator[None]:
    """Spare the tests the thinning of fonts, half of what a small figure takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STYLE, "pdf.fonttype", 3)
        yield

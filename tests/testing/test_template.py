"""The template of a generator keeps the contract as it stands, gradients included."""

from __future__ import annotations

import pytest

from untrain.generators.template import MyModel
from untrain.testing import check_generator


@pytest.mark.slow
def test_the_template_passes_every_check() -> None:
    report = check_generator(MyModel)
    assert report.names("skipped") == ["fit_needs_no_pictures"]

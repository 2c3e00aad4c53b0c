"""Where a test runs: it takes the fixture ``where`` and is a test for each place."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def where(request: pytest.FixtureRequest) -> str:
    """The kind of device that models are on in this test; skipped where they are not."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU, or it is hidden: pytest -m gpu")
    if request.param == "cpu" and torch.cuda.is_available():
        pytest.skip("a GPU is visible, and models go there")
    return str(request.param)

"""What attributors may look at of a finished run; checkpoints only where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.settings import MICRO
from untrain.attribution.registry import make_attributor
from untrain.runs.evidence import fitted_model, run_evidence
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.settings.load import load_config


def test_a_training_is_recorded_on_request_and_then_kept(
    micro_copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    folder = micro_copy()
    run = Run(load_config(MICRO, ["workers=1"], runs=folder.parent))
    model, queries = fitted_model(run), read_queries(folder)
    tracin = make_attributor("tracin")
    assert "made on request" in str(tracin.missing(run_evidence(run, queries, model=model)))
    evidence = run_evidence(run, queries, model=model, checkpoints=True)
    scores = tracin.scores(evidence)
    assert scores.values.shape == evidence.shape and np.isfinite(scores.values).all()
    again = run_evidence(run, queries, model=model)  # the cache has it
    np.testing.assert_array_equal(tracin.scores(again).values, scores.values)
    assert tracin.missing(run_evidence(run, queries)) is not None  # without a model

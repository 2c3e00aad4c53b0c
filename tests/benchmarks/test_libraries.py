"""Other libraries score an exported benchmark from its files; those not installed are left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import libraries
from tests.helpers.banks import make_bank
from untrain import Benchmark
from untrain.banks.benchmark.write import write_benchmark
from untrain.runs.run import open_run


@pytest.fixture(scope="module")
def folder(micro_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark of a finished run."""
    place = tmp_path_factory.mktemp("libraries")
    shutil.copytree(micro_run, place / "micro", ignore=shutil.ignore_patterns("thumbnails"))
    run = open_run(place / "micro")
    write_benchmark(run, make_bank(run), place / "benchmark", baselines=["text"])
    return place / "benchmark"


@pytest.mark.parametrize("method", libraries.METHODS)
def test_every_method_scores_all_pairs(
    folder: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (why := libraries.missing(method)) is not None:
        pytest.skip(why)
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    before = set(Path.cwd().iterdir())
    values, took = libraries.scores_of(method, folder)
    assert set(Path.cwd().iterdir()) == before  # what a library leaves behind, it leaves elsewhere
    benchmark = Benchmark(folder)
    assert values.shape == (len(benchmark.prompts), len(benchmark.catalog))
    assert np.isfinite(values).all() and values.std(axis=1).min() > 0
    assert took["seconds"] > 0


def test_what_is_missing_is_named() -> None:
    assert libraries.missing("no_such") == "this untrain has no such method"
    assert libraries.missing("nda") is None

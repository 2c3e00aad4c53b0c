"""``untrain benchmark`` writes a folder that scores are held to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.helpers.banks import make_bank, write_bank
from untrain.cli.benchmark import app
from untrain.core.errors import InputError
from untrain.core.progress import console
from untrain.runs.run import open_run


def test_a_run_becomes_a_benchmark_and_scores_are_held_to_it(
    micro_copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "quiet", True)
    run = open_run(micro_copy())
    write_bank(run, make_bank(run))
    out = tmp_path / "benchmark"
    call = ["export", str(run.folder), "-o", str(out), "--baseline", "text"]
    said = CliRunner().invoke(app, call, env={"COLUMNS": "150"})
    assert said.exit_code == 0, said.output
    assert "4 queries, 40 models of random halves" in said.output and "text" in said.output
    asked = run.prompts[run.prompts["role"] == "query"]["prompt"]
    rows = [
        (text, image, 1.0 * (n == 0)) for text in asked for n, image in enumerate(run.catalog.ids)
    ]
    scores = tmp_path / "scores.parquet"
    pd.DataFrame(rows, columns=["prompt", "image", "score"]).to_parquet(scores)
    call = ["score", str(out), str(scores), "--k", "3", "--name", "mine"]
    said = CliRunner().invoke(app, [*call, "--out", str(tmp_path / "r.csv")])
    assert said.exit_code == 0, said.output
    assert "mine" in said.output and "--json or --out FILE" in said.output
    assert set(pd.read_csv(tmp_path / "r.csv")["name"]) == {"mine", "text"}
    said = CliRunner().invoke(app, [*call, "--json"])
    assert {row["name"] for row in json.loads(said.output)} == {"mine", "text"}


def test_a_run_without_a_bank_is_refused_before_any_work(
    micro_copy: Callable[..., Path], tmp_path: Path
) -> None:
    said = CliRunner().invoke(app, ["export", str(micro_copy()), "-o", str(tmp_path / "b")])
    assert isinstance(said.exception, InputError) and "untrain bank" in str(said.exception)
    assert not (tmp_path / "b").exists()


def test_help_has_an_example() -> None:
    for command in ("export", "score"):
        assert "Example: untrain benchmark" in CliRunner().invoke(app, [command, "--help"]).output

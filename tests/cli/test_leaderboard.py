"""``untrain leaderboard`` prints the table and says what is missing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from tests.helpers.banks import make_bank, write_bank
from tests.helpers.settings import MICRO
from untrain.cli import leaderboard
from untrain.core.errors import InputError
from untrain.core.progress import console
from untrain.report.tables.leaderboard import leaderboard_table
from untrain.runs.leaderboard import COLUMNS, Leaderboard
from untrain.runs.run import Run, open_run

app = typer.Typer()
leaderboard.add_to(app)


@pytest.fixture
def folder(
    micro_copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "quiet", True)
    return micro_copy()


@pytest.mark.slow
def test_the_table_is_printed_and_kept(folder: Path) -> None:
    run = open_run(folder)
    write_bank(run, make_bank(run))
    call = [str(MICRO), "--set", "workers=1", "--k", "3", "--ranking", "metric:pixel_mse"]
    said = CliRunner().invoke(app, call, env={"COLUMNS": "150"})
    assert said.exit_code == 0, said.output
    assert "4 queries, 40 models of random halves" in said.output
    assert "metric:feature_cosine" in said.output
    assert "Leaderboard: runs/micro/results/leaderboard.md" in said.output.replace("\n", "")
    for name in ("parquet", "csv", "md"):
        assert (folder / "results" / f"leaderboard.{name}").stat().st_size > 0


def test_the_seed_draws_other_random_scores(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from untrain.banks import bank as parts
    from untrain.banks import leaderboard as module

    seeds = []

    def leaderboard_of(run: Run, *rest: object) -> None:
        seeds.append(run.config.seed)
        raise InputError("enough")

    monkeypatch.setattr(parts, "read_bank", lambda folder: None)
    monkeypatch.setattr(module, "leaderboard", leaderboard_of)
    for options in ([], ["--seed", "9"]):
        CliRunner().invoke(app, [str(MICRO), *options])
    assert seeds == [0, 9]


def test_the_table_fits_eighty_columns() -> None:
    row = dict.fromkeys(COLUMNS, -0.25) | {"kind": "metric"}
    names = ("metric:pixel_histogram_intersection", "text", "scores:" + "x" * 60)
    table = pd.DataFrame([row | {"name": name} for name in names])
    board = Leaderboard(
        table,
        name="mine",
        k=10,
        models=64,
        queries=16,
        images=1665,
        candidates=1665,
        reference="text",
        unit="bits/token",
    )
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(leaderboard_table(board, console.width))
    said = console.export_text()
    assert "pixel_histogram_intersection " in said  # not broken
    assert "-0.25 [-0.25, -0.25]" in said
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 80


def test_a_run_without_a_bank(folder: Path) -> None:
    said = CliRunner().invoke(app, [str(MICRO), "--set", "workers=1"])
    assert isinstance(said.exception, InputError)
    assert "untrain bank" in str(said.exception)


def test_help_has_an_example() -> None:
    said = CliRunner().invoke(app, ["--help"])
    assert "Example: untrain leaderboard" in said.output

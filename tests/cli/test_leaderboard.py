"""``untrain leaderboard`` prints the table and says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.conftest import MICRO
from tests.experiment.test_leaderboard import make_bank, write_bank
from untrain.cli import leaderboard
from untrain.errors import InputError
from untrain.experiment.run import open_run
from untrain.progress import console

app = typer.Typer()
leaderboard.add_to(app)


@pytest.fixture
def folder(
    micro_copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "quiet", True)
    return micro_copy()


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


def test_a_run_without_a_bank(folder: Path) -> None:
    said = CliRunner().invoke(app, [str(MICRO), "--set", "workers=1"])
    assert isinstance(said.exception, InputError)
    assert "untrain bank" in str(said.exception)


def test_help_has_an_example() -> None:
    said = CliRunner().invoke(app, ["--help"])
    assert "Example: untrain leaderboard" in said.output

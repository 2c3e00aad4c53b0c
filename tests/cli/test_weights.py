"""``untrain weights`` writes weights and says how good they are."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from tests.helpers.fitting import make_run
from untrain.cli import weights
from untrain.search.rank.weights import Weights

app = typer.Typer()
weights.add_to(app)


def test_weights_are_written_and_summarised(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "mine", noise=0.2), tmp_path / "weights.json"
    said = CliRunner().invoke(app, [str(run), "--out", str(out)])
    assert said.exit_code == 0, said.output
    assert "pixel_mse" in said.output
    assert "fitted on 36 sets of 12 prompts in 1 runs: mine" in said.output
    assert "on prompts left out: R²" in said.output
    assert "not in all runs: " in said.output
    assert Weights.load(out).weights["pixel_mse"] > 0

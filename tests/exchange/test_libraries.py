"""Scores and banks go to other libraries' files and come back; the figures stay the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.numpy import load_file
from scipy.stats import spearmanr
from typer.testing import CliRunner

import untrain
from tests.helpers.banks import make_bank, write_bank
from untrain import Benchmark
from untrain.banks.benchmark.write import write_benchmark
from untrain.cli import app
from untrain.core.errors import InputError
from untrain.exchange.asked import read_exchanged, slug
from untrain.exchange.libraries import dattri
from untrain.exchange.registry import EXCHANGES
from untrain.exchange.truth import score_truth
from untrain.runs.run import Run, open_run

SCORES = {
    "dattri": "scores/nda.pt",
    "kronfluence": "scores_nda/pairwise_scores.safetensors",
    "trak": "scores/nda.mmap",
    "quanda": "explanations/nda",
}


@pytest.fixture(autouse=True)
def any_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read here was written here: a PyTorch that is not safe for others' files may."""
    monkeypatch.setattr("untrain.core.given.SAFE_TORCH", "0")


@pytest.fixture(scope="module")
def run(micro_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    import shutil

    folder = tmp_path_factory.mktemp("runs") / "micro"
    shutil.copytree(micro_run, folder, ignore=shutil.ignore_patterns("thumbnails"))
    opened = open_run(folder)
    write_bank(opened, make_bank(opened))
    return opened


@pytest.fixture(scope="module")
def benchmark(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    made = tmp_path_factory.mktemp("benchmark") / "micro"
    write_benchmark(run, make_bank(run), made, baselines=("nda", "text"))
    return Benchmark(made)


@pytest.mark.parametrize("library", SCORES)
def test_what_is_written_for_a_library_is_read_back_and_scored_alike(
    library: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    out = tmp_path / library
    said = EXCHANGES[library](benchmark.folder, out)
    assert "40 models" in said and "nda, text" in said
    board = benchmark.score(out / SCORES[library], k=3).table.set_index("name")
    columns = ["lds", "lds_low", "effect"]
    pd.testing.assert_series_equal(
        board.loc["scores", columns], board.loc["nda", columns], check_names=False
    )
    names = pd.read_csv(out / "images.csv", dtype=str)["image_id"]
    assert tuple(names) == benchmark.catalog.ids
    assert "images.csv" in (out / "README.md").read_text()
    with pytest.raises(InputError, match="not an empty folder"):
        EXCHANGES[library](benchmark.folder, out)


def test_dattri_s_own_lds_is_that_of_the_bank(benchmark: Benchmark, tmp_path: Path) -> None:
    EXCHANGES["dattri"](benchmark.folder, tmp_path / "d")
    targets, indices, score = (
        torch.load(tmp_path / "d" / name, weights_only=True).numpy()
        for name in ("target_values_lds.pt", "indices_lds.pt", "scores/nda.pt")
    )
    # What dattri.metric.lds computes, line by line.
    sums = np.stack([score[rows].sum(axis=0) for rows in indices])
    by_query = [spearmanr(sums[:, q], targets[:, q]).statistic for q in range(sums.shape[1])]
    rows = benchmark.leaderboard("nda", k=3).table.set_index("name")
    assert np.mean(by_query) == pytest.approx(rows.loc["nda", "lds"], abs=1e-6)
    judged = score_truth(tmp_path / "d", tmp_path / "d" / "scores" / "nda.pt", k=3).table.loc[0]
    assert judged["lds"] == pytest.approx(rows.loc["nda", "lds"], abs=1e-6)
    assert judged["lds_low"] == pytest.approx(rows.loc["nda", "lds_low"], abs=1e-6)
    call = ["benchmark", "score", str(tmp_path / "d"), str(tmp_path / "d/scores/nda.pt"), "--json"]
    said = CliRunner().invoke(app, call)
    assert json.loads(said.output)[0]["lds"] == pytest.approx(judged["lds"])


def test_models_of_different_sizes_are_filled_up_so_that_nothing_is_added(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    asked = read_exchanged(benchmark.folder)
    assert asked.kept is not None
    asked.kept[0, np.flatnonzero(asked.kept[0])[:3]] = False
    said = dattri(asked, tmp_path)
    assert "row of zeros" in said[-1]
    score = torch.load(tmp_path / "scores" / "nda.pt", weights_only=True).numpy()
    rows = torch.load(tmp_path / "indices_lds.pt", weights_only=True).numpy()
    expected = asked.kept.astype(float) @ asked.scores["nda"].T
    np.testing.assert_allclose(score[rows].sum(axis=1), expected, rtol=1e-4, atol=1e-4)
    assert score_truth(tmp_path, tmp_path / "scores" / "nda.pt").models == 40


def test_a_run_passes_on_its_ranking_and_its_bank(
    run: Run, micro_copy: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "q"
    said = CliRunner().invoke(app, ["export", str(run.folder), str(out), "--to", "quanda"])
    assert said.exit_code == 0 and "fusion" in said.output and "40 models" in said.output
    subsets = yaml.safe_load((out / "subset_ids.yaml").read_text())
    np.testing.assert_array_equal(subsets[0], np.flatnonzero(make_bank(run).kept[0]))
    said = CliRunner().invoke(
        app, ["export", str(micro_copy()), str(tmp_path / "k"), "--to", "kronfluence"]
    )
    assert said.exit_code == 0 and "bank" not in said.output
    scores = load_file(tmp_path / "k" / "scores_fusion" / "pairwise_scores.safetensors")
    best = scores["all_modules"].argmax(axis=1)
    ranking = run.table("ranking")
    first = ranking[(ranking["rank"] == 1) & (ranking["method"] == "fusion")]
    first = first.set_index("prompt_id")["image_id"]
    queries = pd.read_csv(tmp_path / "k" / "queries.csv")["prompt_id"]
    assert [run.catalog.ids[n] for n in best] == list(first[queries])


def test_names_and_what_cannot_be(micro_run: Path, tmp_path: Path) -> None:
    assert slug("ensemble:trak:nll") == "ensemble-trak-nll"
    for call, message in (
        (["--to", "datri"], "did you mean 'dattri'"),
        (["--to", "trak", "--model", "B00"], "are for pairs"),
        ([], "name the folder"),
    ):
        out = [str(tmp_path / "x")] if call else []
        said = CliRunner().invoke(app, ["export", str(micro_run), *out, *call])
        assert isinstance(said.exception, InputError) and message in str(said.exception)
    assert not (tmp_path / "x").exists()


def test_a_method_of_the_model_is_written_beside_the_rankings(
    micro_run: Path, tmp_path: Path
) -> None:
    told = CliRunner().invoke(
        app, ["export", str(micro_run), str(tmp_path / "out"), "--to", "dattri", "-m", "leverage"]
    )
    assert told.exit_code == 0, told.output
    opened = open_run(micro_run)
    scores = torch.load(tmp_path / "out" / "scores" / "leverage.pt", weights_only=True)
    prompts = pd.read_csv(tmp_path / "out" / "queries.csv")["prompt_id"]
    found = untrain.attribute(micro_run, method="leverage", prompts=list(prompts), top=1)
    assert scores.shape == (len(opened.catalog), len(prompts))
    np.testing.assert_allclose(scores.numpy().T, found.of("leverage"), rtol=1e-5)
    refused = CliRunner().invoke(app, ["export", str(micro_run), "x", "-m", "leverage"])
    assert refused.exit_code != 0

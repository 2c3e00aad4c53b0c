"""A bank as plain files: what is written, that it needs no run, and what it says of scores."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from tests.helpers.banks import make_bank, write_bank
from untrain import Benchmark
from untrain.attribution.registry import make_attributor
from untrain.banks.benchmark import write
from untrain.banks.benchmark.write import write_benchmark
from untrain.banks.leaderboard import evidence_of, half_outcomes
from untrain.core.errors import InputError
from untrain.evaluation.lds import lds
from untrain.runs.evidence import fitted_model
from untrain.runs.run import Run, open_run

CHEAP = ("family", "text", "nda")


@pytest.fixture(scope="module")
def run(micro_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run with a bank of its own."""
    folder = tmp_path_factory.mktemp("runs") / "micro"
    shutil.copytree(micro_run, folder, ignore=shutil.ignore_patterns("thumbnails"))
    opened = open_run(folder)
    write_bank(opened, make_bank(opened))
    return opened


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("benchmark") / "micro"
    write_benchmark(run, make_bank(run), made, baselines=CHEAP)
    return made


@pytest.fixture
def benchmark(folder: Path) -> Benchmark:
    return Benchmark(folder)


def test_it_holds_what_the_run_holds(run: Run, benchmark: Benchmark) -> None:
    bank, catalog = make_bank(run), benchmark.catalog
    assert catalog.fingerprint == run.catalog.fingerprint
    first = catalog.ids[0]
    assert catalog.read(first) == run.catalog.read(first)
    asked = run.prompts[run.prompts["role"] == "query"]
    assert list(benchmark.prompts["prompt_id"]) == list(asked["prompt_id"])
    kept, outcomes = half_outcomes(run, bank, list(asked["prompt_id"]))
    np.testing.assert_array_equal(benchmark.kept, kept)
    np.testing.assert_allclose(benchmark.outcomes, outcomes)
    own = evidence_of(run, list(asked["prompt_id"])).queries
    assert benchmark.queries.keys == own.keys
    np.testing.assert_array_equal(benchmark.queries.samples, own.samples)
    np.testing.assert_array_equal(benchmark.queries.pictures[0], own.pictures[0])


def test_model_a_is_that_of_the_run(run: Run, benchmark: Benchmark) -> None:
    queries, model = benchmark.queries, benchmark.model()
    expected = fitted_model(run).log_likelihood(queries.samples, queries.prompts)
    np.testing.assert_array_equal(model.log_likelihood(queries.samples, queries.prompts), expected)
    assert benchmark.about["generator"]["options"]["settings"]["epochs"] == 3  # the whole recipe
    evidence = benchmark.evidence(model)
    assert make_attributor("dtrak").missing(evidence) is None


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("standalone", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_source_is_one_file_with_the_same_losses(benchmark: Benchmark) -> None:
    path = benchmark.folder / "model.py"
    tree = ast.parse(path.read_text())
    names = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert {name.split(".")[0] for name in names} <= {
        *(
            "__future__",
            "json",
            "math",
            "contextlib",
            "functools",
            "pathlib",
            "types",
            "torch",
            "safetensors",
        )
    }
    own, theirs = imported(path), benchmark.model()
    model, preset = own.load()
    with torch.no_grad():
        batch = theirs.training_batch(benchmark.catalog, benchmark.catalog.ids[:5])
        found = own.pair_losses(model, **own.pairs(range(5)), preset=preset)
        torch.testing.assert_close(found, theirs.pair_losses(batch))
        queries = benchmark.queries
        asked = theirs.query_batch(queries.samples, queries.prompts)
        rows = range(len(queries))
        found = own.query_losses(model, **own.queries(rows))
        torch.testing.assert_close(found, theirs.measurements(asked))


def test_scores_of_a_table_and_of_an_array_are_judged_alike(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    values = benchmark.baselines["nda"].values.astype(np.float64)
    prompts, ids = list(benchmark.prompts["prompt_id"]), benchmark.catalog.ids
    table = pd.DataFrame(
        {
            "prompt": np.repeat(prompts, len(ids)),
            "image": list(ids) * len(prompts),
            "score": values.ravel(),
        }
    ).sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "s.csv", index=False)
    board = benchmark.score(tmp_path / "s.csv", k=3)
    rows = board.table.set_index("name")
    assert set(rows.index) == {"scores", *CHEAP}
    assert rows.loc["scores", "lds"] == pytest.approx(rows.loc["nda", "lds"])
    expected = lds(values, benchmark.kept, benchmark.outcomes)
    assert rows.loc["nda", "lds"] == pytest.approx(expected.mean)
    assert rows.loc["scores", "lead"] == 0 == board.models - 40
    assert rows.loc["family", "lead"] == pytest.approx(
        rows.loc["family", "lds"] - rows.loc["scores", "lds"]
    )
    by_array = benchmark.score(values, k=3, name="mine").table.set_index("name")
    assert by_array.loc["mine", "lds"] == pytest.approx(rows.loc["scores", "lds"])
    by_text = table.assign(prompt=table["prompt"].map(benchmark.queries.texts))
    by_text[by_text["score"] > np.median(values)].to_parquet(tmp_path / "s.parquet")
    some = benchmark.score(tmp_path / "s.parquet", k=3).table.set_index("name")
    assert 0.2 < some.loc["scores", "filled"] < 0.8


def test_the_true_family_wins_and_chance_is_chance(benchmark: Benchmark) -> None:
    noise = np.random.default_rng(0).random((len(benchmark.prompts), len(benchmark.catalog)))
    rows = benchmark.score(noise, k=3).table.set_index("name")
    assert rows.loc["family", "lds"] > 0.9
    assert rows.loc["scores", "lds_low"] < 0.1
    assert rows.loc["family", "lead_low"] > 0


def test_the_card_and_the_checksums(benchmark: Benchmark) -> None:
    card = (benchmark.folder / "README.md").read_text()
    assert "40 text-to-image models" in card and "Apache License 2.0" in card
    assert "| `family` | 0.9" in card and "{" not in card
    sums = dict(
        reversed(line.split("  "))
        for line in (benchmark.folder / "SHA256SUMS").read_text().splitlines()
    )
    files = {
        path.relative_to(benchmark.folder).as_posix(): path
        for path in benchmark.folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert set(sums) == set(files)
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sums[name], name
    text = "".join(p.read_text() for p in files.values() if p.suffix in (".json", ".md", ".csv"))
    assert str(Path.home()) not in text and "/tmp" not in text


def test_images_that_are_not_ours_stay_where_they_are(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "RENDERED", "something else")
    write_benchmark(run, make_bank(run), tmp_path / "b", baselines=["text"])
    found = Benchmark(tmp_path / "b")
    assert not (tmp_path / "b" / "images").exists()
    assert not (tmp_path / "b" / "shared" / "autoencoder.safetensors").exists()
    assert "not in this folder" in (tmp_path / "b" / "README.md").read_text()
    with pytest.raises(InputError, match="does not hold the training images"):
        found.catalog.image(found.catalog.ids[0])
    assert len(load_file(tmp_path / "b" / "shared" / "tokens.safetensors")["image"]) == len(
        found.catalog
    )
    losses = found.model().log_likelihood(found.queries.samples, found.queries.prompts)
    assert np.isfinite(losses).all()


def test_what_cannot_be(
    run: Run, benchmark: Benchmark, tmp_path: Path, micro_copy: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=r"no benchmark\.json"):
        Benchmark(tmp_path)
    with pytest.raises(InputError, match="k is 0"):
        benchmark.score(benchmark.baselines["nda"], k=0)
    with pytest.raises(InputError, match="shape"):
        benchmark.score(np.zeros((2, 3)))
    with pytest.raises(InputError, match="choose another name"):
        benchmark.score(benchmark.baselines["nda"], name="nda")
    with pytest.raises(InputError, match="did you mean 'dtrak'"):
        write_benchmark(run, make_bank(run), tmp_path / "b", baselines=["dtrack"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        write_benchmark(run, make_bank(run), tmp_path / "full", baselines=["text"])
    assert not (tmp_path / "b").exists()

"""What is done is not done again; what a change affects is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.folders import assert_same_results, record
from tests.helpers.runs import run
from untrain.core.errors import InputError
from untrain.experiment import pipeline
from untrain.experiment.pipeline import NAMES
from untrain.experiment.stages.base import Stage
from untrain.runs.run import Run, open_run
from untrain.settings.config import Config
from untrain.training.base import ModelRequest

Make = Callable[..., Config]
Copy = Callable[..., Path]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the stages that should have run since; they do not."""
    names: list[str] = []

    def note(run: Run, stage: Stage, key: str) -> None:
        names.append(stage.name)

    monkeypatch.setattr(pipeline, "_run_stage", note)
    return names


def times(folder: Path) -> dict[str, int]:
    spared = (".lock", "log.txt")  # every call is logged
    found = [p for p in folder.rglob("*") if p.is_file() and p.name not in spared]
    return {str(p): p.stat().st_mtime_ns for p in found}


def test_a_second_call_does_nothing(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    before = times(folder)
    run(config())
    assert times(folder) == before


@pytest.mark.parametrize(
    ("setting", "first", "spared"),
    [
        ("seed=4", "fit", ""),
        ("generator.settings.epochs=4", "fit", "retrieve"),
        ("generations=1", "generate", "retrieve"),
        ("retrieval.top=10", "retrieve", ""),
        ("ranking.method=text", "rank", ""),
        ("ranking.also=[study, text]", "rank", ""),
        ("removal.k=[2]", "remove", ""),
        ("seed_b=7", "retrain", ""),
        ("design.models=6", "retrain", ""),
        ("removal.together=true", "remove", ""),
        ("design.paired=false", "retrain", ""),
        ("evaluation.draws=300", "evaluate", ""),
        ("evaluation.alpha=0.1", "evaluate", ""),
    ],
)
def test_a_changed_setting_runs_again_what_it_affects(
    config: Make, micro_copy: Copy, asked: list[str], setting: str, first: str, spared: str
) -> None:
    micro_copy()
    run(config(setting))
    assert asked == [name for name in NAMES[NAMES.index(first) :] if name != spared]


def test_a_changed_evaluation_changes_the_results_alone(
    config: Make, micro_run: Path, micro_copy: Copy, trained: list[str]
) -> None:
    folder = micro_copy()
    before = times(folder)
    run(config("evaluation.draws=300"), until="evaluate")
    after = times(folder)
    changed = {Path(p).relative_to(folder).parts[0] for p in after if before.get(p) != after[p]}
    assert changed <= {"config.yaml", "run.json", ".run.json", "checksums.txt", "results"}
    assert not trained
    measures = [pd.read_parquet(f / "results/measures.parquet") for f in (folder, micro_run)]
    pd.testing.assert_frame_equal(*measures, check_exact=True)


def test_other_held_out_pairs_are_measured_again(config: Make) -> None:
    opened = Run(config())
    before = pipeline.keys(opened)
    fewer = opened.held_out.rows(np.arange(len(opened.held_out) - 1))
    opened.__dict__["_data"] = replace(opened._data, held_out=fewer)
    after = pipeline.keys(opened)
    changed = [name for name in NAMES if before[name] != after[name]]
    assert changed[0] == "compare" and {"evaluate", "report"} < set(changed)


def test_workers_and_name_change_nothing(config: Make, micro_copy: Copy, asked: list[str]) -> None:
    micro_copy("other")
    run(config("workers=2", name="other"))
    assert asked == []


def test_going_back_to_a_setting_finds_its_models(
    config: Make, micro_run: Path, micro_copy: Copy, trained: list[str]
) -> None:
    folder = micro_copy()
    run(config("removal.k=[2]"), until="retrain")
    assert trained
    trained.clear()
    run(config(), until="evaluate")
    assert not trained
    assert_same_results(folder, micro_run)


def test_fewer_models_leave_no_pictures_of_the_others(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run(config("design.models=6"), until="regenerate")
    assert len(list((folder / "generations").iterdir())) == 6
    run(config(), until="regenerate")
    assert len(list((folder / "generations").iterdir())) == 4


def test_a_lost_model_is_trained_again(
    config: Make, micro_run: Path, micro_copy: Copy, trained: list[str]
) -> None:
    folder = micro_copy()
    lost = pd.read_parquet(folder / "models.parquet")["fingerprint"].iloc[2]
    shutil.rmtree(folder / "models" / lost)
    run(config(), until="retrain")
    assert trained == [lost]
    assert_same_results(folder, micro_run)


def test_a_warning_goes_when_its_cause_does(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    assert any("cannot judge" in w["text"] for w in record(folder)["warnings"])
    opened = open_run(folder)
    opened.record["stages"]["judge"]["warnings"] = []
    opened.save_record()
    assert not any("cannot judge" in w["text"] for w in record(folder)["warnings"])


def test_same_seed_same_bytes(config: Make, micro_run: Path, trained: list[str]) -> None:
    folder = run(config(name="fresh"), until="evaluate").folder
    assert len(trained) == 6  # autoencoder, A and four paired models
    assert_same_results(folder, micro_run)


def test_another_seed_other_pictures(config: Make, micro_run: Path) -> None:
    folder = run(config("seed=1", name="other"), until="generate").folder
    mine, other = (f / "queries.safetensors" for f in (micro_run, folder))
    assert mine.read_bytes() != other.read_bytes()


def test_a_run_beside_it_lends_its_models(
    config: Make, micro_run: Path, micro_copy: Copy, trained: list[str]
) -> None:
    lender = micro_copy("lender")
    borrower = run(config(name="borrower"), until="evaluate").folder
    assert not trained
    assert_same_results(borrower, micro_run)
    model = next((borrower / "models").glob("*/model.safetensors"))
    assert model.samefile(lender / model.relative_to(borrower))  # a hard link takes no room


def test_a_borrowed_model_outlives_its_lender(config: Make, micro_copy: Copy) -> None:
    lender = micro_copy("lender")
    borrower = run(config(name="borrower"), until="retrain").folder
    shutil.rmtree(lender)
    run(config(name="borrower"), until="regenerate")
    assert len(list(borrower.glob("generations/*"))) == 4


def bank_of(config: Config, micro_run: Path, requests: list[ModelRequest]) -> dict[str, bytes]:
    """Train models in a fresh run that has the frozen parts; return the bytes of each."""
    opened = Run(config)
    shutil.copytree(micro_run / "shared", opened.path("shared"))
    opened.trainer.prepare()
    table = opened.trainer.train(requests, "models")
    return {
        row.model_id: (opened.folder / row.path / "model.safetensors").read_bytes()
        for row in table.itertuples()
    }


def test_an_empty_removal_gives_the_same_model_to_the_bit(
    config: Make, micro_run: Path, tmp_path: Path, trained: list[str]
) -> None:
    nothing, same, other = (
        ModelRequest("x", 5, ()),
        ModelRequest("y", 5, ()),
        ModelRequest("z", 6, ()),
    )
    apart = config().model_copy(update={"runs": tmp_path / "apart"})
    first = bank_of(config(), micro_run, [nothing, other])
    second = bank_of(apart, micro_run, [same])
    assert len(trained) == 3
    assert first["x"] == second["y"]
    assert first["x"] != first["z"]


def test_models_of_one_recipe_are_one(config: Make, micro_run: Path, trained: list[str]) -> None:
    removed = tuple(Run(config()).catalog.ids[:3])
    requests = [ModelRequest("x", 5, removed), ModelRequest("y", 5, removed[::-1])]
    models = bank_of(config(), micro_run, requests)
    assert len(trained) == 1
    assert models["x"] == models["y"]


@pytest.mark.slow
def test_worker_processes_give_the_same_models(
    config: Make, micro_run: Path, tmp_path: Path
) -> None:
    requests = [
        ModelRequest("x", 5, ()),
        ModelRequest("y", 6, ()),
        ModelRequest("z", 5, Run(config()).catalog.ids[:4]),
    ]
    apart = config("workers=2").model_copy(update={"runs": tmp_path / "apart"})
    assert bank_of(config(), micro_run, requests) == bank_of(apart, micro_run, requests)


def test_an_unknown_stage_is_refused(config: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown stage 'evalute' — did you mean 'evaluate'"):
        run(config(), until="evalute")
    assert not (tmp_path / "runs").exists()

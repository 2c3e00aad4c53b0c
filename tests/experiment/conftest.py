from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.conftest import MICRO
from untrain.core.progress import console
from untrain.experiment.pipeline import NAMES, STAGES
from untrain.experiment.stages import generate
from untrain.generators.dalle import autoencoder
from untrain.settings.config import Config
from untrain.settings.load import load_config
from untrain.training import models as bank
from untrain.training.engines import Model, Way


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Model A is known by its threads: runs that tests of a module share have as many as others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before, console.quiet = console.quiet, True
    yield
    console.quiet = before


@pytest.fixture(autouse=True)
def no_quality_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the seconds of a run this small; `micro_run` has it."""
    monkeypatch.setattr(generate, "judge", lambda *arguments: None)


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """Return a function: ``config("seed=3", name="other")`` is micro with changed settings."""

    def make(*settings: str, name: str = "micro") -> Config:
        return load_config(MICRO, ["workers=1", *settings], runs=tmp_path / "runs", name=name)

    return make


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fingerprints of the models trained since, and "autoencoder" for each of those."""
    done: list[str] = []
    train_group, train_autoencoder = bank.train_group, autoencoder.train_autoencoder

    def noting(folder: str, shared: str, config: dict, group: tuple[Model, ...], way: Way) -> float:
        done.extend(model.key for model in group)
        return train_group(folder, shared, config, group, way)

    def frozen(*arguments: object) -> object:
        done.append("autoencoder")
        return train_autoencoder(*arguments)

    monkeypatch.setattr(bank, "train_group", noting)
    monkeypatch.setattr(autoencoder, "train_autoencoder", frozen)
    return done


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def rewind(folder: Path, stage: str) -> None:
    """Make a finished run look as if it had never come to ``stage``."""
    content = record(folder)
    first = NAMES.index(stage)
    for later in STAGES[first:]:
        content["stages"].pop(later.name, None)
        for output in later.outputs:
            _remove(folder / output)
    if first <= NAMES.index("retrain"):
        kept = set()
        if stage != "fit":
            kept = set(pd.read_parquet(folder / "model_a.parquet")["fingerprint"])
        for model in (folder / "models").iterdir():
            if model.name not in kept:
                _remove(model)
    if first <= NAMES.index("compare"):
        _remove(folder / "features")
    (folder / "run.json").write_text(json.dumps(content))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def results(folder: Path) -> dict[str, object]:
    """Everything that a run found out, for comparing runs to the bit."""
    found: dict[str, object] = {}
    tables = [*folder.glob("*.parquet"), *folder.glob("results/*.parquet")]
    for path in sorted(tables):
        found[path.name] = pd.read_parquet(path)
    for path in [*folder.glob("queries/**/*.png"), *folder.glob("generations/**/*.png")]:
        found[str(path.relative_to(folder))] = path.read_bytes()
    for pattern in ("queries.safetensors", "prompts.csv", "results/*.csv"):
        for path in folder.glob(pattern):
            found[path.name] = path.read_bytes()
    return found


def assert_same_results(folder: Path, whole: Path) -> None:
    """Compare a run, as far as it has come, with a finished one."""
    left, right = results(folder), results(whole)
    if "report" in record(folder)["stages"]:
        assert left.keys() == right.keys()
    for name, value in left.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, right[name], check_exact=True, obj=name)
        else:
            assert value == right[name], name

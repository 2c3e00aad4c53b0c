"""Fixtures of tests that run experiments: small, quiet, and on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.helpers.engines import noting_engine
from tests.helpers.settings import MICRO
from untrain.core.progress import console
from untrain.experiment.stages import judge
from untrain.generators.dalle import autoencoder
from untrain.report.page import write as page
from untrain.settings.config import Config
from untrain.settings.load import load_config
from untrain.training.base import Group
from untrain.training.engines import ENGINES


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


@pytest.fixture(autouse=True, scope="module")
def no_quality_gate() -> Iterator[None]:
    """Half of the seconds of a run this small; `micro_run` has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "judge_pictures", lambda *arguments: None)
        yield


@pytest.fixture(autouse=True, scope="module")
def no_figures() -> Iterator[None]:
    """Most of what is left of those seconds; the page of `micro_run` has its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "figures", lambda run: [])
        yield


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """Return a function: ``config("seed=3", name="other")`` is micro with changed settings."""

    def make(*settings: str, name: str = "micro") -> Config:
        return load_config(MICRO, ["workers=1", *settings], runs=tmp_path / "runs", name=name)

    return make


@pytest.fixture
def groups() -> Iterator[list[Group]]:
    """The groups of models trained since, each one's model_id its fingerprint."""
    noted: list[Group] = []
    with ENGINES.temporary(local=noting_engine(noted.append)):
        yield noted


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The fingerprints of the models trained since, and "autoencoder" for each of those."""
    done: list[str] = []
    train_autoencoder = autoencoder.train_autoencoder

    def frozen(*arguments: object) -> object:
        done.append("autoencoder")
        return train_autoencoder(*arguments)

    def note(group: Group) -> None:
        done.extend(model.model_id for model in group)

    monkeypatch.setattr(autoencoder, "train_autoencoder", frozen)
    with ENGINES.temporary(local=noting_engine(note)):
        yield done

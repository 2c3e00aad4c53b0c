"""A bank trained in stacks, as on a GPU: the models of a bank trained one by one, found again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.helpers.engines import noting_engine
from tests.helpers.settings import MICRO
from untrain.core.errors import UntrainError
from untrain.core.files import read_json
from untrain.generators.dalle.generator import DalleGenerator
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.settings.load import load_config
from untrain.training.base import Batch, Group, ModelRequest, TrainingMode
from untrain.training.engines import ENGINES
from untrain.training.store import read_losses

Make = Callable[..., Config]
Opened = Callable[..., Run]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen parts, fitted once."""
    run = Run(load_config(MICRO, ["workers=1"], runs=tmp_path_factory.mktemp("parts")))
    run.trainer.prepare()
    return run.path("shared")


@pytest.fixture
def opened(config: Make, shared: Path, tmp_path: Path) -> Opened:
    """Return a function: a fresh run in a place of its own, with the frozen parts."""

    def make(place: str = "here", *settings: str) -> Run:
        run = Run(config(*settings).model_copy(update={"runs": tmp_path / place}))
        if not run.path("shared").exists():
            shutil.copytree(shared, run.path("shared"))
        run.trainer.prepare()
        return run

    return make


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets how many paired models are trained in one pass."""
    return lambda size: monkeypatch.setattr(DalleGenerator, "stack_size", size)


def sizes(groups: list[Group]) -> list[int]:
    return [len(group) for group in groups]


def keys(groups: list[Group]) -> list[str]:
    return [model.model_id for group in groups for model in group]


def requests(run: Run, count: int, seeds: int = 1) -> list[ModelRequest]:
    """``count`` models, of which each lacks three images more than the one before."""
    ids = run.catalog.ids
    return [ModelRequest(f"m{i}", 5 + i % seeds, ids[: 3 * i]) for i in range(count)]


def weights(run: Run, table: pd.DataFrame) -> Iterator[dict[str, np.ndarray]]:
    return (load_file(run.folder / path / "model.safetensors") for path in table["path"])


def files(run: Run, table: pd.DataFrame) -> list[bytes]:
    return [(run.folder / path / "model.safetensors").read_bytes() for path in table["path"]]


@pytest.mark.slow
def test_stacked_models_are_those_trained_alone_up_to_rounding(
    opened: Opened, stacks: Callable[[int], None], groups: list[Group]
) -> None:
    apart, together = opened("apart"), opened("together")
    alone = apart.trainer.train(requests(apart, 6), "models")
    stacks(4)
    stacked = together.trainer.train(requests(together, 6), "models")
    assert sizes(groups) == [1] * 6 + [4, 2]
    assert not set(alone["fingerprint"]) & set(stacked["fingerprint"])
    of_alone, of_stacked = list(weights(apart, alone)), list(weights(together, stacked))
    moved = max(np.abs(of_alone[0][name] - of_alone[1][name]).max() for name in of_alone[0])
    for one, other in zip(of_alone, of_stacked, strict=True):
        assert one.keys() == other.keys()
        assert max(np.abs(one[name] - other[name]).max() for name in one) < 0.01 * moved
    for request, path in zip(requests(together, 6), stacked["path"], strict=True):
        content = read_json(together.folder / path / "removed.json")
        assert content == {"seed": request.seed, "removed": sorted(request.removed)}
        losses = read_losses(together.folder / path)
        assert len(losses) == together.generator.preset.epochs


@pytest.mark.slow
def test_a_bank_in_stacks_resumes_and_grows_to_the_bit(
    opened: Opened, stacks: Callable[[int], None], groups: list[Group]
) -> None:
    """Whatever the order in which models were asked for, and whatever filled a stack up."""
    stacks(4)
    whole, grown = opened("whole"), opened("grown")
    expected = files(whole, whole.trainer.train(requests(whole, 7), "models"))
    assert sizes(groups) == [4, 3]
    groups.clear()
    grown.trainer.train(requests(grown, 3)[1:], "models")
    assert sizes(groups) == [2]
    grown.trainer.train(requests(grown, 3)[::-1], "models")
    assert sizes(groups) == [2, 1]
    table = grown.trainer.train(requests(grown, 7), "models")
    assert sizes(groups) == [2, 1, 4]
    assert files(grown, table) == expected
    again = opened("grown").trainer.train(requests(grown, 7), "models")
    assert sizes(groups) == [2, 1, 4]
    pd.testing.assert_frame_equal(again, table)
    assert len(list(grown.path("models").iterdir())) == 7  # and none that filled a stack up


def test_a_kill_costs_the_stack_in_training(
    opened: Opened, stacks: Callable[[int], None], groups: list[Group]
) -> None:
    stacks(2)
    run = opened()

    def stop(group: Group) -> None:
        if groups:
            raise KeyboardInterrupt
        groups.append(group)

    with (
        ENGINES.temporary(local=noting_engine(stop)),
        pytest.raises(KeyboardInterrupt),
    ):
        opened().trainer.train(requests(run, 6), "models")
    assert len(list(run.path("models").iterdir())) == 2
    table = run.trainer.train(requests(run, 6), "models")
    assert sizes(groups) == [2, 2, 2]
    assert keys(groups) == list(table["fingerprint"])


def test_models_of_a_stack_share_their_seed(
    opened: Opened, stacks: Callable[[int], None], groups: list[Group]
) -> None:
    stacks(2)
    run = opened()
    table = run.trainer.train(requests(run, 5, seeds=2), "models")
    assert sizes(groups) == [2, 1, 2]
    found = dict(zip(table["fingerprint"], table["seed"], strict=True))
    assert [found[key] for key in keys(groups)] == [5, 5, 5, 6, 6]


@pytest.mark.slow
def test_stacks_side_by_side_are_the_same(opened: Opened, stacks: Callable[[int], None]) -> None:
    stacks(2)
    one, other = opened("one"), opened("other", "workers=2")
    tables = [run.trainer.train(requests(run, 4), "models") for run in (one, other)]
    assert files(one, tables[0]) == files(other, tables[1])


def test_a_model_is_known_by_how_it_is_trained(opened: Opened) -> None:
    run = opened()
    request = requests(run, 2)[1]
    modes = [
        TrainingMode(),
        TrainingMode(threads=2),
        TrainingMode(stack=2),
        TrainingMode(stack=4),
        TrainingMode(processes=2),
        TrainingMode(precision="float32"),
        TrainingMode(precision="bfloat16"),
    ]
    assert len({run.trainer.fingerprint(request, mode) for mode in modes}) == len(modes)


class Listening:
    """An engine that trains nothing."""

    remote = False

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def train(self, batch: Batch) -> None:
        self.batches.append(batch)


def test_a_model_that_is_paired_with_none_is_in_no_stack(
    opened: Opened, stacks: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks(4)
    run, engine = opened(), Listening()
    trainer = replace(run.trainer, engine=engine)
    trainer.train(requests(run, 2), "models")
    trainer.train(requests(run, 1), "model A", paired=False)
    monkeypatch.setattr(DalleGenerator, "processes", 3)
    trainer.train(requests(run, 1), "model A", paired=False)
    modes = [batch.mode for batch in engine.batches]
    assert modes == [
        TrainingMode(stack=4, precision="float32"),
        TrainingMode(threads=1, precision="float32"),
        TrainingMode(processes=3, precision="float32"),
    ]
    work = [batch.work // run.generator.fit_work(run.catalog) for batch in engine.batches]
    assert work == [4, 1, 1]


def test_a_model_in_several_processes(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def across(*arguments: object) -> object:
        given.append(arguments[-2])  # type: ignore[arg-type]
        return train_transformer(*arguments[:-2], arguments[-1])  # type: ignore[arg-type]

    from untrain.generators.dalle import generator as dalle
    from untrain.generators.dalle.training import train_transformer

    monkeypatch.setattr(dalle, "train_across", across)
    run = opened()
    alone = files(run, run.trainer.train(requests(run, 1), "model A", paired=False))
    monkeypatch.setattr(DalleGenerator, "processes", 3)
    assert files(run, run.trainer.train(requests(run, 1), "model A", paired=False)) == alone
    assert given == [3]
    assert len(list(run.path("models").iterdir())) == 2


def test_a_gpu_without_room(
    opened: Opened, stacks: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*arguments: object) -> object:
        raise torch.cuda.OutOfMemoryError

    stacks(4)
    monkeypatch.setattr(DalleGenerator, "fit_stack", full)
    run = opened()
    with pytest.raises(UntrainError, match="too little free memory to train 4 of these models"):
        run.trainer.train(requests(run, 2), "models")


def told_to_workers(run: Run) -> str | None:
    return run.trainer.spec.settled(run.generator).precision


def test_workers_get_the_precision_of_the_run(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for forced in ("0", "1"):
        monkeypatch.setenv("UNTRAIN_FAST_BFLOAT16", forced)
        assert told_to_workers(opened()) == "float32"
    rounded = opened("rounded", "generator.precision=bfloat16")
    assert told_to_workers(rounded) == "bfloat16"
    engine = Listening()
    for run in (rounded, opened("exact", "generator.precision=float32")):
        replace(run.trainer, engine=engine).train(requests(run, 2), "models")
    one, other = ({model.model_id for (model,) in batch.groups} for batch in engine.batches)
    assert len(one) == len(other) == 2 and not one & other


def test_auto_is_settled_once_for_a_run(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_FAST_BFLOAT16", "0")
    run = opened("auto", "generator.precision=auto")
    run.describe()
    assert run.record["machine"]["precision"] == "float32"
    assert run.record["generator"]["measured_precision"]["chosen"] == "float32"
    assert told_to_workers(run) == "float32"
    monkeypatch.setenv("UNTRAIN_FAST_BFLOAT16", "1")
    assert opened("auto", "generator.precision=auto").generator.precision == "float32"


def test_threads_of_model_a_are_a_setting(config: Make) -> None:
    from untrain.experiment.pipeline import run_stages

    run = Run(config("threads=2"))
    run_stages(run, "fit")
    assert run.record["threads"] == {"model_a": 2, "paired_models": 1}

"""A bank trained in stacks, as on a GPU: the models of a bank trained one by one, found again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.conftest import MICRO
from untrain.core.errors import UntrainError
from untrain.core.files import fingerprint, read_json
from untrain.experiment.stages.base import prepare
from untrain.generators.dalle.generator import DalleGenerator
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.settings.load import load_config
from untrain.training import models as bank
from untrain.training.engines import Batch, Model, Way
from untrain.training.models import Order, train_all

Make = Callable[..., Config]
Opened = Callable[..., Run]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen parts, fitted once."""
    run = Run(load_config(MICRO, ["workers=1"], runs=tmp_path_factory.mktemp("parts")))
    prepare(run)
    return run.path("shared")


@pytest.fixture
def opened(config: Make, shared: Path, tmp_path: Path) -> Opened:
    """Return a function: a fresh run in a place of its own, with the frozen parts."""

    def make(place: str = "here", *settings: str) -> Run:
        run = Run(config(*settings).model_copy(update={"runs": tmp_path / place}))
        if not run.path("shared").exists():
            shutil.copytree(shared, run.path("shared"))
        prepare(run)
        return run

    return make


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets how many paired models are trained in one pass."""
    return lambda size: monkeypatch.setattr(DalleGenerator, "stack_size", size)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many models each call of the job was given."""
    sizes: list[int] = []
    train_group = bank.train_group

    def noting(folder: str, shared: str, config: dict, group: tuple[Model, ...], way: Way) -> float:
        sizes.append(len(group))
        return train_group(folder, shared, config, group, way)

    monkeypatch.setattr(bank, "train_group", noting)
    return sizes


def orders(run: Run, count: int, seeds: int = 1) -> list[Order]:
    """``count`` models, of which each lacks three images more than the one before."""
    ids = run.catalog.ids
    return [Order(f"m{i}", 5 + i % seeds, ids[: 3 * i]) for i in range(count)]


def weights(run: Run, table: pd.DataFrame) -> Iterator[dict[str, np.ndarray]]:
    return (load_file(run.folder / path / "model.safetensors") for path in table["path"])


def files(run: Run, table: pd.DataFrame) -> list[bytes]:
    return [(run.folder / path / "model.safetensors").read_bytes() for path in table["path"]]


def test_stacked_models_are_those_trained_alone_up_to_rounding(
    opened: Opened, stacks: Callable[[int], None], groups: list[int]
) -> None:
    apart, together = opened("apart"), opened("together")
    alone = train_all(apart, orders(apart, 6), "models")
    stacks(4)
    stacked = train_all(together, orders(together, 6), "models")
    assert groups == [1] * 6 + [4, 2]
    assert not set(alone["fingerprint"]) & set(stacked["fingerprint"])
    of_alone, of_stacked = list(weights(apart, alone)), list(weights(together, stacked))
    moved = max(np.abs(of_alone[0][name] - of_alone[1][name]).max() for name in of_alone[0])
    for one, other in zip(of_alone, of_stacked, strict=True):
        assert one.keys() == other.keys()
        assert max(np.abs(one[name] - other[name]).max() for name in one) < 0.01 * moved
    for order, path in zip(orders(together, 6), stacked["path"], strict=True):
        content = read_json(together.folder / path / "removed.json")
        assert content == {"seed": order.seed, "removed": sorted(order.removed)}
        losses = bank.losses(together, path)
        assert len(losses) == together.generator.preset.epochs


def test_a_bank_in_stacks_resumes_and_grows_to_the_bit(
    opened: Opened, stacks: Callable[[int], None], groups: list[int]
) -> None:
    """Whatever the order in which models were asked for, and whatever filled a stack up."""
    stacks(4)
    whole, grown = opened("whole"), opened("grown")
    expected = files(whole, train_all(whole, orders(whole, 7), "models"))
    assert groups == [4, 3]
    groups.clear()
    train_all(grown, orders(grown, 3)[1:], "models")
    assert groups == [2]
    train_all(grown, orders(grown, 3)[::-1], "models")
    assert groups == [2, 1]
    table = train_all(grown, orders(grown, 7), "models")
    assert groups == [2, 1, 4]
    assert files(grown, table) == expected
    again = train_all(opened("grown"), orders(grown, 7), "models")
    assert groups == [2, 1, 4]
    pd.testing.assert_frame_equal(again, table)
    assert len(list(grown.path("models").iterdir())) == 7  # and none that filled a stack up


def test_a_kill_costs_the_stack_in_training(
    opened: Opened, stacks: Callable[[int], None], groups: list[int], trained: list[str]
) -> None:
    stacks(2)
    run = opened()
    train_group = bank.train_group

    def stop(*arguments: object) -> float:
        if groups == [2]:
            raise KeyboardInterrupt
        return train_group(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(bank, "train_group", stop)
        train_all(run, orders(run, 6), "models")
    assert len(list(run.path("models").iterdir())) == 2
    table = train_all(run, orders(run, 6), "models")
    assert groups == [2, 2, 2]
    assert trained == list(table["fingerprint"])


def test_models_of_a_stack_share_their_seed(
    opened: Opened, stacks: Callable[[int], None], groups: list[int], trained: list[str]
) -> None:
    stacks(2)
    run = opened()
    table = train_all(run, orders(run, 5, seeds=2), "models")
    assert groups == [2, 1, 2]
    found = dict(zip(table["fingerprint"], table["seed"], strict=True))
    assert [found[key] for key in trained] == [5, 5, 5, 6, 6]


@pytest.mark.slow
def test_stacks_side_by_side_are_the_same(opened: Opened, stacks: Callable[[int], None]) -> None:
    stacks(2)
    one, other = opened("one"), opened("other", "workers=2")
    tables = [train_all(run, orders(run, 4), "models") for run in (one, other)]
    assert files(one, tables[0]) == files(other, tables[1])


def test_a_model_by_itself_is_known_as_ever(opened: Opened) -> None:
    """Models of runs from before there were stacks must be found."""
    run = opened()
    order = orders(run, 2)[1]
    where = {**bank.platform("float32"), "threads": "1"}
    recipe = run.generator.shared_fingerprint
    expected = fingerprint("model-2", recipe, 5, sorted(order.removed), where)
    assert bank._key(run, order, Way()) == expected
    ways = [Way(), Way(threads=2), Way(stack=2), Way(stack=4), Way(processes=2)]
    assert len({bank._key(run, order, way) for way in ways}) == len(ways)


class Listening:
    """An engine that trains nothing."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def train(self, batch: Batch) -> None:
        self.batches.append(batch)


def test_a_model_that_is_paired_with_none_is_in_no_stack(
    opened: Opened, stacks: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks(4)
    run, engine = opened(), Listening()
    run.__dict__["engine"] = engine
    train_all(run, orders(run, 2), "models")
    train_all(run, orders(run, 1), "model A", paired=False)
    monkeypatch.setattr(DalleGenerator, "processes", 3)
    train_all(run, orders(run, 1), "model A", paired=False)
    ways = [batch.way for batch in engine.batches]
    assert ways == [Way(stack=4), Way(threads=1), Way(processes=3)]
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
    alone = files(run, train_all(run, orders(run, 1), "model A", paired=False))
    monkeypatch.setattr(DalleGenerator, "processes", 3)
    assert files(run, train_all(run, orders(run, 1), "model A", paired=False)) == alone
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
        train_all(run, orders(run, 2), "models")


def test_workers_get_the_precision_of_the_run(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for forced in ("0", "1"):
        monkeypatch.setenv("UNTRAIN_FAST_BFLOAT16", forced)
        assert bank._for_workers(opened())["generator"]["precision"] == "float32"
    run = opened("rounded", "generator.precision=bfloat16")
    assert bank._for_workers(run)["generator"]["precision"] == "bfloat16"
    exact = opened("exact", "generator.precision=float32")
    order = orders(run, 2)[1]
    assert bank._key(run, order, Way()) != bank._key(exact, order, Way())


def test_auto_is_settled_once_for_a_run(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_FAST_BFLOAT16", "0")
    run = opened("auto", "generator.precision=auto")
    run.describe()
    assert run.record["machine"]["precision"] == "float32"
    assert run.record["generator"]["measured_precision"]["chosen"] == "float32"
    assert bank._for_workers(run)["generator"]["precision"] == "float32"
    monkeypatch.setenv("UNTRAIN_FAST_BFLOAT16", "1")
    assert opened("auto", "generator.precision=auto").generator.precision == "float32"

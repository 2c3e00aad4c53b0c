"""The pace of an encoder is measured once, undisturbed, and is the quickest that was tried."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from untrain.core.cache import entries
from untrain.core.load import Clocks, Moment, seconds_of_processors
from untrain.encoders import tuning as module
from untrain.encoders.tuning import AGAIN, Pace, pace_of

IMAGES = [np.zeros((2, 2, 3), np.uint8)] * 16
PROCESSORS = os.cpu_count() or 1


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    forget(monkeypatch)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as another process does."""
    monkeypatch.setattr(module, "_known", {})
    monkeypatch.setattr(module, "_spoilt", {})


class Machine:
    """A machine whose time passes when a model computes on it, beside ``others`` processors."""

    def __init__(self, others: float = 0.0) -> None:
        self.others = others
        self.wall = self.own = self.all = 0.0

    def compute(self, seconds: float) -> None:
        self.wall += seconds
        self.own += seconds
        self.all += seconds * (1 + self.others)

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.own, lambda: self.all, lambda: None)


class Model:
    """Takes 1 s a call and 0.1 s an image, 2 s an image in batches above ``most``."""

    def __init__(self, most: int, machine: Machine | None = None) -> None:
        self.most, self.machine = most, machine or Machine()
        self.calls = 0

    def __call__(self, images: Sequence[np.ndarray]) -> None:
        self.calls += 1
        n = len(images)
        self.machine.compute(1 + (0.1 if n <= self.most else 2) * n)


def pace(model: Model, images: Sequence[np.ndarray] = IMAGES, name: str = "model") -> Pace:
    return pace_of(name, "a model", model, images, model.machine.clocks)


@pytest.mark.parametrize(("most", "best"), [(16, 16), (4, 4), (1, 1)])
def test_the_quickest_batch_size_is_taken(most: int, best: int) -> None:
    assert pace(Model(most)).batch_size == best


def test_it_is_measured_once_for_a_model_and_a_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pace(Model(4))
    assert "a model: batches of 4" in capsys.readouterr().err
    model = Model(16)
    assert pace(model) == first
    forget(monkeypatch)
    assert pace(model, IMAGES[:1]) == first
    assert model.calls == 0
    (entry,) = entries(("paces",))
    assert entry.description.startswith("a model: batches of 4")
    assert pace(model, name="other").batch_size == 16


def test_few_images_are_not_worth_a_measurement() -> None:
    model = Model(16)
    assert pace(model, IMAGES[:15]).batch_size == 4
    assert model.calls == 0
    assert pace(model).batch_size == 16


def test_a_remembered_pace_that_cannot_be_read_is_measured_again() -> None:
    pace(Model(4))
    (entry,) = entries(("paces",))
    (entry.folder / "content").write_text('{"batch_size": 4,')
    module._known.clear()
    assert pace(Model(16)).batch_size == 16


def test_half_the_threads_are_taken_where_they_are_quicker_and_put_back() -> None:
    before, machine = torch.get_num_threads(), Machine()
    torch.set_num_threads(2)
    try:
        found = pace_of(
            *("model", "a model", lambda images: machine.compute(torch.get_num_threads())),
            *(IMAGES, machine.clocks),
        )
        assert found.threads == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_on_a_busy_machine_nothing_is_remembered_and_no_batch_is_tiny(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(others=PROCESSORS)
    model = Model(1, machine)  # as it looks while others take the processors
    found = pace(model)
    assert found.batch_size == 4 and found.threads == torch.get_num_threads()
    assert "other programs use" in capsys.readouterr().err
    assert entries(("paces",)) == []

    calls = model.calls
    assert pace(model) == found and model.calls == calls  # not at once again
    machine.wall += AGAIN
    assert pace(model, IMAGES[:1]) == found and model.calls == calls
    machine.others, model.most = 0, 16  # quiet at last
    assert pace(model).batch_size == 16
    assert entries(("paces",))
    forget(monkeypatch)
    assert pace(model, IMAGES[:1]).batch_size == 16


def test_a_processor_that_is_free_anyway_may_be_used_by_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: torch.get_num_threads() + 3)
    assert pace(Model(16, Machine(others=3))).batch_size == 16
    assert entries(("paces",))


@pytest.mark.parametrize(
    ("machine", "waiting", "others"),
    [
        (lambda: None, lambda: 3.0, 2.0),  # not Linux: the load average, less what is its own
        (lambda: 7.0, lambda: 3.0, 2.0),  # a file that stands still says nothing
        (lambda: None, lambda: None, 0.0),  # nothing is known
    ],
)
def test_where_processors_are_not_counted_the_load_average_tells(
    machine: Callable[[], float | None], waiting: Callable[[], float | None], others: float
) -> None:
    clocks = Clocks(lambda: 10.0, lambda: 10.0, machine, waiting)
    assert clocks.others_since(Moment(0.0, 0.0, machine())) == pytest.approx(others)


def test_the_first_line_of_the_statistics_is_read(tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  200 100 50 9999 999 0 25 25 77 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert seconds_of_processors(file) == 400 / os.sysconf("SC_CLK_TCK")
    file.write_text("nothing\n")
    assert seconds_of_processors(file) == 0
    assert seconds_of_processors(tmp_path / "none") is None

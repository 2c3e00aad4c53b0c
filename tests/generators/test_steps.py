"""Steps that are recorded are the steps that were taken: tried with recordings of plain Python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.core import hardware
from untrain.core.errors import InputError
from untrain.generators import paired
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.stacked import train_stacked
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.training import TokenData, train_transformer
from untrain.generators.steps import FIRST, Later, Step, set_rate

PRESET = preset_of("micro", epochs=3, batch=8, averaging=0.5)
DRAW = np.random.default_rng(0)
TEXT = DRAW.integers(1, 60, (36, 7))
TEXT[::3, :4] = PAD  # captions of two lengths, and a smaller batch at the end of an epoch
IMAGE = DRAW.integers(0, PRESET.codes, (36, PRESET.positions))


class Tape:
    """Records steps as a CUDA graph does: on tensors of its own, taken only when it is replayed."""

    def __init__(self) -> None:
        self.recorded, self.replayed = 0, 0

    def __call__(self, run: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        self.recorded += 1

        def replay() -> torch.Tensor:
            self.replayed += 1
            return run()

        return replay


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    made = Tape()
    monkeypatch.setattr(
        paired, "Step", lambda model, optimizer, clip, limit, _: Step(
            model, optimizer, clip, limit, made
        )
    )  # fmt: skip
    return made


def test_a_training_of_recorded_steps_has_the_same_bits(tape: Tape) -> None:
    kept = np.ones(36, bool)
    kept[5:30:6] = False
    for train, which in ((train_transformer, kept), (train_stacked, np.stack([kept, kept[::-1]]))):
        data = TokenData(TEXT, IMAGE, which, 60)
        before = tape.replayed
        found = train(data, PRESET, 3, silent)  # type: ignore[operator]
        assert tape.replayed > before
        with pytest.MonkeyPatch.context() as plainly:
            plainly.setattr(paired, "Step", Step)
            expected = train(data, PRESET, 3, silent)  # type: ignore[operator]
        for (mine, losses), (other, others) in zip(listed(found), listed(expected), strict=True):
            assert losses == others
            for name, value in other.state_dict().items():
                assert torch.equal(mine.state_dict()[name], value), name
    assert tape.recorded < tape.replayed


def listed(found):
    """Return one model, or those of a stack, as a list."""
    return found if isinstance(found, list) else [found]


def line() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    model = torch.nn.Linear(1, 1, bias=False)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def test_what_cannot_be_recorded_is_taken_as_before() -> None:
    def fails(run: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")

    model, optimizer = line()
    step = Step(model, optimizer, torch.nn.utils.clip_grad_norm_, 1.0, fails)
    before = model.weight.item()
    for _ in range(FIRST + 3):
        step(Later(lambda x: model(x).sum(), (torch.ones(1, 1),)))
    assert step.capture is None
    assert model.weight.item() == pytest.approx(before - 0.1 * (FIRST + 3), abs=1e-5)


def test_shapes_that_are_met_once_are_not_recorded() -> None:
    model, optimizer = line()
    tape = Tape()
    step = Step(model, optimizer, torch.nn.utils.clip_grad_norm_, 1.0, tape)
    for rows in range(1, FIRST + 4):
        step(Later(lambda x: model(x).sum(), (torch.ones(rows, 1),)))
    assert tape.recorded == 0


def test_the_rate_is_set_in_the_place_where_a_graph_reads_it() -> None:
    optimizer = line()[1]
    optimizer.param_groups[0]["lr"] = rate = torch.tensor(0.0)
    set_rate(optimizer, 0.25)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


def test_steps_are_recorded_on_a_gpu_only_and_models_do_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cuda"))
    assert hardware.steps_in_graphs()
    recorded = hardware.platform("float32")
    monkeypatch.setenv(hardware.STEPS, "eager")
    assert not hardware.steps_in_graphs()
    assert hardware.platform("float32") == recorded  # the same bits: they may be mixed
    monkeypatch.setenv(hardware.STEPS, "graph")
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cpu"))
    assert not hardware.steps_in_graphs()
    monkeypatch.setenv(hardware.STEPS, "graphs")
    with pytest.raises(InputError, match="eager or graph"):
        hardware.steps_in_graphs()

"""One training in several processes: the same steps, and nothing outlives who started it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from tests.helpers.processes import children, gone, needs_proc
from untrain.core import hardware
from untrain.core.errors import UntrainError
from untrain.generators.dalle import distributed
from untrain.generators.dalle.distributed import processes_for, train_across
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.training import TokenData, descend_tokens, train_transformer
from untrain.generators.dalle.transformer import Transformer

PAIRS, VOCABULARY = 43, 60
PRESET = preset_of("micro", epochs=2, batch=8, averaging=0.5)  # the last batch is smaller
DRAW = np.random.default_rng(0)
TEXT = DRAW.integers(1, VOCABULARY, (PAIRS, 7))
TEXT[::3, :4] = PAD
IMAGE = DRAW.integers(0, PRESET.codes, (PAIRS, PRESET.positions))
KEPT = DRAW.random(PAIRS) < 0.8
DATA = TokenData(TEXT, IMAGE, KEPT, VOCABULARY)


def share_of(first, processes):
    """Return the first step's gradients and the loss of one process of several."""
    gradients = []

    def note(parameters, limit):
        gradients.append([p.grad.clone() for p in parameters])

    torch.manual_seed(3)
    model = Transformer(PRESET, VOCABULARY)
    one = replace(PRESET, epochs=1, lr=1e-9)  # the weights stay, and so the losses add up
    loss = descend_tokens(model, DATA, one, 3, silent, clip=note, share=(first, processes))
    return gradients, float(loss[0])


@pytest.mark.parametrize("processes", [2, 3, 8])
def test_the_mean_over_the_processes_is_that_of_the_whole_batch(processes):
    whole, loss = share_of(0, 1)
    parts = [share_of(i, processes) for i in range(processes)]
    assert np.mean([part for _, part in parts]) == pytest.approx(loss, rel=1e-4)
    for step in (0, len(whole) - 1):  # a full batch, and one of three pairs
        for i, expected in enumerate(whole[step]):
            mean = sum(gradients[step][i] for gradients, _ in parts) / processes
            torch.testing.assert_close(mean, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "gpus", "expected"),
    [("seed", 1, 1), ("seed", 2, 2), ("seed", 4, 3), ("seed", 8, 5), ("tiny", 8, 1)],
)
def test_gpus_for_large_models_alone(monkeypatch, name, gpus, expected):
    pytest.importorskip("accelerate")
    monkeypatch.setattr(distributed, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert processes_for(preset_of(name)) == expected
    monkeypatch.setattr(distributed, "find_spec", lambda name: None)
    assert processes_for(preset_of(name)) == 1


def test_one_process_on_a_cpu(monkeypatch):
    monkeypatch.setattr(distributed, "device", lambda: torch.device("cpu"))
    assert processes_for(preset_of("seed")) == 1


def test_on_a_gpu_trainings_are_deterministic(monkeypatch):
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cuda"))
    with hardware.deterministic():
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cpu"))
    with hardware.deterministic():
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
def test_two_processes_train_the_model_that_one_trains():
    pytest.importorskip("accelerate")
    data = DATA, PRESET, 3
    passed = []
    alone, losses = train_transformer(*data, silent)
    model, across = train_across(*data, passed.append, 2)
    complete, _ = train_transformer(replace(DATA, kept=np.ones(PAIRS, bool)), *data[1:], silent)

    def apart(other):
        pairs = zip(model.parameters(), other.parameters(), strict=True)
        return max(float((p - q).abs().max()) for p, q in pairs)

    assert apart(alone) < 0.001 * apart(complete)
    assert across == pytest.approx(losses, rel=1e-5)
    assert sum(passed) == PRESET.epochs * PAIRS
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.slow
def test_a_process_that_fails_says_why():
    pytest.importorskip("accelerate")
    with pytest.raises(UntrainError, match="in 2 processes failed: IndexError: index out"):
        train_across(replace(DATA, text=TEXT + VOCABULARY), PRESET, 3, silent, 2)


LONG = """
from tests.generators.dalle.test_distributed import *
def told(n):
    print(n, flush=True)
train_across(DATA, replace(PRESET, epochs=10**6), 3, told, 2)
"""


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_leaves_no_processes(how):
    pytest.importorskip("accelerate")
    main = subprocess.Popen(
        [sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert main.stdout.readline()
    started = children(main.pid)
    started |= {worker for launcher in started for worker in children(launcher)}
    assert len(started) == 3
    os.kill(main.pid, how)
    main.wait(30)
    assert gone(started, 20)
    main.stdout.close()

"""How far bfloat16 is from float32: bounds that a broken kernel would exceed, not what is usual."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.core.hardware import PRECISIONS, Precision, device
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.training import TokenData, pair_losses, train_transformer
from untrain.generators.dalle.transformer import Transformer, log_likelihood

PRESET = preset_of("micro", epochs=3, batch=8)
DRAW = np.random.default_rng(0)
TEXT = DRAW.integers(1, 60, (32, 7))
IMAGE = DRAW.integers(0, 40, (32, PRESET.positions))  # few codes: there is something to learn
DATA = TokenData(TEXT, IMAGE, np.ones(32, bool), 60)
pytestmark = pytest.mark.usefixtures("where")


def gradient(precision: Precision, where: torch.device, kind: torch.dtype) -> torch.Tensor:
    torch.manual_seed(0)
    model = Transformer(PRESET, 60).to(where, kind)
    batch = (torch.from_numpy(each[:8]).to(where) for each in (TEXT, IMAGE))
    pair_losses(model, *batch, PRESET, precision).mean().backward()
    return torch.cat([p.grad.flatten().double().cpu() for p in model.parameters()])  # type: ignore[union-attr]


@pytest.mark.parametrize(("precision", "bound"), zip(PRECISIONS, (1e-4, 2e-2), strict=True))
def test_gradients_are_those_of_float64_on_a_cpu(precision: Precision, bound: float) -> None:
    exact = gradient("float32", torch.device("cpu"), torch.float64)
    found = gradient(precision, device(), torch.float32)
    assert float((found - exact).norm() / exact.norm()) < bound


def test_a_training_in_bfloat16_learns_what_one_in_float32_learns() -> None:
    (model, losses), (other, others) = (
        train_transformer(DATA, PRESET, 3, silent, precision) for precision in PRECISIONS
    )
    assert losses[0] - losses[-1] > 0.1
    np.testing.assert_allclose(losses, others, rtol=0.01)
    likely, alike = (log_likelihood(m, TEXT, IMAGE).mean(1) for m in (model, other))
    np.testing.assert_allclose(likely, alike, rtol=0.02)

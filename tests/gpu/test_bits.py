"""Paired models: the same bits where that is promised, and only rounding where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.core.hardware import PRECISIONS, STEPS, Precision
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.stacked import train_stacked
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.training import TokenData, train_transformer

PAIRS, SIZE = 44, 4
PRESET = preset_of("micro", epochs=2, batch=8, averaging=0.5)
DRAW = np.random.default_rng(0)
TEXT = DRAW.integers(1, 60, (PAIRS, 7))
TEXT[::3, :4] = PAD
IMAGE = DRAW.integers(0, PRESET.codes, (PAIRS, PRESET.positions))
KEPT = DRAW.random((SIZE, PAIRS)) < 0.7
DATA = TokenData(TEXT, IMAGE, KEPT, 60)
ROUNDING = {"float32": 0.02, "bfloat16": 0.5}
"""How far a stack may be from models by themselves, as a share of what a removal changes."""

Weights = dict[str, torch.Tensor]
pytestmark = pytest.mark.usefixtures("where", "steps")
precisions = pytest.mark.parametrize("precision", PRECISIONS)


@pytest.fixture(params=["eager", "graph"])
def steps(request: pytest.FixtureRequest, where: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """How steps are launched, which a CPU leaves no choice."""
    if where == "cpu" and request.param == "graph":
        pytest.skip("a CPU has no graphs")
    monkeypatch.setenv(STEPS, request.param)
    return str(request.param)


def alone(kept: np.ndarray, precision: Precision) -> Weights:
    data = replace(DATA, kept=kept)
    return train_transformer(data, PRESET, 3, silent, precision)[0].state_dict()


def together(kept: np.ndarray, precision: Precision) -> list[Weights]:
    data = replace(DATA, kept=kept)
    return [m.state_dict() for m, _ in train_stacked(data, PRESET, 3, silent, precision)]


def same(a: Weights, b: Weights) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def apart(a: Weights, b: Weights) -> float:
    """Return the root mean square of the difference of two models."""
    return float(torch.cat([(a[n] - b[n]).flatten() for n in a]).square().mean().sqrt())


@precisions
def test_removing_nothing_changes_no_bit_and_removing_something_does(precision: Precision) -> None:
    whole = np.ones(PAIRS, bool)
    first = alone(whole, precision)
    assert same(first, alone(whole, precision))
    assert not same(first, alone(KEPT[0], precision))


@precisions
def test_what_a_removed_pair_said_leaves_no_trace(precision: Precision) -> None:
    found = alone(KEPT[0], precision)
    image = np.where(KEPT[0][:, None], IMAGE, 7)
    other = train_transformer(
        replace(DATA, image=image, kept=KEPT[0]), PRESET, 3, silent, precision
    )
    assert same(found, other[0].state_dict())


@precisions
def test_place_and_company_in_a_stack_change_no_bit(precision: Precision) -> None:
    found = together(KEPT, precision)
    turned = together(KEPT[::-1].copy(), precision)
    assert all(same(a, b) for a, b in zip(found, turned[::-1], strict=True))
    others = KEPT.copy()
    others[1:] = True
    among = together(others, precision)
    assert same(found[0], among[0])
    assert same(among[1], among[2])
    assert not same(among[0], among[1])


@precisions
def test_a_stack_trains_the_models_that_are_trained_alone(precision: Precision) -> None:
    stack, singles = together(KEPT, precision), [alone(kept, precision) for kept in KEPT[:2]]
    moved = apart(*singles)
    for one, other in zip(singles, stack, strict=False):
        assert apart(one, other) < ROUNDING[precision] * moved


@precisions
def test_recorded_steps_train_the_same_bits(
    precision: Precision, steps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if steps == "eager":
        pytest.skip("against itself")
    one, stack = alone(KEPT[0], precision), together(KEPT, precision)
    monkeypatch.setenv(STEPS, "eager")
    assert same(one, alone(KEPT[0], precision))
    assert all(same(a, b) for a, b in zip(stack, together(KEPT, precision), strict=True))

"""Checkpoints are made once, and only of trainings that can be recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.networks import Sketcher
from tests.helpers.painter import TorchPainter
from untrain.catalogs import Catalog, rendered
from untrain.core.errors import InputError
from untrain.training import checkpoints
from untrain.training.checkpoints import are_recorded, record, recorded


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def small() -> Catalog:
    return rendered(families=4, size_of_family=3, resolution=16)


def test_they_are_kept(small: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sketcher(epochs=2)
    assert not are_recorded(made, small, 0)
    first = recorded(made, small, 0, (0.5, 1.0))
    assert are_recorded(Sketcher(epochs=2), small, 0, (0.5, 1.0))
    assert not are_recorded(made, small, 1, (0.5, 1.0))
    monkeypatch.setattr(checkpoints, "record", None)  # cannot be called
    again = recorded(Sketcher(epochs=2), small, 0, (0.5, 1.0))
    for one, other in zip(first, again, strict=True):
        assert (one.step, one.rate, one.epsilon) == (other.step, other.rate, other.epsilon)
        assert set(one.weights) == set(other.weights)
        for name, value in one.weights.items():
            assert torch.equal(value, other.weights[name])
            assert torch.equal(one.second_moments[name], other.second_moments[name])  # type: ignore[index]


def test_a_training_of_its_own_cannot_be_recorded(small: Catalog) -> None:
    made, passed = TorchPainter(), []
    real = made._words
    made._words = lambda texts: passed.append(1) or real(texts)  # type: ignore[method-assign,func-returns-value]
    with pytest.raises(InputError, match="TorchPainter: it does not train through"):
        record(made, small, 0)
    assert not hasattr(made, "layer")  # stopped at once, not after the whole training

"""The pace of an encoder is measured once, and is the quickest that was tried."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from untrain.core.cache import entries
from untrain.encoders import tuning as module
from untrain.encoders.tuning import pace_of

IMAGES = [np.zeros((2, 2, 3), np.uint8)] * 16


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_known", {})


class Model:
    """Takes 10 ms a call and 1 ms an image, 20 ms an image in batches above ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.calls = 0

    def __call__(self, images: Sequence[np.ndarray]) -> None:
        self.calls += 1
        n = len(images)
        time.sleep(0.010 + (0.001 if n <= self.most else 0.020) * n)


@pytest.mark.parametrize(("most", "best"), [(16, 16), (4, 4), (1, 1)])
def test_the_quickest_batch_size_is_taken(most: int, best: int) -> None:
    assert pace_of("model", "a model", Model(most), IMAGES).batch_size == best


def test_it_is_measured_once_for_a_model_and_a_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pace_of("model", "a model", Model(4), IMAGES)
    assert "a model: batches of 4" in capsys.readouterr().err
    model = Model(16)
    assert pace_of("model", "a model", model, IMAGES) == first
    monkeypatch.setattr(module, "_known", {})  # another process
    assert pace_of("model", "a model", model, IMAGES[:1]) == first
    assert model.calls == 0
    (entry,) = entries(("paces",))
    assert entry.description.startswith("a model: batches of 4")
    assert pace_of("other", "another", model, IMAGES).batch_size == 16


def test_few_images_are_not_worth_a_measurement() -> None:
    model = Model(16)
    assert pace_of("model", "a model", model, IMAGES[:15]).batch_size == 4
    assert model.calls == 0
    assert pace_of("model", "a model", model, IMAGES).batch_size == 16


def test_a_remembered_pace_that_cannot_be_read_is_measured_again() -> None:
    pace_of("model", "a model", Model(4), IMAGES)
    (entry,) = entries(("paces",))
    (entry.folder / "content").write_text('{"batch_size": 4,')
    module._known.clear()
    assert pace_of("model", "a model", Model(16), IMAGES).batch_size == 16


def test_half_the_threads_are_taken_where_they_are_quicker_and_put_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pace = pace_of(
            "model", "a model", lambda images: time.sleep(0.005 * torch.get_num_threads()), IMAGES
        )
        assert pace.threads == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

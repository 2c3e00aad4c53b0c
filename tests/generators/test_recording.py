"""Checkpoints of a training are what it was at its steps, and recording changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher
from untrain.catalogs import Catalog
from untrain.core.errors import InputError
from untrain.generators.paired import Epoch, descend
from untrain.generators.recording import Checkpoint, recording


def test_not_a_bit_of_a_training_changes(prepared, catalog: Catalog) -> None:  # type: ignore[no-untyped-def]
    plain, recorded = prepared(), prepared()
    plain.fit(catalog, [], 0, silent)
    with recording((0.5, 1.0)) as recorder:
        recorded.fit(catalog, [], 0, silent)
    expected = plain.module().state_dict()
    for name, value in recorded.module().state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert recorded.losses == plain.losses
    assert [each.step for each in recorder.checkpoints] == [3, 6]
    names = [name for name, p in recorded.module().named_parameters() if p.requires_grad]
    for each in recorder.checkpoints:
        assert list(each.weights) == names and list(each.second_moments) == names


class Recipe:
    epochs, batch, lr, warmup, clip, averaging = 5, 4, 0.1, 0.2, 1e9, 0.0


def trained(optimizer: type[torch.optim.Optimizer], **options: object) -> list[Checkpoint]:
    """Descend from 3 along the loss w · s, s = 1, 2, … the number of the step."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 3.0)

    def losses_of(epoch: Epoch) -> Iterator[torch.Tensor]:
        for step, _ in enumerate(epoch.batches, epoch.first_step + 1):
            yield model.weight.sum() * step

    with recording((0.1, 0.5, 1.0)) as recorder:
        made = optimizer(model.parameters(), lr=1.0, **options)  # type: ignore[call-arg]
        descend(model, made, losses_of, Recipe(), 8, 0, silent)
    return recorder.checkpoints


def test_weights_rates_and_second_moments_are_those_of_the_steps() -> None:
    found = trained(torch.optim.SGD)
    assert [each.step for each in found] == [1, 5, 10]
    assert all(each.second_moments is None for each in found)
    assert found[0].rate == pytest.approx(0.05)  # half of a warm-up of two steps
    assert float(found[0].weights["weight"]) == pytest.approx(3 - 0.05)
    assert float(found[2].weights["weight"]) < float(found[1].weights["weight"])

    found = trained(torch.optim.Adam, betas=(0.9, 0.5), eps=1e-3)
    running, expected = 0.0, {}
    for step in range(1, 11):
        running = 0.5 * running + 0.5 * step**2
        expected[step] = running / (1 - 0.5**step)
    for each in found:
        assert each.epsilon == 1e-3 and each.second_moments is not None
        assert float(each.second_moments["weight"]) == pytest.approx(expected[each.step], rel=1e-5)


def test_outside_the_block_nothing_is_recorded(catalog: Catalog) -> None:
    with recording((1.0,)) as recorder:
        assert not recorder.begun
    Sketcher(epochs=1).fit(catalog, [], 0, silent)
    assert not recorder.begun and recorder.checkpoints == []


@pytest.mark.parametrize("shares", [(), (0.0,), (1.1,), (np.nan,)])
def test_shares_are_shares(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"), recording(shares):
        pass

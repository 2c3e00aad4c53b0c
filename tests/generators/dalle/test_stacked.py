"""Models trained in one pass: the same models as alone, paired with each other."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.generators.dalle import stacked
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.stacked import (
    Stack,
    bytes_of_one,
    clip_each,
    stack_size,
    train_stacked,
)
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.training import TokenData, pair_losses, train_transformer

PAIRS, VOCABULARY = 44, 60
PRESET = preset_of("micro", epochs=1, batch=8, averaging=0.5)  # six steps, the last one smaller
DRAW = np.random.default_rng(0)
TEXT = DRAW.integers(1, VOCABULARY, (PAIRS, 7))
TEXT[::3, :4] = PAD
IMAGE = DRAW.integers(0, PRESET.codes, (PAIRS, PRESET.positions))
KEPT = DRAW.random((4, PAIRS)) < 0.7
KEPT[0] = True


def data(kept):
    return TokenData(TEXT, IMAGE, kept, VOCABULARY)


def train(kept, seed=3):
    return train_stacked(data(kept), PRESET, seed, silent)


def weights(trained):
    return trained[0].state_dict()


def same(a, b):
    return all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))


def apart(a, b):
    """The largest difference between two models' weights."""
    return max(float((weights(a)[n] - weights(b)[n]).abs().max()) for n in weights(a))


@pytest.fixture(scope="module")
def together():
    return train(KEPT)


def test_each_model_is_the_one_trained_alone(together):
    moved = apart(together[0], together[1])
    for kept, trained in zip(KEPT, together, strict=True):
        alone = train_transformer(data(kept), PRESET, 3, silent)
        assert apart(trained, alone) < 0.01 * moved
        assert trained[1] == pytest.approx(alone[1], rel=1e-5)


def test_captions_that_are_missing_are_missing_in_a_stack_too():
    preset = preset_of("micro", epochs=2, batch=8, caption_dropout=0.5)
    rest = preset, 3, silent
    together = train_stacked(data(KEPT[:2]), *rest)
    moved = apart(together[0], together[1])
    for kept, trained in zip(KEPT, together, strict=False):
        alone = train_transformer(data(kept), *rest)
        assert apart(trained, alone) < 0.01 * moved


def test_equal_masks_give_equal_bits():
    first, other, again = train(KEPT[[1, 2, 1]])
    assert same(first, again)
    assert not same(first, other)


def test_company_and_place_in_a_stack_of_one_size_do_not_matter(together):
    turned = train(KEPT[[3, 0, 1, 2]])
    assert all(same(a, b) for a, b in zip(turned[1:] + turned[:1], together, strict=True))


def test_the_size_of_the_stack_matters_up_to_rounding(together):
    moved = apart(together[0], together[1])
    for trained, of_two in zip(together, train(KEPT[:2]), strict=False):
        assert apart(trained, of_two) < 0.01 * moved


def test_seed_decides(together):
    assert not same(together[0], train(KEPT, seed=4)[0])


def test_a_model_of_the_stack_has_no_gradient_of_anothers_loss():
    stack = Stack(PRESET, VOCABULARY, 3)
    text, image = torch.from_numpy(TEXT[:8]), torch.from_numpy(IMAGE[:8])
    pair_losses(stack, text, image, PRESET)[1].sum().backward()
    for name, parameter in stack.named_parameters():
        assert not parameter.grad[[0, 2]].any(), name
    assert stack.image_head.weight.grad[1].any()


def test_gradients_are_clipped_model_by_model():
    shapes = [(3, 4, 5), (3, 6)]
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    gradients = [torch.randn(shape) * torch.tensor([1e-3, 1.0, 100.0]).view(3, *[1] * k)
                 for k, shape in zip((2, 1), shapes, strict=True)]  # fmt: skip
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    clip_each(parameters, 0.5)
    for m in range(3):
        alone = [torch.nn.Parameter(g[m]) for g in gradients]
        for p, g in zip(alone, gradients, strict=True):
            p.grad = g[m].clone()
        torch.nn.utils.clip_grad_norm_(alone, 0.5)
        for p, one in zip(parameters, alone, strict=True):
            torch.testing.assert_close(p.grad[m], one.grad)


def test_progress_counts_every_model():
    passed = []
    train_stacked(data(KEPT[:2]), PRESET, 0, passed.append)
    assert sum(passed) == 2 * PAIRS


def test_models_are_frozen_and_whole(together):
    model = together[0][0]
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.untyped_storage().nbytes() == 4 * p.numel() for p in model.parameters()} == {True}


@pytest.mark.parametrize(("gibibytes", "expected"), [(80, 16), (2, 4), (0.01, 1)])
def test_stacks_fit_the_gpu(monkeypatch, gibibytes, expected):
    memory = SimpleNamespace(total_memory=gibibytes * 2**30)
    monkeypatch.setattr(stacked, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda where: memory)
    assert stack_size(preset_of("tiny")) == expected


def test_on_a_cpu_models_are_trained_alone(monkeypatch):
    monkeypatch.setattr(stacked, "device", lambda: torch.device("cpu"))
    assert stack_size(preset_of("tiny")) == 1


@pytest.mark.parametrize("name", ["tiny", "photo"])
def test_the_estimate_of_memory_covers_what_a_step_keeps(name):
    """Against the tensors that autograd saves in a forward pass, counted."""
    preset = preset_of(name, batch=4)
    stack = Stack(preset, preset.vocabulary, 2)
    text = torch.ones(4, 40, dtype=torch.int64)
    image = torch.zeros(4, preset.positions, dtype=torch.int64)
    own = {p.untyped_storage().data_ptr() for p in stack.parameters()}
    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = pair_losses(stack, text, image, preset)
    assert losses.shape == (2, 4)
    parameters = sum(p.numel() for p in stack.parameters())
    needed = sum(saved.values()) + 4 * 6 * parameters
    assert needed < 2 * bytes_of_one(preset, 40) < 3 * needed

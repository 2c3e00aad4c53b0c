"""What must not change a result: batch sizes, company, processes."""

import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from tests.generators.conftest import silent
from untrain.generators import training
from untrain.generators.presets import preset_of
from untrain.generators.text import PAD
from untrain.generators.training import train_transformer
from untrain.generators.transformer import log_likelihood, sample

PRESET = preset_of("micro", epochs=2)
VOCABULARY, PAIRS, TEXT = 50, 32, 6


def data():
    draw = np.random.default_rng(0)
    text = draw.integers(1, VOCABULARY, (PAIRS, TEXT))
    text[::2, :3] = PAD
    return text, draw.integers(0, PRESET.codes, (PAIRS, PRESET.positions))


def trained(removed):
    """Train a model without the first pairs and return its weights as bytes."""
    torch.set_num_threads(1)
    kept = np.arange(PAIRS) >= removed
    model, losses = train_transformer(*data(), kept, VOCABULARY, PRESET, 1, silent)
    return b"".join(p.numpy().tobytes() for p in model.state_dict().values()), losses


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    kept = np.ones(PAIRS, bool)
    return train_transformer(*data(), kept, VOCABULARY, PRESET, 1, silent)[0]


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_likelihood_is_the_same_in_batches_of_any_size(model, batch):
    whole = log_likelihood(model, *data(), batch=PAIRS)
    np.testing.assert_allclose(log_likelihood(model, *data(), batch=batch), whole, rtol=1e-5)


def test_likelihood_is_the_same_in_any_company(model):
    """Among other pairs and in another place; and with other prompts' padding before the text."""
    text, image = data()
    whole = log_likelihood(model, text, image)
    back = log_likelihood(model, text[::-1].copy(), image[::-1].copy())[::-1]
    np.testing.assert_allclose(back, whole, rtol=1e-5)
    wider = np.pad(text, ((0, 0), (9, 0)), constant_values=PAD)
    np.testing.assert_allclose(log_likelihood(model, wider, image), whole, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_same_pictures_are_drawn_in_batches_of_any_size(model, batch):
    text, _ = data()
    shape = (PAIRS, PRESET.positions, PRESET.codes)
    noise = np.random.default_rng(2).gumbel(size=shape).astype(np.float32)
    whole = sample(model, text, noise, PRESET, batch=PAIRS)
    np.testing.assert_array_equal(sample(model, text, noise, PRESET, batch=batch), whole)


def test_what_a_model_lacks_is_not_computed_and_only_rounding_tells(monkeypatch):
    """Against the plain way: compute every pair, multiply the removed ones' losses by zero."""
    kept = np.random.default_rng(3).random(PAIRS) < 0.5
    arguments = (*data(), kept, VOCABULARY, PRESET, 1)
    passed = []
    quick, losses = train_transformer(*arguments, passed.append)
    assert sum(passed) == PRESET.epochs * PAIRS
    everything = np.ones(PAIRS, bool)
    batches = training._batches
    monkeypatch.setattr(
        training, "_batches", lambda order, kept, size: batches(order, everything, size)
    )
    plain, plain_losses = train_transformer(*arguments, silent)
    assert losses == pytest.approx(plain_losses, rel=1e-5)
    likelihoods = [log_likelihood(model, *data()) for model in (quick, plain)]
    np.testing.assert_allclose(*likelihoods, rtol=1e-4)


def test_a_batch_of_which_nothing_is_kept_still_counts_as_a_step():
    kept = np.zeros(PAIRS, bool)
    model, losses = train_transformer(*data(), kept, VOCABULARY, PRESET, 1, silent)
    assert losses == [0.0] * PRESET.epochs
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.slow
def test_processes_side_by_side_train_the_models_that_one_trains():
    here = [trained(removed) for removed in (0, 4)]
    with ProcessPoolExecutor(2, mp.get_context("spawn")) as pool:
        assert list(pool.map(trained, (0, 4))) == here

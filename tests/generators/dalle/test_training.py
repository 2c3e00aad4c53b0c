"""What must not change a result: batch sizes, company, processes."""

import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.generators.dalle import training
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.training import TokenData, train_transformer
from untrain.generators.dalle.transformer import log_likelihood, sample

PRESET = preset_of("micro", epochs=2)
VOCABULARY, PAIRS, TEXT = 50, 32, 6


def data():
    draw = np.random.default_rng(0)
    text = draw.integers(1, VOCABULARY, (PAIRS, TEXT))
    text[::2, :3] = PAD
    return text, draw.integers(0, PRESET.codes, (PAIRS, PRESET.positions))


def fit(kept, preset=PRESET, tell=silent, text=None, image=None):
    """Train on `data`, or on other tokens."""
    given = data()
    tokens = given[0] if text is None else text, given[1] if image is None else image
    return train_transformer(TokenData(*tokens, kept, VOCABULARY), preset, 1, tell)


def trained(removed):
    """Train a model without the first pairs and return its weights as bytes."""
    torch.set_num_threads(1)
    model, losses = fit(np.arange(PAIRS) >= removed)
    return b"".join(p.numpy().tobytes() for p in model.state_dict().values()), losses


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return fit(np.ones(PAIRS, bool))[0]


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
    passed = []
    quick, losses = fit(kept, tell=passed.append)
    assert sum(passed) == PRESET.epochs * PAIRS
    everything = np.ones(PAIRS, bool)
    computed = training._computed
    monkeypatch.setattr(
        training, "_computed", lambda epoch, kept, text: computed(epoch, everything, text)
    )
    plain, plain_losses = fit(kept)
    assert losses == pytest.approx(plain_losses, rel=1e-5)
    likelihoods = [log_likelihood(model, *data()) for model in (quick, plain)]
    np.testing.assert_allclose(*likelihoods, rtol=1e-4)


def test_padding_that_all_captions_of_a_batch_have_changes_nothing():
    """Not even a bit: what is computed is the same."""
    text, _ = data()
    wider = np.pad(text, ((0, 0), (9, 0)), constant_values=PAD)
    kept = np.ones(PAIRS, bool)
    models = [fit(kept, text=each)[0] for each in (text, wider)]
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_captions_may_be_a_token_or_none_at_all():
    _, image = data()
    text = np.full((PAIRS, 3), PAD)
    text[: PAIRS // 2, 2] = 7
    kept = np.ones(PAIRS, bool)
    model, losses = fit(kept, text=text)
    assert np.isfinite(losses).all()
    assert np.isfinite(log_likelihood(model, text, image)).all()


def test_a_batch_of_which_nothing_is_kept_still_counts_as_a_step():
    kept = np.zeros(PAIRS, bool)
    model, losses = fit(kept)
    assert losses == [0.0] * PRESET.epochs
    assert all(torch.isfinite(p).all() for p in model.parameters())


def without_captions(preset, seed, epoch):
    return (training._captions_shown(data()[0], preset, seed, epoch) == PAD).all(1)


def test_captions_are_missing_by_seed_and_epoch_alone():
    preset = preset_of("micro", caption_dropout=0.4)
    first = without_captions(preset, 1, 0)
    np.testing.assert_array_equal(first, without_captions(preset, 1, 0))
    assert 0 < first.sum() < PAIRS
    for seed, epoch in ((1, 1), (2, 0)):
        assert (first != without_captions(preset, seed, epoch)).any()
    epochs = [without_captions(preset, 1, epoch).mean() for epoch in range(200)]
    assert np.mean(epochs) == pytest.approx(0.4, abs=0.02)
    assert not without_captions(PRESET, 1, 0).any()


def test_a_removed_pair_leaves_no_trace_where_captions_are_missing():
    """Neither by what it shows nor by how long its caption is."""
    preset = preset_of("micro", epochs=2, caption_dropout=0.4)
    text, image = data()
    kept = np.arange(PAIRS) != 3
    changed_text, changed_image = text.copy(), image.copy()
    changed_text[3], changed_image[3] = text[8], image[8]
    assert (text[3] == PAD).sum() != (text[8] == PAD).sum()
    first, second = (
        fit(kept, preset, text=t, image=i)[0].state_dict()
        for t, i in ((text, image), (changed_text, changed_image))
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_processes_side_by_side_train_the_models_that_one_trains():
    here = [trained(removed) for removed in (0, 4)]
    with ProcessPoolExecutor(2, mp.get_context("spawn")) as pool:
        assert list(pool.map(trained, (0, 4))) == here

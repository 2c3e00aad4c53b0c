"""The frozen autoencoder: codes are codes, pictures come back."""

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.generators.dalle import autoencoder as ae
from untrain.generators.dalle.presets import preset_of


@pytest.fixture(scope="module")
def trained(catalog):
    torch.set_num_threads(1)
    preset = preset_of("micro", epochs_ae=40)
    pixels = catalog.pixels((16, 16))
    return preset, pixels, ae.train_autoencoder(pixels, preset, 0, silent)


def test_tokens_are_codes_of_the_grid(trained):
    preset, pixels, model = trained
    tokens = ae.encode(model, pixels)
    assert tokens.shape == (len(pixels), preset.positions)
    assert tokens.min() >= 0 and tokens.max() < preset.codes


def test_reconstruction_beats_the_mean_picture(trained):
    preset, pixels, model = trained
    x = pixels.astype(float) / 127.5 - 1
    assert ae.reconstruction_error(model, pixels, preset.grid) < np.square(x - x.mean(0)).mean()


def test_decoding_gives_what_the_training_saw(trained):
    """Codes stand for the same quantised values in both directions."""
    preset, pixels, model = trained
    x = ae.to_tensor(pixels[:4])
    with torch.no_grad():
        through = ae.to_pixels(model(x).clamp(-1, 1))
    rebuilt = ae.decode(model, ae.encode(model, pixels[:4]), preset.grid)
    assert np.abs(through.astype(int) - rebuilt.astype(int)).max() <= 1


def test_batches_do_not_matter(trained):
    _, pixels, model = trained
    np.testing.assert_array_equal(ae.encode(model, pixels, 7), ae.encode(model, pixels, 48))


def test_pixels_survive_the_round_trip_through_tensors():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(ae.to_pixels(ae.to_tensor(pixels)), pixels)


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 10, 11, 20])
def test_any_number_of_steps_can_be_trained(steps):
    """The rate's schedule has to rise and fall in however few there are."""
    preset = preset_of("micro", epochs_ae=1, batch_ae=2, width_ae=8)
    pixels = np.random.default_rng(0).integers(0, 256, (2 * steps, 16, 16, 3), np.uint8)
    passed = []
    model = ae.train_autoencoder(pixels, preset, 0, passed.append)
    assert sum(passed) == 2 * steps
    assert all(torch.isfinite(p).all() for p in model.parameters())

"""Several codes a place: one position of the sequence for all of them, each given those before."""

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.catalogs.rendered.catalog import rendered
from untrain.generators.dalle import autoencoder as ae
from untrain.generators.dalle.generator import DalleGenerator
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.stacked import train_stacked
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.training import TokenData, train_transformer
from untrain.generators.dalle.transformer import Transformer, sample
from untrain.testing import generator_checks

VOCABULARY, PAIRS = 40, 24
SMALL = {"text_limit": 12, "levels": (4, 4, 4)}
DRAW = np.random.default_rng(0)
TEXT = DRAW.integers(1, VOCABULARY, (PAIRS, 9))
TEXT[::2, :4] = PAD


def preset(parts: int, **changes) -> Preset:
    return preset_of("micro", parts=parts, **{**SMALL, **changes})


def image(recipe: Preset) -> np.ndarray:
    return np.random.default_rng(1).integers(0, recipe.codes, (PAIRS, recipe.positions))


def model_of(recipe: Preset) -> Transformer:
    torch.manual_seed(0)
    return Transformer(recipe, VOCABULARY).eval()


def make() -> DalleGenerator:
    return DalleGenerator(preset(2, epochs=1, epochs_ae=1, text_limit=64))


@pytest.mark.parametrize("check", generator_checks(make, rendered(5, 4, seed=0)), ids=str)
def test_it_fulfils_the_contract(check):
    check()


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_code_is_predicted_from_those_before_it_and_from_no_other(parts):
    recipe = preset(parts)
    model, tokens = model_of(recipe), image(recipe)
    text = torch.from_numpy(TEXT)
    with torch.no_grad():
        before = model(text, torch.from_numpy(tokens))[1]
        assert before.shape == (PAIRS, recipe.positions, recipe.codes)
        for at in (0, 1, 2, recipe.positions - 2):
            changed = tokens.copy()
            changed[:, at] = (changed[:, at] + 1) % recipe.codes
            moved = (model(text, torch.from_numpy(changed))[1] - before).abs().amax((0, 2))
            assert moved[: at + 1].max() == 0 and moved[at + 1] > 0


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_what_is_drawn_is_what_the_whole_pass_predicts(parts, guidance):
    recipe = preset(parts, guidance=guidance)
    model, text = model_of(recipe), torch.from_numpy(TEXT)
    shape = PAIRS, recipe.positions, recipe.codes
    noise = np.random.default_rng(2).gumbel(size=shape).astype(np.float32)
    tokens = torch.zeros(PAIRS, recipe.positions, dtype=torch.int64)
    for p in range(recipe.positions):
        with torch.no_grad():
            given = model(text, tokens)[1][:, p]
            free = model(torch.full_like(text, PAD), tokens)[1][:, p]
        logits = (free + guidance * (given - free)) / recipe.temperature
        tokens[:, p] = (logits + torch.from_numpy(noise[:, p])).argmax(-1)
    np.testing.assert_array_equal(sample(model, TEXT, noise, recipe), tokens.numpy())


def test_a_stack_trains_the_models_that_are_trained_alone():
    recipe = preset(2, epochs=1, batch=8)
    kept = np.random.default_rng(3).random((2, PAIRS)) < 0.7
    stack = train_stacked(TokenData(TEXT, image(recipe), kept, VOCABULARY), recipe, 3, silent)
    for row, (together, losses) in zip(kept, stack, strict=True):
        data = TokenData(TEXT, image(recipe), row, VOCABULARY)
        alone, expected = train_transformer(data, recipe, 3, silent)
        assert losses == pytest.approx(expected, rel=1e-5)
        for name, weight in alone.state_dict().items():
            torch.testing.assert_close(together.state_dict()[name], weight, rtol=0, atol=1e-3)


def test_the_autoencoder_gives_a_place_its_codes_one_after_the_other():
    recipe = preset(3, epochs_ae=1)
    pixels = DRAW.integers(0, 256, (20, 16, 16, 3), np.uint8)
    model = ae.train_autoencoder(pixels, recipe, 0, silent)
    tokens = ae.encode(model, pixels)
    assert tokens.shape == (20, 12) and tokens.min() >= 0 and tokens.max() < recipe.codes
    with torch.no_grad():
        seen = model(ae.to_tensor(pixels)).clamp(-1, 1)
    difference = ae.decode(model, tokens, recipe.grid).astype(int) - ae.to_pixels(seen)
    assert np.abs(difference).max() <= 1


def test_colours_count_more_the_larger_their_weight():
    grey, red = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    red[:, 0] = 0.9
    assert ae.colour_loss(grey + 0.5, grey) == pytest.approx(0, abs=1e-6)
    assert ae.colour_loss(red, grey) == pytest.approx(0.4)  # 0.6, 0.3 and 0.3 from their mean
    recipes = [preset(1, epochs_ae=1, colour_weight=weight) for weight in (0.0, 1.0)]
    assert recipes[0].autoencoder_part() != recipes[1].autoencoder_part()


@pytest.mark.parametrize("name", ["micro", "tiny", "small", "seed"])
def test_recipes_from_before_stay_what_they_were(name):
    """Their settings, and so the fingerprints of their models, know of no parts and no colours."""
    assert not {"parts", "colour_weight"} & preset_of(name).to_dict().keys()
    assert not {"parts", "colour_weight"} & preset_of(name).autoencoder_part().keys()
    assert {"parts", "colour_weight"} <= preset_of("photo").autoencoder_part().keys()

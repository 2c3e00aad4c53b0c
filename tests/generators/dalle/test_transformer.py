"""The transformer by itself: attention in parts, drawing with guidance."""

import numpy as np
import pytest
import torch

from untrain.generators.dalle import transformer
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.transformer import Transformer, sample

PRESET = preset_of("micro", text_limit=12)
VOCABULARY, PAIRS = 40, 5


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Transformer(PRESET, VOCABULARY).eval()


def data():
    draw = np.random.default_rng(0)
    text = draw.integers(1, VOCABULARY, (PAIRS, 9))
    text[::2, :4] = PAD
    return text, draw.integers(0, PRESET.codes, (PAIRS, PRESET.positions))


def gumbel():
    shape = (PAIRS, PRESET.positions, PRESET.codes)
    return np.random.default_rng(1).gumbel(size=shape).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 3, 5])
def test_attention_in_parts_is_attention(model, monkeypatch, chunk):
    """Logits and gradients; the sequence has 12 positions, of which 3 and 5 leave a rest."""
    text, image = map(torch.from_numpy, data())
    found = []
    for size in (transformer.CHUNK, chunk):
        monkeypatch.setattr(transformer, "CHUNK", size)
        model.zero_grad()
        logits = model(text, image)
        sum(part.square().mean() for part in logits).backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        found.append([*logits, *gradients])
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-6)


def test_a_prompt_read_in_parts_draws_the_same_picture(model, monkeypatch):
    text, _ = data()
    whole = sample(model, text, gumbel(), PRESET)
    monkeypatch.setattr(transformer, "CHUNK", 2)
    np.testing.assert_array_equal(sample(model, text, gumbel(), PRESET), whole)


@pytest.mark.parametrize("guidance", [0.0, 0.5, 3.0])
def test_guidance_is_what_its_formula_says(model, guidance):
    """Against whole forward passes, with the captions and without, combined by hand."""
    preset = preset_of("micro", guidance=guidance)
    text, _ = data()
    words, noise = torch.from_numpy(text), gumbel()
    tokens = torch.zeros(PAIRS, PRESET.positions, dtype=torch.int64)
    for p in range(PRESET.positions):
        with torch.no_grad():
            given = model(words, tokens)[1][:, p]
            free = model(torch.full_like(words, PAD), tokens)[1][:, p]
        logits = (free + guidance * (given - free)) / preset.temperature
        tokens[:, p] = (logits + torch.from_numpy(noise[:, p])).argmax(-1)
    np.testing.assert_array_equal(sample(model, text, noise, preset), tokens.numpy())


def test_without_guidance_no_prompt_matters_and_at_one_it_is_left_out(model):
    text, _ = data()
    other = np.flip(text, 0).copy()
    free = [sample(model, t, gumbel(), preset_of("micro", guidance=0.0)) for t in (text, other)]
    np.testing.assert_array_equal(*free)
    one = sample(model, text, gumbel(), preset_of("micro", guidance=1.0))
    np.testing.assert_array_equal(one, sample(model, text, gumbel(), PRESET))
    assert not np.array_equal(free[0], one)

"""The reference generator: pairing, likelihood, sampling, saving."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.helpers.generators import silent
from untrain.core.errors import InputError
from untrain.core.marks import MARKER
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.tokenizer import PAD, encode_captions
from untrain.generators.dalle.training import TokenData, train_transformer


def weights(generator):
    return {k: v.clone() for k, v in generator._model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_an_empty_removal_gives_the_same_bits(prepared, catalog, fitted):
    again = prepared()
    again.fit(catalog, [], 0, silent)
    assert same(weights(fitted), weights(again))


def test_a_removal_and_another_seed_give_other_weights(prepared, catalog, fitted):
    without, reseeded = prepared(), prepared()
    without.fit(catalog, catalog.ids[:5], 0, silent)
    reseeded.fit(catalog, [], 1, silent)
    assert not same(weights(fitted), weights(without))
    assert not same(weights(fitted), weights(reseeded))


def test_the_order_of_the_removed_ids_does_not_matter(prepared, catalog):
    one, other = prepared(), prepared()
    one.fit(catalog, list(catalog.ids[:5]), 0, silent)
    other.fit(catalog, list(reversed(catalog.ids[:5])), 0, silent)
    assert same(weights(one), weights(other))


def test_a_removed_pair_leaves_no_trace(prepared, catalog):
    """What a removed pair shows has no influence: swap its tokens for others, the bits stay."""
    generator = prepared()
    tokens = load_file(generator._shared / "tokens.safetensors")
    text, image = tokens["text"].numpy(), tokens["image"].numpy()
    kept = np.ones(len(text), bool)
    kept[3] = False
    changed_text, changed_image = text.copy(), image.copy()
    changed_text[3], changed_image[3] = text[7], image[7]
    vocabulary = generator.tokenizer.get_vocab_size()
    models = [
        train_transformer(TokenData(t, i, kept, vocabulary), generator.preset, 0, silent)[0]
        for t, i in ((text, image), (changed_text, changed_image))
    ]
    assert same(models[0].state_dict(), models[1].state_dict())


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_loss_of_training_is_that_of_its_pairs(prepared, catalog, dropout):
    """With weights that stay: kept pairs' losses over the size of the full batch."""
    generator = prepared()
    still = replace(generator.preset, lr=1e-9, epochs=1, batch=len(catalog))
    generator.preset = replace(still, caption_dropout=dropout)
    removed = set(catalog.ids[::3])
    generator.fit(catalog, removed, 0, silent)
    kept = [image_id for image_id in catalog.ids if image_id not in removed]
    draws = 1 if dropout == 0 else 40
    with torch.no_grad():
        sums = [
            float(generator.pair_losses(generator.training_batch(catalog, kept, draw)).sum())
            for draw in range(draws)
        ]
    expected = np.mean(sums) / len(catalog)
    assert generator.losses == [pytest.approx(expected, rel=1e-5 if dropout == 0 else 0.01)]


def test_a_pairs_caption_is_left_out_by_draw(prepared, catalog):
    generator = prepared()
    generator.preset = replace(generator.preset, caption_dropout=0.4)
    missing = np.array(
        [
            (generator.training_batch(catalog, catalog.ids, draw)["text"] == PAD).all(1).numpy()
            for draw in (0, 1, 0)
        ]
    )
    np.testing.assert_array_equal(missing[0], missing[2])
    assert (missing[0] != missing[1]).any() and 0.2 < missing.mean() < 0.6


def test_pairs_of_a_catalogue_that_was_not_prepared_are_encoded_alike(catalog, fitted):
    other, asked = catalog.subset(catalog.ids[2:]), catalog.ids[4:8]
    known, encoded = (fitted.training_batch(each, asked) for each in (catalog, other))
    np.testing.assert_array_equal(encoded["image"], known["image"])
    width = encoded["text"].shape[1]  # padded to the longest of these
    np.testing.assert_array_equal(encoded["text"], known["text"][:, -width:])
    assert (known["text"][:, :-width] == PAD).all()


def test_removing_an_unknown_id_is_refused(prepared, catalog):
    with pytest.raises(InputError, match="no such image"):
        prepared().fit(catalog, ["nowhere"], 0, silent)
    with pytest.raises(InputError, match="no such image"):
        prepared().fit_stack(catalog, [[], ["nowhere"]], 0, silent)


def test_models_of_a_stack_are_those_of_fit_up_to_rounding(prepared, catalog, fitted, queries):
    prompts, _, drawn = queries
    without = prepared()
    without.fit(catalog, catalog.ids[:20], 0, silent)
    generator = prepared()
    stack = generator.fit_stack(catalog, [[], catalog.ids[:20]], 0, silent)
    assert generator._model is None
    for alone, together in zip((fitted, without), stack, strict=True):
        expected = alone.log_likelihood(drawn.samples, prompts)
        np.testing.assert_allclose(
            together.log_likelihood(drawn.samples, prompts), expected, rtol=1e-4
        )
        assert together.losses == pytest.approx(alone.losses, rel=1e-5)
        assert together.shared_fingerprint == alone.shared_fingerprint


def test_nll_is_the_direct_sum_of_the_logits(fitted, queries):
    """Position by position, from a forward pass over one growing sequence at a time."""
    prompts, _, drawn = queries
    reported = fitted.log_likelihood(drawn.samples, prompts)
    model = fitted._model
    for i, prompt in enumerate(prompts):
        text = torch.from_numpy(encode_captions(fitted.tokenizer, [prompt], 128))
        tokens = torch.from_numpy(drawn.samples[i : i + 1])
        for p in range(tokens.shape[1]):
            padded = torch.zeros(1, p + 1, dtype=torch.int64)
            padded[:, :p] = tokens[:, :p]
            with torch.no_grad():
                logits = model(text, padded)[1][0, p].double()
            direct = logits[tokens[0, p]] - torch.logsumexp(logits, 0)
            assert reported[i, p] == pytest.approx(float(direct), abs=1e-5)


def test_likelihood_does_not_depend_on_the_batch_it_is_in(fitted, queries):
    prompts, _, drawn = queries
    together = fitted.log_likelihood(drawn.samples, prompts)
    for i, prompt in enumerate(prompts):
        alone = fitted.log_likelihood(drawn.samples[i : i + 1], [prompt])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_probabilities_of_a_position_sum_to_one(fitted, queries):
    prompts, _, drawn = queries
    codes = fitted.preset.codes
    first = np.repeat(drawn.samples[:1], codes, axis=0)
    first[:, 0] = np.arange(codes)
    log_p = fitted.log_likelihood(first, [prompts[0]] * codes)[:, 0]
    assert np.exp(log_p).sum() == pytest.approx(1.0, abs=1e-4)


def test_cached_sampling_equals_uncached(fitted, queries):
    prompts, noise, drawn = queries
    text = torch.from_numpy(encode_captions(fitted.tokenizer, prompts, 128))
    tokens = torch.zeros(len(prompts), fitted.noise.shape[0], dtype=torch.int64)
    for p in range(tokens.shape[1]):
        with torch.no_grad():
            logits = fitted._model(text, tokens)[1][:, p] / fitted.preset.temperature
        tokens[:, p] = (logits + torch.from_numpy(noise[:, p])).argmax(-1)
    np.testing.assert_array_equal(tokens.numpy(), drawn.samples)


def test_a_picture_does_not_depend_on_the_others_of_its_batch(fitted, queries):
    prompts, noise, drawn = queries
    for i, prompt in enumerate(prompts):
        alone = fitted.generate([prompt], noise[i : i + 1])
        np.testing.assert_array_equal(alone.samples[0], drawn.samples[i])
        difference = alone.images[0].astype(int) - drawn.images[i].astype(int)
        assert np.abs(difference).max() <= 1


def test_top_k_of_one_is_greedy_whatever_the_noise(fitted):
    text = torch.from_numpy(encode_captions(fitted.tokenizer, ["red boots"], 128))
    drawn = [
        fitted._model.sample(text, torch.randn(1, *fitted.noise.shape) * 50, 1.0, 1)
        for _ in range(2)
    ]
    assert torch.equal(*drawn)


def test_saved_and_loaded_is_the_same_model(fitted, prepared, queries, tmp_path):
    prompts, noise, drawn = queries
    fitted.save(tmp_path / "model")
    loaded = prepared().load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.generate(prompts, noise).images, drawn.images)
    names = {p.name for p in (tmp_path / "model").iterdir()}
    assert names == {"model.safetensors", "model.json", MARKER}


def test_a_model_of_another_recipe_is_refused(fitted, catalog, tmp_path):
    from untrain.generators.dalle.generator import DalleGenerator

    fitted.save(tmp_path / "model")
    other = DalleGenerator(preset_of("micro", epochs=2, depth=1), seed=0, precision="float32")
    other.prepare(catalog, fitted._shared, silent)
    with pytest.raises(InputError, match="belongs to other"):
        other.load(tmp_path / "model")


def test_a_class_made_of_it_is_another(prepared, catalog):
    """Its models must not be taken for those of the reference generator."""
    from untrain.generators.dalle.generator import DalleGenerator

    class Own(DalleGenerator):
        version = "1"

    one, other = (kind(preset_of("micro"), seed=0) for kind in (DalleGenerator, Own))
    assert one.shared_key(catalog) == other.shared_key(catalog)
    assert one.fingerprint(catalog) != other.fingerprint(catalog)
    assert one.fingerprint(catalog) == DalleGenerator.from_preset("micro").fingerprint(catalog)


def test_training_lowers_the_loss(prepared, catalog):
    generator = prepared()
    generator.fit(catalog, [], 0, silent)
    assert generator.losses[-1] < generator.losses[0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_any_text_can_be_a_prompt(fitted, prompts):
    tokens = encode_captions(fitted.tokenizer, prompts, 128)
    assert tokens.shape[0] == len(prompts) and tokens.shape[1] >= 1
    # padding stands on the left alone
    assert all(not (row[1:] == PAD)[row[:-1] != PAD].any() for row in tokens)
    zeros = np.zeros((len(prompts), fitted.noise.shape[0]), np.int64)
    assert np.isfinite(fitted.log_likelihood(zeros, prompts)).all()


def test_a_caption_over_the_limit_keeps_its_end_with_a_warning(fitted):
    with pytest.warns(UserWarning, match="cut to the last 8"):
        tokens = encode_captions(fitted.tokenizer, ["red boots " * 30], 8)
    assert tokens.shape == (1, 8)


def test_presets_are_checked():
    with pytest.raises(InputError, match="did you mean 'tiny'"):
        preset_of("tyny")
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        preset_of("tiny", epoch=3)
    with pytest.raises(InputError, match="multiples of 8"):
        preset_of("tiny", height=30)


def test_a_preset_survives_json():
    changes = {"caption_dropout": 0.1, "guidance": 2.0, "eps": 1e-4}
    for preset in (preset_of("micro"), preset_of("micro", **changes)):
        assert Preset.from_dict(json.loads(json.dumps(preset.to_dict()))) == preset


def test_a_setting_that_came_later_leaves_old_models_theirs():
    """Models from before it have recipes without it, and fingerprints of those."""
    assert "eps" not in preset_of("micro").to_dict()
    assert preset_of("micro", eps=1e-4).to_dict()["eps"] == 1e-4


def test_the_seed_preset_is_the_studys():
    preset = preset_of("seed")
    assert (preset.dim, preset.depth, preset.heads, preset.head_dim) == (312, 16, 12, 64)
    assert (preset.batch, preset.epochs, preset.lr, preset.clip) == (5, 30, 4.5e-4, 0.5)
    assert (preset.positions, preset.codes, preset.text_limit) == (1024, 8192, 512)
    assert round(preset.top_k * preset.codes) == 5811

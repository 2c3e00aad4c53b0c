"""Diffusion from scratch: the contract, and what its loss, noise and spaces are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.catalogs import rendered
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.generators.diffusion.loss import denoising_loss
from untrain.generators.diffusion.presets import diffusion_preset_of
from untrain.generators.diffusion.unet import DiffusionGenerator
from untrain.generators.diffusion.words import hashed_words
from untrain.testing import generator_checks

pytest.importorskip("diffusers", reason="needs untrain[diffusion]")

SMALL = {"epochs": 1, "batch": 8}


def make(**changes: Any) -> DiffusionGenerator:
    return DiffusionGenerator.from_preset("diffusion-micro", {**SMALL, **changes}, "float32")


CATALOG = rendered(families=5, size_of_family=4, seed=1, resolution=16)


@pytest.mark.parametrize("check", generator_checks(make, CATALOG), ids=str)
def test_it_keeps_the_contract(check: Any) -> None:
    check()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> DiffusionGenerator:
    generator = make(epochs=10)
    generator.prepare(CATALOG, tmp_path_factory.mktemp("diffusion") / "shared", silent)
    generator.fit(CATALOG, [], 0, silent)
    return generator


def test_training_lowers_the_loss(fitted: DiffusionGenerator) -> None:
    assert len(fitted.losses) == 10
    assert np.mean(fitted.losses[-3:]) < 0.9 * fitted.losses[0]


@pytest.mark.parametrize("time", [20, 600])
@pytest.mark.parametrize("kind", ["sample", "v_prediction", "epsilon"])
def test_the_loss_is_that_of_the_definition(kind: str, time: int) -> None:
    """From the schedule's own numbers, for one picture, time and noise."""
    generator = make(prediction=kind)
    network = generator.network(0).eval().requires_grad_(False)
    clean = generator.encode(CATALOG.pixels(generator.image_size, CATALOG.ids[:1]))
    words = generator.condition(CATALOG.captions[:1])
    noise = np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)
    kept = float(generator.scheduler.alphas_cumprod[time])
    noisy = (kept**0.5 * clean + (1 - kept) ** 0.5 * noise).astype(np.float32)
    said = network(torch.from_numpy(noisy), torch.tensor([time]), words).numpy()
    velocity = kept**0.5 * noise - (1 - kept) ** 0.5 * clean
    target = {"sample": clean, "epsilon": noise}.get(kind, velocity)
    weight = min(1 / (1 - kept), 5) if kind == "sample" else 1
    batch = {"clean": clean, "times": np.array([time]), "noise": noise}
    tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
    found = denoising_loss(generator.scheduler, network, {**tensors, "asked": words})
    assert float(found) == pytest.approx(weight * np.square(said - target).mean(), rel=1e-4)
    assert weight in (1, 5) or time == 600  # with and without its bound


def test_a_mean_over_terms_is_near_the_mean_over_many(fitted: DiffusionGenerator) -> None:
    """The fixed pairs of time and noise stand for all of them."""
    samples = fitted.encode(CATALOG.pixels(fitted.image_size, CATALOG.ids[:4]))
    few = -fitted.log_likelihood(samples, CATALOG.captions[:4]).mean() / 1000
    draw = np.random.default_rng(1)
    many = np.repeat(samples, 200, axis=0)
    noise = draw.standard_normal(many.shape).astype(np.float32)
    batch = {"clean": many, "times": draw.integers(0, 1000, 800), "noise": noise}
    tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
    words = fitted.condition([c for c in CATALOG.captions[:4] for _ in range(200)])
    with torch.no_grad():
        losses = denoising_loss(fitted.scheduler, fitted.module(), {**tensors, "asked": words})
    assert few == pytest.approx(float(losses.mean()), rel=0.15)


@pytest.mark.parametrize("kind", ["sample", "v_prediction"])
def test_the_loss_of_training_is_that_of_its_pairs(kind: str, tmp_path: Path) -> None:
    """With weights that stay, at the times and noises of the step."""
    generator = make(prediction=kind, lr=1e-9, epochs=1, batch=len(CATALOG), caption_dropout=0)
    generator.prepare(CATALOG, tmp_path / "shared", silent)
    removed = CATALOG.ids[::3]
    generator.fit(CATALOG, removed, 0, silent)
    rows = rng("order", 0, 0).permutation(len(CATALOG))
    drawn = rng("diffusion", 0, 0)
    times = drawn.integers(0, 1000, len(rows))
    noise = drawn.standard_normal((len(rows), *generator.shape), np.float32)
    batch = generator.training_batch(CATALOG, [CATALOG.ids[row] for row in rows])
    batch |= {"times": torch.from_numpy(times), "noise": torch.from_numpy(noise)}
    kept = torch.tensor([CATALOG.ids[row] not in removed for row in rows])
    expected = float(generator.pair_losses(batch)[kept].detach().sum()) / len(CATALOG)
    assert generator.losses == [pytest.approx(expected, rel=1e-5)]


def test_draws_of_a_pair_come_near_its_expected_loss(fitted: DiffusionGenerator) -> None:
    """Each draw by itself is another, and the same each time."""
    batches = [fitted.training_batch(CATALOG, CATALOG.ids[:3], draw) for draw in range(64)]
    again = fitted.training_batch(CATALOG, CATALOG.ids[2:0:-1], 5)
    for name, values in again.items():
        assert torch.equal(values, batches[5][name][[2, 1]])
    times = torch.stack([batch["times"] for batch in batches]).double()
    np.testing.assert_allclose(times.mean(0), 500, atol=25)
    silent_ones = [int((batch["asked"] == 0).all(1).sum()) for batch in batches]
    assert np.mean(silent_ones) / 3 == pytest.approx(0.1, abs=0.08)


def test_pairs_of_a_catalogue_that_was_not_prepared_are_encoded_alike(
    fitted: DiffusionGenerator,
) -> None:
    other, asked = CATALOG.subset(CATALOG.ids[2:]), CATALOG.ids[4:8]
    known, encoded = (fitted.training_batch(each, asked, 1) for each in (CATALOG, other))
    assert known.keys() == encoded.keys()
    for name, values in known.items():
        np.testing.assert_array_equal(encoded[name], values)


def test_pixels_survive_the_way_there_and_back(fitted: DiffusionGenerator) -> None:
    pictures = CATALOG.pixels(fitted.image_size, CATALOG.ids[:3])
    np.testing.assert_array_equal(fitted.decode(fitted.encode(pictures)), pictures)


def test_without_guidance_the_words_still_matter(fitted: DiffusionGenerator) -> None:
    noise = np.random.default_rng(0).standard_normal((2, *fitted.noise.shape)).astype(np.float32)
    noise[1] = noise[0]
    one, other = fitted.generate(["red shoes", "blue watches"], noise).samples
    assert not np.array_equal(one, other)


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random autoencoder: two resolutions, so that latents are half the size."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=16,
    ).save_pretrained(folder)
    return folder


def test_in_the_latent_space_of_a_given_vae(vae: Path, tmp_path: Path) -> None:
    generator = make(vae=str(vae))
    assert generator.shape == (4, 8, 8) and "VAE" in generator.frozen
    generator.prepare(CATALOG, tmp_path / "shared", silent)
    generator.fit(CATALOG, CATALOG.ids[:3], 0, silent)
    noise = np.zeros((1, 4, 8, 8), np.float32)
    drawn = generator.generate(["red shoes"], noise)
    assert drawn.images.shape == (1, 16, 16, 3) and drawn.samples.shape == (1, 4, 8, 8)
    assert generator.log_likelihood(drawn.samples, ["red shoes"]).shape == (1, 4)
    pixels = make()
    assert generator.fingerprint(CATALOG) != pixels.fingerprint(CATALOG)


def test_a_vae_that_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot load the VAE 'nowhere'"):
        make(vae="nowhere").noise  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"terms": 3}, "terms must be even"),
        ({"widths": [40]}, "multiples of 32"),
        ({"height": 18, "widths": [32, 32]}, "must be multiples of 4"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"prediction": "x"}, "prediction"),
        ({"guidance": -1}, "guidance must be at least 0"),
    ],
)
def test_presets_are_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        diffusion_preset_of("diffusion-micro", **changes)


def test_words_are_hashed_without_case() -> None:
    tokens = hashed_words(["Red  SHOES, red", ""], vocabulary=1000, limit=6)
    assert tokens[0, 0] == tokens[0, 3] and tokens[0, 4] == 0
    assert not tokens[1].any() and tokens.max() < 1000

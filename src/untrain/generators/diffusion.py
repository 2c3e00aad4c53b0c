"""A diffusion model from scratch through `diffusers`: a U-Net over words, in pixels or latents.

DDPM training (Ho et al. 2020) on a cosine schedule, deterministic DDIM sampling (Song et al. 2021)
from given Gaussian noise, classifier-free guidance (Ho & Salimans 2022).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from untrain.catalogs.base import Catalog
from untrain.errors import InputError
from untrain.files import atomic_path, fingerprint, read_json, rng, write_json
from untrain.generators.base import Cost, Generations, Generator, Noise, Progress, kept_rows
from untrain.generators.diffusion_presets import DiffusionPreset, diffusion_preset_of
from untrain.generators.hardware import autocast, deterministic, device, precision
from untrain.generators.latents import Latents, Pixels, Space, import_diffusers
from untrain.generators.training import Average, schedule
from untrain.generators.words import hashed_words

BATCH = 64  # pictures that are drawn or measured at a time
TIMES = 1000


class DiffusionGenerator(Generator):
    """A text-conditional diffusion model behind the `Generator` contract.

    Parameters
    ----------
    preset : DiffusionPreset
        Sizes and training recipe.

    Notes
    -----
    ``log_likelihood`` gives minus the training loss, times 1000, at fixed pairs of time and noise:
    times stratified over the schedule, noise in pairs ± drawn by a counter from the picture's
    content, the same for all models. A query is what DDIM ended in, floats, not the PNG.
    """

    unit = "loss × 1000"
    reads_pictures = False  # it trains on what `prepare` keeps
    version = "1"

    def __init__(self, preset: DiffusionPreset) -> None:
        self.preset = preset
        self.image_size = (preset.height, preset.width)
        self.space: Space = Latents(preset.vae) if preset.vae else Pixels()
        self.frozen = self.space.frozen
        self.shape = self.space.shape(self.image_size)
        self.noise = Noise("gaussian", self.shape)
        self._shared: Path | None = None
        self._model: Network | None = None

    @classmethod
    def from_preset(
        cls, preset: str = "diffusion-tiny", settings: Mapping[str, Any] | None = None
    ) -> Self:
        """Make one of a preset by name, with some of its settings changed."""
        return cls(diffusion_preset_of(preset, **(settings or {})))

    def recipe(self) -> dict[str, Any]:
        """Return class, version and preset, and what the VAE is known by."""
        own = super().recipe() | {"options": None}
        return {**own, "preset": self.preset.to_dict(), "vae": self.space.fingerprint}

    def shared_key(self, catalog: Catalog) -> str:
        """Return the fingerprint of the encoded catalogue."""
        size = list(self.image_size)
        return fingerprint("diffusion-shared-1", catalog.fingerprint, size, self.space.fingerprint)

    def fingerprint(self, catalog: Catalog) -> str:
        """Return what models are known by, beside seed, removed ids and machine."""
        return fingerprint("diffusion-1", catalog.fingerprint, self.recipe(), precision())

    def prepare_work(self, catalog: Catalog) -> int:
        """Return how many pictures `prepare` passes."""
        return len(catalog)

    def fit_work(self, catalog: Catalog) -> int:
        """Return how many pairs `fit` passes."""
        return self.preset.epochs * len(catalog)

    def prepare(self, catalog: Catalog, folder: Path, progress: Progress) -> None:
        """Keep the whole catalogue as the network sees it, unless ``folder`` has it."""
        if not (folder / "pictures.safetensors").exists():
            kept = []
            for start in range(0, len(catalog), BATCH):
                ids = catalog.ids[start : start + BATCH]
                kept.append(self.space.pack(catalog.pixels(self.image_size, ids)))
                progress(len(ids))
            with atomic_path(folder) as temporary:
                temporary.mkdir(parents=True)
                save_arrays({"pictures": np.concatenate(kept)}, temporary / "pictures.safetensors")
                found = {"fingerprint": self.shared_key(catalog), "catalog": catalog.fingerprint}
                write_json(temporary / "shared.json", found)
        self._shared = folder

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Progress
    ) -> None:
        """Train the network on ``catalog`` without ``removed``; see `Generator.fit`."""
        if self._shared is None:
            raise RuntimeError("call prepare() first")
        if read_json(self._shared / "shared.json")["catalog"] != catalog.fingerprint:
            raise InputError("another catalogue was prepared: prepare() this one first")
        pictures = load_arrays(self._shared / "pictures.safetensors")["pictures"]
        kept = kept_rows(catalog, removed)
        self._model, self.losses = self._train(pictures, catalog.captions, kept, seed, progress)

    @deterministic()
    def _train(
        self,
        pictures: np.ndarray,
        captions: Sequence[str],
        kept: np.ndarray,
        seed: int,
        progress: Progress,
    ) -> tuple[Network, list[float]]:
        """Return a network trained from the start, and the mean loss of each epoch.

        Order, times, noise and which captions are left out follow from the seed, the step and the
        place in the batch, so that a removed pair, which is not computed, takes nothing with it.
        """
        preset, where = self.preset, device()
        torch.manual_seed(seed)
        model = Network(preset, self.shape).to(where).train()
        words = hashed_words(captions, preset.vocabulary, preset.text_limit)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=preset.lr, weight_decay=preset.weight_decay, fused=True
        )
        per_epoch = -(-len(kept) // preset.batch)
        steps = preset.epochs * per_epoch
        average = Average(model, first=steps - int(preset.averaging * steps))
        losses, step = [], 0
        for epoch in range(preset.epochs):
            order = rng("order", seed, epoch).permutation(len(kept))
            total = 0.0
            for start in range(0, len(order), preset.batch):
                rows = order[start : start + preset.batch]
                drawn = rng("diffusion", seed, step)
                times = drawn.integers(0, TIMES, len(rows))
                noise = drawn.standard_normal((len(rows), *self.shape), np.float32)
                silent = drawn.random(len(rows)) < preset.unconditional
                for group in optimizer.param_groups:
                    group["lr"] = preset.lr * schedule(step, steps, preset.warmup)
                step += 1
                own = kept[rows]
                if own.any():
                    rows, size = rows[own], len(rows)
                    said = np.where(silent[own, None], 0, words[rows])
                    clean = self.space.unpack(pictures[rows])
                    each = self._losses(model, clean, said, times[own], noise[own])
                    loss = each.sum() / size
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), preset.clip)
                    optimizer.step()
                    total += float(loss.detach())
                average.update(step)
                progress(len(own))
            losses.append(total / per_epoch)
        average.apply()
        return model.eval().requires_grad_(False), losses

    def _losses(
        self,
        model: Network,
        clean: np.ndarray,
        words: np.ndarray,
        times: np.ndarray,
        noise: np.ndarray,
    ) -> torch.Tensor:
        """Return the mean squared error of each picture at its time and noise, (n,)."""
        where = device()
        x, e = torch.from_numpy(clean).to(where), torch.from_numpy(noise).to(where)
        t = torch.from_numpy(times).to(where)
        target = {"epsilon": e, "sample": x}.get(self.preset.prediction)
        if target is None:
            target = self.scheduler.get_velocity(x, e, t)
        with autocast():
            found = model(self.scheduler.add_noise(x, e, t), t, torch.from_numpy(words).to(where))
        return (found.float() - target).square().mean(dim=(1, 2, 3))

    @cached_property
    def scheduler(self) -> Any:
        """Forward noise, and the steps back: DDIM, whose training side is that of DDPM."""
        return import_diffusers().DDIMScheduler(
            num_train_timesteps=TIMES,
            beta_schedule="squaredcos_cap_v2",
            prediction_type=self.preset.prediction,
            clip_sample=not self.preset.vae,
            set_alpha_to_one=True,
            timestep_spacing="trailing",
        )

    @torch.no_grad()
    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        """Draw one picture a prompt; see `Generator.generate`."""
        words = hashed_words(prompts, self.preset.vocabulary, self.preset.text_limit)
        parts = [self._draw(words[rows], noise[rows]) for rows in _batches(len(words))]
        samples = np.concatenate(parts)
        return Generations(samples, self.decode(samples))

    def _draw(self, words: np.ndarray, noise: np.ndarray) -> np.ndarray:
        where, guidance = device(), self.preset.guidance
        x, said = torch.from_numpy(noise).to(where), torch.from_numpy(words).to(where)
        self.scheduler.set_timesteps(self.preset.steps, device=where)
        for t in self.scheduler.timesteps:
            times = t.expand(len(x))
            with autocast():
                found = self._fitted()(x, times, said).float()
                if guidance != 1:
                    plain = self._fitted()(x, times, torch.zeros_like(said)).float()
                    found = plain + guidance * (found - plain)
            x = self.scheduler.step(found, t, x, eta=0.0).prev_sample
        return x.cpu().numpy()

    @torch.no_grad()
    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Return minus 1000 × the loss at fixed (time, noise), float64 (n, terms)."""
        words = hashed_words(prompts, self.preset.vocabulary, self.preset.text_limit)
        terms = self.preset.terms
        times = ((np.arange(terms) + 0.5) * TIMES / terms).astype(np.int64)
        found = np.empty((len(samples), terms))
        for row, (sample, said) in enumerate(zip(samples, words, strict=True)):
            half = rng("terms", fingerprint(sample)).standard_normal(
                (terms // 2, *self.shape), np.float32
            )
            noise = np.stack([half, -half], axis=1).reshape(terms, *self.shape)
            clean, repeated = np.repeat(sample[None], terms, 0), np.repeat(said[None], terms, 0)
            losses = self._losses(self._fitted(), clean, repeated, times, noise)
            found[row] = -1000 * losses.double().cpu().numpy()
        return found

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 pictures as the network sees them, float32 (n, channels, height, width)."""
        parts = [self.space.unpack(self.space.pack(images[r])) for r in _batches(len(images))]
        return np.concatenate(parts) if parts else np.zeros((0, *self.shape), np.float32)

    def decode(self, samples: np.ndarray) -> np.ndarray:
        """Return the pictures of samples, uint8 (n, height, width, 3)."""
        return np.concatenate([self.space.draw(samples[r]) for r in _batches(len(samples))])

    def save(self, folder: Path) -> None:
        """Write model.safetensors and model.json."""
        state = {k: v.detach().cpu().contiguous() for k, v in self._fitted().state_dict().items()}
        save_file(state, folder / "model.safetensors")
        write_json(folder / "model.json", {"losses": self.losses, "preset": self.preset.to_dict()})

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote."""
        description = read_json(folder / "model.json")
        if description["preset"] != self.preset.to_dict():
            raise InputError(f"the model in {folder} is of another recipe")
        model = Network(self.preset, self.shape)
        model.load_state_dict(load_file(folder / "model.safetensors"))
        self._model = model.to(device()).eval().requires_grad_(False)
        self.losses = description["losses"]
        return self

    def cost(self, catalog: Catalog) -> Cost:
        """Measure a few steps of the real network on noise."""
        preset = replace(self.preset, epochs=1)
        rows = 2 * preset.batch
        short = DiffusionGenerator(preset)
        pictures = np.repeat(self.space.blank(self.image_size), rows, axis=0)
        captions, kept = list(catalog.captions[:1]) * rows, np.ones(rows, bool)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            model, _ = short._train(pictures, captions, kept, 0, lambda n: None)
            start = time.perf_counter()
            short._train(pictures, captions, kept, 0, lambda n: None)
            seconds = (time.perf_counter() - start) / rows * self.fit_work(catalog)
        finally:
            torch.set_num_threads(threads)
        parameters = sum(p.numel() for p in model.parameters())
        words = f"{parameters / 1e6:.1f} M parameters, diffusion in {preset.steps} steps"
        return Cost(seconds, parameters, words)

    def _fitted(self) -> Network:
        if self._model is None:
            raise RuntimeError("call fit() or load() first")
        return self._model


class Network(torch.nn.Module):
    """A U-Net that sees a picture in patches and a caption as vectors of its words.

    The words go into the cross-attention, and pooled into the time embedding.
    """

    def __init__(self, preset: DiffusionPreset, shape: tuple[int, ...]) -> None:
        super().__init__()
        UNet2DConditionModel = import_diffusers().UNet2DConditionModel
        channels, height, width = shape
        self.patch = preset.patch
        depth = len(preset.widths)
        channels *= self.patch**2
        self.words = torch.nn.Embedding(preset.vocabulary, preset.text_width)
        self.places = torch.nn.Parameter(0.02 * torch.randn(preset.text_limit, preset.text_width))
        self.unet = UNet2DConditionModel(
            sample_size=(height // self.patch, width // self.patch),
            in_channels=channels,
            out_channels=channels,
            block_out_channels=preset.widths,
            layers_per_block=preset.layers,
            # Attention where it is cheap: not at the finest of several resolutions.
            down_block_types=("CrossAttnDownBlock2D",) * depth
            if depth == 1
            else ("DownBlock2D", *("CrossAttnDownBlock2D",) * (depth - 1)),
            up_block_types=("CrossAttnUpBlock2D",) * depth
            if depth == 1
            else (*("CrossAttnUpBlock2D",) * (depth - 1), "UpBlock2D"),
            cross_attention_dim=preset.text_width,
            attention_head_dim=tuple(width // 32 for width in preset.widths),  # heads, in truth
            norm_num_groups=16,
            addition_embed_type="text",
            addition_embed_type_num_heads=preset.text_width // 16,
        )

    def forward(self, x: torch.Tensor, times: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Return what is predicted of noisy pictures (n, …) at times (n,), of words (n, limit)."""
        said = self.words(words) + self.places
        seen = torch.nn.functional.pixel_unshuffle(x, self.patch)
        found = self.unet(seen, times, encoder_hidden_states=said).sample
        return torch.nn.functional.pixel_shuffle(found, self.patch)


def _batches(n: int) -> Iterator[slice]:
    for start in range(0, n, BATCH):
        yield slice(start, start + BATCH)

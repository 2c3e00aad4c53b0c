"""What diffusion models have in common: paired training, the loss at fixed times, drawing by DDIM.

DDPM training (Ho et al. 2020), deterministic DDIM sampling (Song et al. 2021) from given Gaussian
noise, classifier-free guidance (Ho & Salimans 2022).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from untrain.catalogs.base import Catalog
from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, rng, write_json
from untrain.core.hardware import (
    Precision,
    autocast,
    check_precision,
    default_precision,
    deterministic,
    device,
)
from untrain.core.tensors import read_arrays, read_rows, write_arrays
from untrain.generators.base import (
    Cost,
    Generations,
    Generator,
    Noise,
    Progress,
    kept_rows,
    rows_of,
)
from untrain.generators.differentiable import Batch
from untrain.generators.diffusion.draws import pair_draw, query_draw
from untrain.generators.diffusion.latents import Space
from untrain.generators.diffusion.loss import (
    denoising_loss,
    denoising_prediction,
    term_losses,
    term_predictions,
)
from untrain.generators.diffusion.presets import Denoising
from untrain.generators.paired import Epoch, descend
from untrain.generators.predictions import Prediction

BATCH = 64  # pictures that are drawn or encoded at a time


class DenoisingGenerator(Generator):
    """A diffusion model behind the `Generator` contract; what is learnt is up to its children.

    Parameters
    ----------
    preset : Denoising
        The training recipe.
    space : Space
        Pixels, or the latents of a frozen autoencoder.
    precision : {'float32', 'bfloat16'}, optional
        What training and drawing compute in; default: float32 on a CPU, bfloat16 on a GPU that has
        it. Losses are measured in float32.

    Notes
    -----
    ``log_likelihood`` gives minus the training loss, times 1000, at fixed pairs of time and noise:
    times stratified over the schedule, noise in pairs ± drawn by a counter from the picture's
    content, the same for all models. A query is what DDIM ended in, floats, not the PNG.
    """

    precision: Precision
    unit = "loss × 1000"
    reads_pictures = False  # it trains on what `prepare` keeps
    version = "2"

    def __init__(self, preset: Denoising, space: Space, precision: str | None = None) -> None:
        self.preset, self.space = preset, space
        self.precision = check_precision(precision or default_precision())
        self.image_size = (preset.height, preset.width)
        self.learning_rate, self.query_passes = preset.lr, preset.terms
        self.frozen = space.frozen
        self._shared: Path | None = None
        self._model: nn.Module | None = None

    # What children say -----------------------------------------------------------------------

    @property
    @abstractmethod
    def scheduler(self) -> Any:
        """A DDIM scheduler of `diffusers`: how noise is added, and the steps back."""

    @abstractmethod
    def network(self, seed: int) -> nn.Module:
        """Return a new network on the device, by its seed; what is learnt requires a gradient.

        It is called with noisy samples (n, …), times (n,) and what `condition` returns.
        """

    @abstractmethod
    def condition(self, prompts: Sequence[str]) -> torch.Tensor:
        """Return what the network sees of prompts, (n, …) on the device; "" is no prompt."""

    # The contract ----------------------------------------------------------------------------

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a sample."""
        return self.space.shape(self.image_size)

    @cached_property
    def noise(self) -> Noise:  # type: ignore[override]
        """Gaussian, of the shape of a sample."""
        return Noise("gaussian", self.shape)

    def recipe(self) -> dict[str, Any]:
        """Return class, version and preset, and what the space is known by."""
        kind = type(self)
        own = {"class": kind.__qualname__, "version": self.version}
        return {**own, "preset": self.preset.to_dict(), "space": self.space.fingerprint}

    def shared_key(self, catalog: Catalog) -> str:
        """Return the fingerprint of the encoded catalogue."""
        size = list(self.image_size)
        return fingerprint("diffusion-shared-1", catalog.fingerprint, size, self.space.fingerprint)

    def fingerprint(self, catalog: Catalog) -> str:
        """Return what models are known by, beside seed, removed ids and machine."""
        return fingerprint("diffusion-1", catalog.fingerprint, self.recipe(), self.precision)

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
            for rows in _batches(len(catalog)):
                ids = catalog.ids[rows]
                kept.append(self.space.pack(catalog.pixels(self.image_size, ids)))
                progress(len(ids))
            with atomic_folder(folder) as temporary:
                write_arrays(temporary / "pictures.safetensors", {"pictures": np.concatenate(kept)})
                found = {"fingerprint": self.shared_key(catalog), "catalog": catalog.fingerprint}
                write_json(temporary / "shared.json", found)
        self._shared = folder

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Progress
    ) -> None:
        """Train a network on ``catalog`` without ``removed``; see `Generator.fit`."""
        pictures = read_arrays(self._pictures_of(catalog))["pictures"]
        kept = kept_rows(catalog, removed)
        self._model, self.losses = self._train(pictures, catalog.captions, kept, seed, progress)

    def _pictures_of(self, catalog: Catalog) -> Path:
        """Return the file that holds the pictures of ``catalog`` as the network sees them."""
        if not self._is_prepared(catalog):
            raise InputError("another catalogue was prepared: prepare() this one first")
        return self._prepared() / "pictures.safetensors"

    def _is_prepared(self, catalog: Catalog) -> bool:
        """Tell whether it is the pictures of ``catalog`` that are kept."""
        known: bool = catalog.fingerprint == read_json(self._prepared() / "shared.json")["catalog"]
        return known

    def _prepared(self) -> Path:
        if self._shared is None:
            raise RuntimeError("call prepare() first")
        return self._shared

    def _train(
        self,
        pictures: np.ndarray,
        captions: Sequence[str],
        kept: np.ndarray,
        seed: int,
        progress: Progress,
    ) -> tuple[nn.Module, list[float]]:
        """Return a network trained from its start, and the mean loss of each epoch.

        Order, times, noise and which captions are left out follow from the seed, the step and the
        place in the batch, so that a removed pair, which is not computed, takes nothing with it.
        """
        preset = self.preset
        model = self.network(seed)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=preset.lr,
            weight_decay=preset.weight_decay,
            fused=True,
        )

        def losses_of(epoch: Epoch) -> Iterator[torch.Tensor | None]:
            for step, rows in enumerate(epoch.batches, epoch.first_step):
                drawn = rng("diffusion", seed, step)
                times = drawn.integers(0, self._times, len(rows))
                noise = drawn.standard_normal((len(rows), *self.shape), np.float32)
                silent = drawn.random(len(rows)) < preset.caption_dropout
                own = kept[rows]
                if not own.any():
                    yield None
                    continue
                said = ["" if silent[i] else captions[rows[i]] for i in np.flatnonzero(own)]
                clean = self.space.unpack(pictures[rows[own]])
                batch = self._batch(clean, said, times[own], noise[own])
                each = denoising_loss(self.scheduler, model, batch, self.precision)
                yield each.sum() / len(rows)

        losses = descend(model, optimizer, losses_of, preset, len(kept), seed, progress)
        return model.eval().requires_grad_(False), losses.tolist()

    def _batch(
        self, clean: np.ndarray, prompts: Sequence[str], times: np.ndarray, noise: np.ndarray
    ) -> Batch:
        arrays = {"clean": clean, "times": times, "noise": noise}
        tensors = {name: torch.from_numpy(value).to(device()) for name, value in arrays.items()}
        return {**tensors, "asked": self.condition(prompts)}

    # The differentiable contract ---------------------------------------------------------------

    def module(self) -> nn.Module:
        """Return the network; what is saved of it requires a gradient."""
        model = self._fitted()
        learnt = self.learnt(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in learnt)
        return model

    def training_batch(self, catalog: Catalog, ids: Sequence[str], draw: int = 0) -> Batch:
        """Return pairs as `denoising_loss` takes them, at the times and noises of ``draw``.

        See `Differentiable`; `untrain.generators.diffusion.draws.pair_draw` says which they are.
        """
        rows = rows_of(catalog, ids)
        hashes = [catalog.hashes[row] for row in rows]
        drawn = pair_draw(hashes, draw, self.shape, self._times, self.preset.caption_dropout)
        said = [
            "" if silent else catalog.captions[row]
            for row, silent in zip(rows, drawn.silent, strict=True)
        ]
        if self._is_prepared(catalog):
            packed = read_rows(self._pictures_of(catalog), "pictures", rows)
        else:
            packed = self.space.pack(catalog.pixels(self.image_size, ids))
        clean = self.space.unpack(packed)
        return self._batch(clean, said, drawn.times, drawn.noise)

    def query_batch(self, samples: np.ndarray, prompts: Sequence[str]) -> Batch:
        """Return queries at all their times (n, terms) and noises (n, terms, …)."""
        times, noise = query_draw(samples, self.preset.terms, self._times)
        return self._batch(samples.copy(), prompts, times, noise)

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        """Return the training loss of each pair at its time and noise, (n,)."""
        return denoising_loss(self.scheduler, self._fitted(), batch, self.precision)

    def measurements(self, batch: Batch) -> torch.Tensor:
        """Return 1000 × the mean loss of each query over its times and noises, (n,)."""
        return 1000 * term_losses(self.scheduler, self._fitted(), batch).mean(1)

    def pair_predictions(self, batch: Batch) -> list[Prediction]:
        """Return what the network predicts of each pair; see `Predictive`."""
        return [denoising_prediction(self.scheduler, self._fitted(), batch, self.precision)]

    def query_predictions(self, batch: Batch) -> list[Prediction]:
        """Return what it predicts of each query at all its times, (n, terms, …)."""
        found = term_predictions(self.scheduler, self._fitted(), batch)
        return [replace(found, weights=1000 * found.weights)]

    # Drawing and measuring ---------------------------------------------------------------------

    @deterministic()
    @torch.no_grad()
    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        """Draw one picture a prompt; see `Generator.generate`."""
        parts = [self._draw(prompts[rows], noise[rows]) for rows in _batches(len(prompts))]
        samples = np.concatenate(parts)
        return Generations(samples, self.decode(samples))

    def _draw(self, prompts: Sequence[str], noise: np.ndarray) -> np.ndarray:
        guidance, model = self.preset.guidance, self._fitted()
        x = torch.from_numpy(noise).to(device())
        asked, nothing = self.condition(prompts), self.condition([""] * len(prompts))
        self.scheduler.set_timesteps(self.preset.steps, device=device())
        # `add_noise` moves these to the GPU for good. On the CPU they are scalars, by which a GPU
        # divides in another way: a model just loaded would draw other bits than one just trained.
        self.scheduler.alphas_cumprod = self.scheduler.alphas_cumprod.to(device())
        for t in self.scheduler.timesteps:
            times = t.expand(len(x))
            with autocast(self.precision):
                found = model(x, times, asked).float()
                if guidance != 1:
                    plain = model(x, times, nothing).float()
                    found = plain + guidance * (found - plain)
            x = self.scheduler.step(found, t, x, eta=0.0).prev_sample
        return x.cpu().numpy()

    @deterministic()
    @torch.no_grad()
    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Return minus 1000 × the loss at fixed (time, noise), float64 (n, terms)."""
        found = np.empty((len(samples), self.preset.terms))
        for row, prompt in enumerate(prompts):
            batch = self.query_batch(samples[row : row + 1], [prompt])
            losses = term_losses(self.scheduler, self._fitted(), batch)
            found[row] = -1000 * losses[0].double().cpu().numpy()
        return found

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 pictures as the network sees them, float32 (n, channels, height, width)."""
        parts = [self.space.unpack(self.space.pack(images[r])) for r in _batches(len(images))]
        return np.concatenate(parts) if parts else np.zeros((0, *self.shape), np.float32)

    def decode(self, samples: np.ndarray) -> np.ndarray:
        """Return the pictures of samples, uint8 (n, height, width, 3)."""
        return np.concatenate([self.space.draw(samples[r]) for r in _batches(len(samples))])

    def cost(self, catalog: Catalog) -> Cost:
        """Measure a few steps of the real network on nothing."""
        rows, whole = 2 * self.preset.batch, self.preset
        pictures = np.repeat(self.space.blank(self.image_size), rows, axis=0)
        captions, kept = list(catalog.captions[:1]) * rows, np.ones(rows, bool)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self.preset = replace(whole, epochs=1)
        try:
            model, _ = self._train(pictures, captions, kept, 0, lambda n: None)
            start = time.perf_counter()
            self._train(pictures, captions, kept, 0, lambda n: None)
            seconds = (time.perf_counter() - start) / rows * whole.epochs * len(catalog)
        finally:
            self.preset = whole
            torch.set_num_threads(threads)
        saved = sum(tensor.numel() for tensor in self.learnt(model).values())
        words = f"{saved / 1e6:.1f} M parameters that learn, diffusion in {whole.steps} steps"
        return Cost(seconds, saved, words)

    def learnt(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """Return the weights of a network that are saved."""
        return dict(model.state_dict())

    @property
    def _times(self) -> int:
        return int(self.scheduler.config.num_train_timesteps)

    def _fitted(self) -> nn.Module:
        if self._model is None:
            raise RuntimeError("call fit() or load() first")
        return self._model


def _batches(n: int) -> Iterator[slice]:
    for start in range(0, n, BATCH):
        yield slice(start, start + BATCH)

"""The reference generator: a small DALL-E, a frozen autoencoder under a text–image transformer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from tokenizers import Tokenizer

from untrain.catalogs.base import Catalog
from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, opened_whole, read_json, rng, write_json, write_text
from untrain.core.hardware import Precision, check_precision, default_precision, device
from untrain.core.outside import read_text
from untrain.core.tensors import read_rows, read_torch, write_torch
from untrain.generators.base import (
    Cost,
    Generations,
    Generator,
    Noise,
    Progress,
    kept_rows,
    rows_of,
)
from untrain.generators.dalle import transformer as tr
from untrain.generators.dalle.costs import seconds_of_pair, seconds_of_picture
from untrain.generators.dalle.distributed import processes_for, train_across
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.stacked import bytes_of_one, stack_size, train_stacked
from untrain.generators.dalle.tokenizer import PAD, encode_captions, train_tokenizer
from untrain.generators.dalle.training import (
    TokenData,
    pair_losses,
    predictions,
    train_transformer,
)
from untrain.generators.differentiable import Batch
from untrain.generators.predictions import Prediction

if TYPE_CHECKING:  # its library is slow to import, and a worker that only trains does not need it
    from untrain.generators.dalle.autoencoder import Autoencoder


class DalleGenerator(Generator):
    """A DALL-E style model behind the `Generator` contract.

    Parameters
    ----------
    preset : Preset
        Sizes and training recipe.
    seed : int
        Seed of the frozen parts (autoencoder, tokenizer); models have seeds of their own.
    precision : {'float32', 'bfloat16'}, optional
        What training computes in; default: float32 on a CPU, bfloat16 on a GPU that has it.
        Pictures are drawn and likelihoods measured in float32.

    Notes
    -----
    One autoencoder and one tokenizer serve all models of a run, as in the study: they saw the
    images that are later removed. What is measured is the transformer's dependence on them.
    """

    precision: Precision
    unit = "bits/token"
    frozen = (
        "The autoencoder and the tokenizer are frozen, shared by all models, and saw the removed "
        "images; what those images taught them is not part of the effects."
    )
    reads_pictures = False  # it trains on the tokens that `prepare` keeps

    def __init__(self, preset: Preset, seed: int = 0, precision: str | None = None) -> None:
        self.preset, self.seed = preset, seed
        self.precision = check_precision(precision or default_precision())
        self.noise = Noise("gumbel", (preset.positions, preset.codes))
        self.image_size = (preset.height, preset.width)
        self.learning_rate = preset.lr
        self.losses: list[float] = []
        self._shared: Path | None = None
        self._model: tr.Transformer | None = None
        self._autoencoder: Autoencoder | None = None

    @classmethod
    def from_preset(
        cls,
        preset: str = "tiny",
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        precision: str | None = None,
    ) -> Self:
        """Make one of a preset by name, with some of its settings changed."""
        return cls(preset_of(preset, **(settings or {})), seed, precision)

    def recipe(self) -> dict[str, Any]:
        """Return the preset, and of a class made of this one its own recipe."""
        own = {} if type(self) is DalleGenerator else super().recipe()
        return {**self.preset.to_dict(), **own}

    def shared_key(self, catalog: Catalog) -> str:
        """Return the fingerprint of the frozen parts that `prepare` would fit on ``catalog``."""
        return fingerprint("dalle-shared-1", catalog.fingerprint, self._shared_recipe())

    def _shared_recipe(self) -> dict[str, object]:
        return {**self.preset.autoencoder_part(), "seed": self.seed, "dtype": self.precision}

    def prepare_work(self, catalog: Catalog) -> int:
        """Return how many pictures `prepare` passes, for progress bars."""
        return self.preset.epochs_ae * len(catalog)

    def fit_work(self, catalog: Catalog) -> int:
        """Return how many pairs `fit` passes, for progress bars."""
        return self.preset.epochs * len(catalog)

    @property
    def shared_fingerprint(self) -> str:
        """Fingerprint of the frozen parts and of the whole recipe."""
        shared = read_json(self._prepared() / "shared.json")["fingerprint"]
        return fingerprint("dalle-2", shared, self.recipe(), self.precision)

    def fingerprint(self, catalog: Catalog) -> str:
        """Return `shared_fingerprint` as it will be once ``catalog`` is prepared."""
        return fingerprint("dalle-2", self.shared_key(catalog), self.recipe(), self.precision)

    def prepare(self, catalog: Catalog, folder: Path, progress: Progress) -> None:
        """Fit autoencoder and tokenizer on ``catalog`` and encode it, unless ``folder`` has them.

        ``folder`` then holds autoencoder.safetensors, tokenizer.json, tokens.safetensors (image
        and text tokens of the whole catalogue, encoded once) and shared.json.
        """
        key = self.shared_key(catalog)
        if (folder / "shared.json").exists():
            found = read_json(folder / "shared.json")["fingerprint"]
            if found != key:
                raise InputError(f"{folder} holds the frozen parts of another data set or recipe")
        else:
            self._fit_shared(catalog, folder, key, progress)
        self._shared = folder
        self._autoencoder = None
        self.tokenizer = _read_tokenizer(folder / "tokenizer.json")

    def _fit_shared(self, catalog: Catalog, folder: Path, key: str, progress: Progress) -> None:
        from untrain.generators.dalle import autoencoder as ae

        pixels = catalog.pixels(self.image_size)
        model = ae.train_autoencoder(pixels, self.preset, self.seed, progress, self.precision)
        tokenizer = train_tokenizer(catalog.captions, self.preset.vocabulary)
        image = ae.encode(model, pixels)
        text = encode_captions(tokenizer, catalog.captions, self.preset.text_limit)
        with atomic_folder(folder) as temporary:
            write_torch(temporary / "autoencoder.safetensors", model.state_dict())
            write_text(temporary / "tokenizer.json", tokenizer.to_str(pretty=True))
            tokens = {"image": torch.from_numpy(image), "text": torch.from_numpy(text)}
            write_torch(temporary / "tokens.safetensors", tokens)
            description = {
                "fingerprint": key,
                "catalog": catalog.fingerprint,
                "recipe": self._shared_recipe(),
                "reconstruction_mse": ae.reconstruction_error(model, pixels, self.preset.grid),
                "codes_used": len(np.unique(image)),
                "codes": self.preset.codes,
                "vocabulary": tokenizer.get_vocab_size(),
                "longest_caption_tokens": int(text.shape[1]),
            }
            write_json(temporary / "shared.json", description)

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Progress
    ) -> None:
        """Train the transformer on ``catalog`` without ``removed``; see `Generator.fit`."""
        data = self._data(catalog, kept_rows(catalog, removed))
        trained = train_transformer(data, self.preset, seed, progress, self.precision)
        self._model, self.losses = trained

    def fit_stack(
        self,
        catalog: Catalog,
        removed: Sequence[Collection[str]],
        seed: int,
        progress: Progress,
    ) -> list[Self]:
        """Train a model without each entry of ``removed``, all in one pass; return each fitted.

        Models of stacks of one size are paired with each other, not with those of `fit`: between
        the two there is rounding.
        """
        data = self._data(catalog, np.stack([kept_rows(catalog, ids) for ids in removed]))
        fitted = []
        trained = train_stacked(data, self.preset, seed, progress, self.precision)
        for model, losses in trained:
            fitted.append(copy(self))
            fitted[-1]._model, fitted[-1].losses = model, losses
        return fitted

    def fit_across(
        self,
        catalog: Catalog,
        removed: Collection[str],
        seed: int,
        progress: Progress,
        processes: int,
    ) -> None:
        """Do what `fit` does in several processes, each on a GPU; the same up to rounding."""
        data = self._data(catalog, kept_rows(catalog, removed))
        trained = train_across(data, self.preset, seed, progress, processes, self.precision)
        self._model, self.losses = trained

    @property
    def stack_size(self) -> int:
        """How many paired models to train in one pass here."""
        return stack_size(self.preset)

    @property
    def processes(self) -> int:
        """How many processes, each on a GPU, a model should have that is trained by itself."""
        return processes_for(self.preset)

    def _data(self, catalog: Catalog, kept: np.ndarray) -> TokenData:
        """Return the tokens of ``catalog``, with the pairs that are kept."""
        tokens = read_torch(self._tokens_of(catalog))
        vocabulary = self.tokenizer.get_vocab_size()
        return TokenData(tokens["text"].numpy(), tokens["image"].numpy(), kept, vocabulary)

    def _tokens_of(self, catalog: Catalog) -> Path:
        """Return the file that holds the tokens of ``catalog``."""
        if not self._is_prepared(catalog):
            raise InputError("the frozen parts were fitted on another catalogue: prepare() first")
        return self._prepared() / "tokens.safetensors"

    def _is_prepared(self, catalog: Catalog) -> bool:
        """Tell whether the frozen parts were fitted on ``catalog``, and its tokens are kept."""
        known: bool = catalog.fingerprint == read_json(self._prepared() / "shared.json")["catalog"]
        return known

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        """Draw one picture a prompt; see `Generator.generate`."""
        tokens = tr.sample(self._fitted(), self._text(prompts), noise, self.preset)
        return Generations(tokens, self.decode(tokens))

    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Return log p(token | caption, earlier tokens), nats, float64 (n, positions).

        At temperature 1 and untruncated.
        """
        return tr.log_likelihood(self._fitted(), self._text(prompts), samples)

    # The differentiable contract ---------------------------------------------------------------

    def module(self) -> tr.Transformer:
        """Return the transformer, all of which is learnt."""
        return self._fitted().requires_grad_(True)

    def training_batch(self, catalog: Catalog, ids: Sequence[str], draw: int = 0) -> Batch:
        """Return text (n, t) and image tokens (n, positions) of pairs; see `Differentiable`."""
        rows = rows_of(catalog, ids)
        if self._is_prepared(catalog):
            file = self._tokens_of(catalog)
            text, image = (read_rows(file, name, rows) for name in ("text", "image"))
        else:
            text = self._text([catalog.captions[row] for row in rows])
            image = self.encode(catalog.pixels(self.image_size, ids))
        if dropout := self.preset.caption_dropout:
            hashes = [catalog.hashes[row] for row in rows]
            missing = [rng("pair caption", each, draw).random() < dropout for each in hashes]
            text[np.array(missing, bool)] = PAD
        return self._batch(text, image)

    def query_batch(self, samples: np.ndarray, prompts: Sequence[str]) -> Batch:
        """Return text (n, t) and image tokens (n, positions) of queries; see `Differentiable`."""
        return self._batch(self._text(prompts), samples)

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        """Return the training loss of each pair, nats, (n,); see `Differentiable`."""
        return pair_losses(self._fitted(), **batch, preset=self.preset, precision=self.precision)

    def measurements(self, batch: Batch) -> torch.Tensor:
        """Return the mean −log p of the image tokens of each query, nats, (n,)."""
        return -self._fitted().log_likelihood(**batch).mean(-1)

    def pair_predictions(self, batch: Batch) -> list[Prediction]:
        """Return the predictions of image tokens and of text tokens; see `Predictive`."""
        return predictions(self._fitted(), **batch, preset=self.preset, precision=self.precision)

    def query_predictions(self, batch: Batch) -> list[Prediction]:
        """Return the prediction of the image tokens; see `Predictive`."""
        logits, image = self._fitted()(**batch)[1], batch["image"]
        return [Prediction(logits, image, torch.tensor(1 / image.shape[1], device=image.device))]

    def _batch(self, text: np.ndarray, image: np.ndarray) -> Batch:
        arrays = {"text": text, "image": image}
        return {k: torch.from_numpy(v.copy()).to(device()) for k, v in arrays.items()}

    # Pictures and files ------------------------------------------------------------------------

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return the codes of uint8 pictures, int64 (n, positions)."""
        from untrain.generators.dalle import autoencoder as ae

        return ae.encode(self.autoencoder, images)

    def decode(self, samples: np.ndarray) -> np.ndarray:
        """Return the pictures of codes; see `Generator.decode`."""
        from untrain.generators.dalle import autoencoder as ae

        return ae.decode(self.autoencoder, samples, self.preset.grid)

    @property
    def autoencoder(self) -> Autoencoder:
        """The frozen autoencoder, read when first asked for."""
        from untrain.generators.dalle.autoencoder import Autoencoder

        if self._autoencoder is None:
            model = Autoencoder(self.preset)
            model.load_state_dict(read_torch(self._prepared() / "autoencoder.safetensors"))
            self._autoencoder = model.to(device()).eval().requires_grad_(False)
        return self._autoencoder

    def save(self, folder: Path) -> None:
        """Write model.safetensors and model.json, atomically."""
        with atomic_folder(folder) as temporary:
            write_torch(temporary / "model.safetensors", self._fitted().state_dict())
            description = {"shared": self.shared_fingerprint, "losses": self.losses}
            recipe = {"preset": self.preset.to_dict(), "precision": self.precision}
            write_json(temporary / "model.json", {**description, **recipe})

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote; the frozen parts must be the same."""
        description = read_json(folder / "model.json")
        if description["shared"] != self.shared_fingerprint:
            raise InputError(f"the model in {folder} belongs to other frozen parts or a recipe")
        model = tr.Transformer(self.preset, self.tokenizer.get_vocab_size())
        model.load_state_dict(read_torch(folder / "model.safetensors"))
        self._model = model.to(device()).eval().requires_grad_(False)
        self.losses = description["losses"]
        return self

    def cost(self, catalog: Catalog) -> Cost:
        """Measure a few steps of the real networks on noise."""
        words = max(len(caption.split()) for caption in catalog.captions[:2000])
        length = min(max(1, round(1.3 * words)), self.preset.text_limit)  # longer ones are cut
        seconds, parameters = seconds_of_pair(self.preset, length, self.precision)
        said = f"{parameters / 1e6:.1f} M parameters, {self.preset.positions} tokens per picture"
        memory = int(bytes_of_one(self.preset, length))
        return Cost(seconds * self.fit_work(catalog), parameters, said, memory)

    def prepare_seconds(self, catalog: Catalog) -> float:
        """Measure a few steps of the autoencoder."""
        return seconds_of_picture(self.preset, self.precision) * self.prepare_work(catalog)

    def _text(self, prompts: Sequence[str]) -> np.ndarray:
        return encode_captions(self.tokenizer, prompts, self.preset.text_limit)

    def _prepared(self) -> Path:
        if self._shared is None:
            raise RuntimeError("call prepare() first")
        return self._shared

    def _fitted(self) -> tr.Transformer:
        if self._model is None:
            raise RuntimeError("call fit() or load() first")
        return self._model


def _read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer; `untrain.core.errors.Damaged` if the file holds none."""
    with opened_whole(path):
        text = read_text(path, encoding="utf-8")
        try:
            return Tokenizer.from_str(text)
        except Exception as error:  # of no kind of its own
            raise ValueError(str(error)) from None

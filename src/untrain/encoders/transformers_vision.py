"""Any vision model of Hugging Face transformers, from a local folder or the hub."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.progress import console
from untrain.core.threads import threads_set
from untrain.encoders.transformers_loading import (
    content_of,
    fold_normalisation,
    load_model,
    load_tokenizer,
)
from untrain.encoders.tuning import Pace, pace_of

Pooling = Literal["mean", "flatten", "cls", "pooler", "projection"]
LEVELS = 6  # hidden states of `TransformersEncoder.levels`


class TransformersEncoder:
    """Features of a pretrained vision model, each image embedded as its own processor prepares it.

    Tested with ResNet, MobileNetV2, ViT (DINO), DINOv2, CLIP and SigLIP.

    Parameters
    ----------
    path : str
        Folder with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, or
        a hub id, which is downloaded once (never where ``HF_HUB_OFFLINE`` is set).
    pooling : {"mean", "flatten", "cls", "pooler", "projection"}
        Mean over positions; the whole map as one vector (as the study: 7 × 7 × 2,048 = 100,352);
        the first token of a transformer; the model's own pooling layer; or, for CLIP and its
        like, the space that pictures and texts share.
    layer : "last" or int
        Last hidden state, or an index into the model's hidden states; −1 is the last of them.
    dtype : {"float32", "bfloat16"}
        Arithmetic of the forward pass. bfloat16 is about twice as fast on a CPU that has
        instructions for it, and many times slower on one that has not.
    batch_size : "auto" or int
        Images a forward pass; "auto" measures what is quickest here, threads included, once
        (`untrain.encoders.tuning`). It changes features only by rounding: about 1e-6 in float32,
        1e-2 in bfloat16.

    Raises
    ------
    InputError
        If the model is not here, is not a vision model, or an option is out of range.
    """

    def __init__(
        self,
        path: str,
        pooling: Pooling = "mean",
        layer: Literal["last"] | int = "last",
        dtype: Literal["float32", "bfloat16"] = "float32",
        batch_size: Literal["auto"] | int = "auto",
    ) -> None:
        _check_choice("pooling", pooling, get_args(Pooling))
        _check_choice("dtype", dtype, ("float32", "bfloat16"))
        _check_whole("layer", layer, "last")
        _check_whole("batch_size", batch_size, "auto")
        if batch_size != "auto" and batch_size < 1:
            raise InputError(f"encoder batch_size is {batch_size}; expected at least 1")
        if layer != "last" and pooling in ("pooler", "projection"):
            raise InputError(f"encoder pooling '{pooling}' is of the last layer; leave layer out")
        self.path = str(path)
        self.pooling: str = pooling
        self.layer = layer
        self.batch_size = batch_size
        self.processor, model, random = load_model(self.path)
        if pooling == "projection":
            _check_joint(model)
        else:
            model = getattr(model, "vision_model", model)  # of CLIP, the half that sees
        if pooling == "pooler" and random:
            raise InputError(f"the weights at {path} have no pooling layer; use 'mean' or 'cls'")
        # Before the cast: the same weights have the same hash whatever they are computed in.
        self._body = (content_of(model, random), self.processor.to_dict(), layer, dtype)
        fold_normalisation(model)
        import torch

        from untrain.core.hardware import has_fast_bfloat16

        if dtype == "bfloat16" and not has_fast_bfloat16():
            console.print("  this processor has no bfloat16 instructions: float32 will be quicker")
        self.dtype = getattr(torch, dtype)
        self.model = model.to(dtype=self.dtype, memory_format=torch.channels_last)

    @cached_property
    def fingerprint(self) -> str:
        """Depends on weights, preparation, pooling, layer and dtype; not on the path."""
        return fingerprint("transformers", *self._body, self.pooling)

    @property
    def description(self) -> str:
        """A line for people."""
        layer = "" if self.layer == "last" else f", layer {self.layer}"
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{Path(self.path).name}, {self.pooling}{layer}, {dtype}"

    @cached_property
    def non_negative(self) -> bool:
        """Whether features are at or above zero, tried on four pictures of noise."""
        noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
        return bool(self.encode(list(noise)).min() >= 0)

    def pooled(self) -> Self:
        """Return the encoder with pooling "mean" if this one's is "flatten", else itself.

        The weights are shared.
        """
        return self._with_pooling("mean") if self.pooling == "flatten" else self

    def levels(self) -> Self:
        """Return the encoder of the means of `LEVELS` hidden states, one after the other.

        The weights are shared.
        """
        other = self._with_pooling("levels")
        other.model = getattr(self.model, "vision_model", self.model)  # where texts are read too
        return other

    def _with_pooling(self, pooling: str) -> Self:
        other = copy.copy(self)
        other.pooling = pooling
        for cached in ("fingerprint", "non_negative"):
            other.__dict__.pop(cached, None)
        return other

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return features, float32 (n, d), of images, each uint8 H×W×3 RGB of any size."""
        if not len(images):
            return self._forward([np.zeros((32, 32, 3), np.uint8)])[:0]
        pace = self.pace(images)
        starts = range(0, len(images), pace.batch_size)
        with threads_set(pace.threads):
            return np.concatenate(
                [self._forward(images[start : start + pace.batch_size]) for start in starts]
            )

    def encode_text(self, prompts: Sequence[str]) -> np.ndarray | None:
        """Return text features, float32 (n, d), in the space of the pictures' features.

        None unless pooling is "projection".
        """
        import torch

        if self.pooling != "projection":
            return None
        # To full length, as SigLIP was trained; CLIP does not look behind the end of the text.
        length = self.model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            max_length=length,
            truncation=True,
            return_token_type_ids=False,  # some tokenizers have them; models of both do not
            return_tensors="pt",
        )
        with torch.inference_mode():
            return _projected(self.model.get_text_features(**tokens)).float().numpy()

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.path)

    def pace(self, images: Sequence[np.ndarray]) -> Pace:
        """Return the batch size and threads that `encode` takes for images such as these."""
        import torch

        if self.batch_size != "auto":
            return Pace(self.batch_size, torch.get_num_threads())
        return pace_of(fingerprint(*self._body), self.description, self._forward, images)

    def _forward(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of one batch."""
        import torch

        prepared = self.processor(
            images=list(batch), return_tensors="pt", input_data_format="channels_last"
        )
        pixels = prepared["pixel_values"].to(self.dtype, memory_format=torch.channels_last)
        with torch.inference_mode():
            if self.pooling == "projection":
                features = _projected(self.model.get_image_features(pixel_values=pixels))
            else:
                inner = self.layer != "last" or self.pooling == "levels"
                output = self.model(pixel_values=pixels, output_hidden_states=inner)
                features = self._pool(output)
            return features.float().numpy()

    def _pool(self, output: Any) -> Any:
        """Return a tensor (n, d) of a model's output."""
        if self.pooling == "pooler":
            if getattr(output, "pooler_output", None) is None:
                raise InputError("this model has no pooling layer; use pooling 'mean' or 'cls'")
            return output.pooler_output.flatten(1)
        if self.pooling == "levels":
            return _levels(output.hidden_states)
        state = output.last_hidden_state
        if self.layer != "last":
            try:
                state = output.hidden_states[self.layer]
            except IndexError:
                raise InputError(
                    f"encoder layer is {self.layer}; this model has {len(output.hidden_states)} "
                    "hidden states, counted from 0"
                ) from None
        if self.pooling == "flatten":
            return state.flatten(1)
        if self.pooling == "cls":
            if state.ndim != 3:
                raise InputError(
                    "pooling 'cls' needs a transformer; this model has feature maps: "
                    "use 'mean' or 'flatten'"
                )
            return state[:, 0]
        return _mean(state)


def _mean(state: Any) -> Any:
    """Return the mean over positions, (n, d), of a hidden state.

    It is (n, channels, height, width) of a convolutional net, (n, tokens, channels) otherwise.
    """
    return state.float().mean((2, 3) if state.ndim == 4 else 1)


def _levels(states: Sequence[Any]) -> Any:
    """Return the means of hidden states spread evenly from the first quarter to the last."""
    import torch

    chosen = np.linspace(len(states) / 4, len(states) - 1, LEVELS).round().astype(int)
    return torch.cat([_mean(states[i]) for i in dict.fromkeys(chosen.tolist())], 1)


def _projected(output: Any) -> Any:
    """Return the joint features of transformers 4 (a tensor) or 5 (the output's pooling)."""
    return getattr(output, "pooler_output", output)


def _check_joint(model: Any) -> None:
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise InputError(
            "pooling 'projection' needs a model of pictures and texts such as CLIP; "
            f"this one is a {type(model).__name__}: use 'mean'"
        )


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"encoder {name} is {value!r}; expected one of {', '.join(choices)}")


def _check_whole(name: str, value: object, word: str) -> None:
    if value != word and (isinstance(value, bool) or not isinstance(value, int)):
        raise InputError(f"encoder {name} is {value!r}; expected '{word}' or a whole number")

"""Any vision model of Hugging Face transformers, from a local folder or the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError

from untrain.errors import InputError
from untrain.files import fingerprint

Pooling = Literal["mean", "flatten", "cls"]


class TransformersEncoder:
    """Features of a pretrained vision model, each image embedded as its own processor prepares it.

    Parameters
    ----------
    path : str
        Folder with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, or
        a hub id, which is downloaded once (never where ``HF_HUB_OFFLINE`` is set).
    pooling : {"mean", "flatten", "cls"}
        Mean over positions; the whole map as one vector (as the study: 7 × 7 × 2,048 = 100,352);
        or the first token of a transformer.
    layer : "last" or int
        Last hidden state, or an index into the model's hidden states.
    dtype : {"float32", "bfloat16"}
        Arithmetic of the forward pass. On recent CPUs bfloat16 is about twice as fast.
    batch_size : int
        Images a forward pass. Small batches are the faster ones on a CPU.

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
        batch_size: int = 4,
    ) -> None:
        _check_choice("pooling", pooling, ("mean", "flatten", "cls"))
        _check_choice("dtype", dtype, ("float32", "bfloat16"))
        if layer != "last" and (isinstance(layer, bool) or not isinstance(layer, int)):
            raise InputError(f"encoder layer is {layer!r}; expected 'last' or a whole number")
        if batch_size < 1:
            raise InputError(f"encoder batch_size is {batch_size}; expected at least 1")
        self.pooling = pooling
        self.layer = layer
        self.batch_size = batch_size
        self.processor, model = _load(str(path))
        # Before the cast: the same weights have the same hash whatever they are computed in.
        self.fingerprint = fingerprint(
            "transformers", _content(model), self.processor.to_dict(), pooling, layer, dtype
        )
        import torch

        self.dtype = getattr(torch, dtype)
        self.model = model.to(dtype=self.dtype, memory_format=torch.channels_last)

    @cached_property
    def non_negative(self) -> bool:
        """Whether features are at or above zero, tried on four pictures of noise."""
        noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
        return bool(self.encode(list(noise)).min() >= 0)

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return features, float32 (n, d), of images, each uint8 H×W×3 RGB of any size."""
        import torch

        features = []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                batch = list(images[start : start + self.batch_size])
                features.append(self._forward(batch).float().numpy())
        if features:
            return np.concatenate(features)
        return self.encode([np.zeros((32, 32, 3), np.uint8)])[:0]

    def _forward(self, batch: list[np.ndarray]) -> Any:
        """Return the pooled features of one batch, a tensor (n, d)."""
        import torch

        prepared = self.processor(
            images=batch, return_tensors="pt", input_data_format="channels_last"
        )
        pixels = prepared["pixel_values"].to(self.dtype, memory_format=torch.channels_last)
        output = self.model(pixel_values=pixels, output_hidden_states=self.layer != "last")
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
        # (n, channels, height, width) of a convolutional net, (n, tokens, channels) otherwise.
        return state.float().mean((2, 3) if state.ndim == 4 else 1)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"encoder {name} is {value!r}; expected one of {', '.join(choices)}")


def _load(path: str) -> tuple[Any, Any]:
    """Return the image processor and the vision model at ``path``, in evaluation mode."""
    import transformers
    from transformers import AutoImageProcessor, AutoModel

    # Always PIL: the same numbers whether or not torchvision happens to be installed.
    modern = int(transformers.__version__.split(".")[0]) >= 5
    plain = {"backend": "pil"} if modern else {"use_fast": False}
    transformers.utils.logging.disable_progress_bar()
    try:
        local = {"local_files_only": Path(path).is_dir()}
        processor = AutoImageProcessor.from_pretrained(path, **local, **plain)
        model = AutoModel.from_pretrained(path, **local, use_safetensors=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"encoder: {_fault(path, str(error))}, or use `encoder: layout`, which needs no weights"
        ) from None
    model = getattr(model, "vision_model", model)  # of CLIP and its like, the half that sees
    return processor, model.eval()


def _fault(path: str, reason: str) -> str:
    """Say what is wrong with the model at ``path``, and what would mend it."""
    folder = Path(path)
    if not folder.is_dir():
        return (
            f"'{path}' is neither a folder nor a model that is in the hub's cache or can be "
            f"downloaded now; run `hf download {path}` where there is a network"
        )
    missing = [n for n in ("config.json", "preprocessor_config.json") if not (folder / n).exists()]
    missing += [] if any(folder.glob("*.safetensors")) else ["model.safetensors"]
    why = f"it lacks {', '.join(missing)}" if missing else reason.strip().splitlines()[0]
    return f"the folder {path} holds no usable model ({why}); download the model again"


def _content(model: Any) -> str:
    """Return a hash of the weights' names and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().float().numpy().tobytes())
    return digest.hexdigest()

"""The reference model in one file, for whoever has torch and safetensors and nothing else."""

from __future__ import annotations

import inspect
from typing import Any

from untrain.generators.base import Generator
from untrain.generators.dalle import training, transformer
from untrain.generators.dalle.generator import DalleGenerator
from untrain.generators.paired import widened
from untrain.generators.products import SquaredReLU

HEAD = '''\
"""Model A of this benchmark: a decoder-only transformer over [text | image] tokens.

Written by untrain from its own source. It needs torch and safetensors:

    from model import load, pairs, pair_losses, queries, query_losses
    model, preset = load()
    pair_losses(model, **pairs(range(8)), preset=preset)        # what training made small
    query_losses(model, **queries(range(8)))                    # what the outcomes are, in nats

All parameters were learnt. A was trained with AdamW on the pair losses.
"""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from functools import reduce
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

FOLDER = Path(__file__).parent
PAD = 0
CHUNK = 256


def autocast(precision):
    """Compute in float32, in which outcomes were measured, whatever training computed in."""
    return nullcontext()
'''

TAIL = '''\
def load():
    """Return A with its averaged weights, and the preset: sizes and the weight of the loss."""
    preset = json.loads((FOLDER / "model" / "model.json").read_text(encoding="utf-8"))["preset"]
    preset = {"parts": 1, **preset}  # codes at a place, not written where it is one
    preset["grid"] = preset["height"] // 8, preset["width"] // 8
    preset["codes"] = math.prod(preset["levels"])
    preset = SimpleNamespace(**preset)
    weights = load_file(FOLDER / "model" / "model.safetensors")
    model = Transformer(preset, len(weights["text.weight"]))
    model.load_state_dict(weights)
    return model.eval(), preset


def pairs(rows):
    """Return text (n, t) and image tokens (n, positions) of training images by their row."""
    tokens = load_file(FOLDER / "shared" / "tokens.safetensors")
    rows = torch.as_tensor(list(rows))
    return {"text": tokens["text"][rows], "image": tokens["image"][rows]}


def queries(rows):
    """Return the same of queries, by their row in queries.csv."""
    tokens = load_file(FOLDER / "queries.safetensors")
    rows = torch.as_tensor(list(rows))
    return {"text": tokens["text"][rows], "image": tokens["samples"][rows]}


def query_losses(model, text, image):
    """Return the mean -log p of the image tokens of each query, nats, (n,)."""
    return _nll(model(text, image)[1], image).mean(-1)


if __name__ == "__main__":
    model, preset = load()
    with torch.no_grad():
        trained = pair_losses(model, **pairs(range(64)), preset=preset)
        print("mean loss of the first 64 pairs:", float(trained.mean()))
        print("losses of the first 5 queries:", query_losses(model, **queries(range(5))).tolist())
'''

PARTS: tuple[Any, ...] = (
    widened,
    transformer._Memory,
    transformer._attend,
    SquaredReLU,
    transformer._Block,
    transformer._Further,
    transformer.Transformer,
    training.pair_losses,
    training._nll,
)


def standalone(generator: Generator) -> str | None:
    """Return the source of ``model.py``; None for a generator that is not the reference model."""
    if type(generator) is not DalleGenerator:
        return None
    return "\n\n".join([HEAD, *(inspect.getsource(part) + "\n" for part in PARTS), TAIL])

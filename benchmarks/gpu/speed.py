"""Training steps of three sizes: by kernels, by graphs, compiled; DALLE-pytorch; the peak.

Everything of ours is the product's own loop, broken off once it is under way. Theirs is a step as
its training script takes it, in float32 and under bfloat16's autocast. Both sides have the same
tokens, none of them padding. Their blocks have half as many weights again (gated feed-forward).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from gpu.pace import WARM, operations, pace, peak, timed, tokens
from gpu.results import Item, Row, Setting
from untrain.core.hardware import PRECISIONS, STEPS, Precision, autocast, device
from untrain.generators.base import Noise
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.training import descend_tokens
from untrain.generators.dalle.transformer import Transformer, sample
from untrain.generators.noise import noise_batch


@dataclass(frozen=True)
class Size:
    """A configuration: ``filled`` is a batch that gives a GPU something to do."""

    preset: Preset
    text: int
    filled: int


LARGE: dict[str, Any] = {
    "dim": 1024, "depth": 24, "heads": 16, "head_dim": 64, "vocabulary": 16_384, "text_limit": 256,
    "batch": 4, "weight_decay": 0.05, "lr": 3e-4,
}  # fmt: skip
"""Of GPT-2 medium's size, at the study's picture size: 302 M weights in the blocks."""
SIZES = {
    "seed": Size(preset_of("seed"), text=64, filled=40),
    "small": Size(preset_of("small", height=64, width=64), text=24, filled=128),
    "large": Size(preset_of("seed", **LARGE), text=64, filled=16),
}
MICRO = {"micro": Size(preset_of("micro", batch=4), text=8, filled=8)}
WAYS: dict[str, tuple[str, bool, Precision]] = {
    "bfloat16": ("eager", False, "bfloat16"),
    "graph": ("graph", False, "bfloat16"),
    "compiled": ("eager", True, "bfloat16"),
    "compiled, graph": ("graph", True, "bfloat16"),
    "float32": ("eager", False, "float32"),
}
FILLED = ("bfloat16", "compiled", "compiled, graph")
"""Ways worth trying where launching kernels is not what takes the time."""


def items(at: Setting) -> Iterator[Item]:
    """Yield the peak, then each size in all ways, then attention and sampling."""
    sizes = MICRO if at.miniature else SIZES
    found = at.found.get("speed", {})
    peaks: dict[str, float] = {n: r["TFLOP/s"] for n, r in found.items() if "TFLOP/s" in r}

    def measured(name: str, kind: torch.dtype) -> Row:
        peaks[name] = peak(kind, 256 if at.miniature else 8192) / 1e12
        return {"TFLOP/s": peaks[name]}

    for name, kind in (("peak bfloat16", torch.bfloat16), ("peak float32", torch.float32)):
        yield name, partial(measured, name, kind)
    for name, size in sizes.items():
        small = size.preset.batch
        for batch, chosen in ((small, WAYS), (size.filled, FILLED)):
            told = f"{name}, {batch} a step"
            for way in ("float32",) if at.miniature else chosen:
                ceiling = peaks.get(f"peak {WAYS[way][2]}")
                yield f"{told}: {way}", partial(_ours, size, batch, way, ceiling, at)
            for precision in PRECISIONS[::-1] if batch == small else ():
                yield f"{told}: DALLE-pytorch {precision}", partial(_theirs, size, precision, at)
    first = next(iter(sizes.values()))
    for name in _attentions(at):
        yield f"attention: {name}", partial(_attention, name, first)
    for name, size in list(sizes.items())[:2]:
        yield f"drawing: {name}", partial(_drawing, size, at)


def _ours(size: Size, batch: int, way: str, ceiling: float | None, at: Setting) -> Row:
    """Return the pace of the paired loop."""
    steps, compiled, precision = WAYS[way]
    preset = replace(size.preset, batch=batch, epochs=10**6)
    torch.manual_seed(0)
    with device():
        model = Transformer(preset, preset.vocabulary)
    start = time.perf_counter()
    if compiled:  # block by block: they share their kernels, and the first compiles them
        for block in model.blocks:
            block.compile(dynamic=False)
    data = tokens(preset, 8 * batch, size.text)
    before = os.environ.get(STEPS)
    os.environ[STEPS] = steps
    try:
        row = pace(
            lambda told: descend_tokens(model, data, preset, 0, told, precision),
            at.seconds,
            4 if at.miniature else WARM,
        )
    finally:
        os.environ.pop(STEPS) if before is None else os.environ.update({STEPS: before})
    row["start, s"] = round(time.perf_counter() - start - at.seconds, 1)
    return row | _rates(row["ms a step"], batch, size, ceiling)


def _rates(milliseconds: float, batch: int, size: Size, ceiling: float | None) -> Row:
    length = size.text + size.preset.positions
    did = operations(size.preset, size.text) * batch / milliseconds / 1e9  # TFLOP/s
    row: Row = {"steps/s": round(1000 / milliseconds, 2)}
    row |= {"tokens/s": round(1000 * batch * length / milliseconds), "TFLOP/s": round(did, 2)}
    if ceiling:
        row["share of the peak"] = round(did / ceiling, 3)
    return {"model " + name if name == "TFLOP/s" else name: value for name, value in row.items()}


def _theirs(size: Size, precision: Precision, at: Setting) -> Row:
    """Return the pace of DALLE-pytorch on the same tokens."""
    if at.other is None:
        return {"not run": "--other says where DALLE-pytorch is"}
    import bench_dalle_pytorch as bench

    preset = replace(size.preset, text_limit=size.text)
    side = bench.Size(preset, preset.batch, 1, (), preset.depth)
    torch.manual_seed(0)
    model = bench.theirs(at.other, side).to(device())
    # Their text tokens are counted without a padding token of each position.
    draw = np.random.default_rng(0)
    limit = preset.vocabulary - size.text
    text = torch.from_numpy(draw.integers(1, limit, (preset.batch, size.text))).to(device())
    image = torch.from_numpy(draw.integers(0, preset.codes, (preset.batch, preset.positions)))
    image = image.to(device())
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=4.5e-4)

    def train(told: Any) -> None:
        while True:
            with autocast(precision):
                loss = model(text, image, return_loss=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 0.5)
            optimizer.step()
            optimizer.zero_grad()
            told(preset.batch)

    row = pace(train, at.seconds, 3)
    length = size.text + preset.positions
    row["steps/s"] = round(1000 / row["ms a step"], 2)
    row["tokens/s"] = round(row["pairs/s"] * length)
    same = f"{_name_of(size)}, {preset.batch} a step: "
    mine = {way: at.found.get("speed", {}).get(same + way, {}).get("ms a step") for way in WAYS}
    row["ours is faster, times"] = {
        way: round(row["ms a step"] / ms, 1) for way, ms in mine.items() if ms
    }
    row["weights, M"] = round(sum(p.numel() for p in weights) / 1e6, 1)
    return row


def _name_of(size: Size) -> str:
    return next(name for name, other in (SIZES | MICRO).items() if other is size)


# Attention ----------------------------------------------------------------------------------------


def _attentions(at: Setting) -> list[str]:
    names = ["as trained", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH"]
    return [*(names[::3] if at.miniature else names), "flash, without padding"]


def _attention(name: str, size: Size) -> Row:
    """Return the time of attention and its gradient in one block, under training's mask."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from untrain.core.hardware import deterministic
    from untrain.generators.dalle.transformer import _attend

    preset, where = size.preset, device()
    length = size.text + preset.positions - 1
    torch.manual_seed(0)
    shape = size.filled, preset.heads, length, preset.head_dim
    kind = torch.bfloat16 if where.type == "cuda" else torch.float32
    q, k, v = (torch.randn(shape, device=where, dtype=kind, requires_grad=True) for _ in "qkv")
    mask = torch.ones(length, length, dtype=torch.bool, device=where).tril()
    mask = mask.expand(size.filled, 1, -1, -1).contiguous()

    def work() -> None:
        if name == "as trained":
            out = _attend(q, k, v, mask)
        elif name == "flash, without padding":
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            with sdpa_kernel(getattr(SDPBackend, name)):
                out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        torch.autograd.grad(out.sum(), (q, k, v))

    row: Row = {}
    for told, context in (("ms", nullcontext), ("ms, deterministic", deterministic)):
        try:
            with context():
                work()
                row[told] = round(1000 * min(timed(work) for _ in range(5)), 3)
        except RuntimeError as error:
            return {**row, "cannot": str(error).splitlines()[0]}
    return row


def _drawing(size: Size, at: Setting) -> Row:
    """Return how many pictures a second are drawn, 64 at a time."""
    preset, n = size.preset, 2 if at.miniature else 64
    torch.manual_seed(0)
    with device():
        model = Transformer(preset, preset.vocabulary).eval().requires_grad_(False)
    keys = [("p", i) for i in range(n)]
    noise = noise_batch(Noise("gumbel", (preset.positions, preset.codes)), 0, keys)
    text = tokens(preset, n, size.text).text
    return {"pictures/s": round(n / timed(lambda: sample(model, text, noise, preset)), 2)}

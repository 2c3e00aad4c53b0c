"""Models an hour: paired models trained in stacks of several sizes, beside one after another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from gpu.pace import WARM, pace, tokens
from gpu.results import Item, Row, Setting
from untrain.core.hardware import STEPS, Precision, device
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.stacked import bytes_of_one, train_stacked
from untrain.generators.dalle.training import train_transformer

TEXT = 24  # tokens of a caption
PAIRS = {"micro": 24, "tiny": 1728, "small": 5000, "seed": 44_072}
"""Of the demo, of the photo example, and all photos."""
SIZES = {"tiny": (4, 8, 16, 32, 64), "small": (4, 8, 16, 32, 64), "seed": (4, 8)}
WORTH = 0.7  # share of the GPU's memory that a stack may be estimated to take


def items(at: Setting) -> Iterator[Item]:
    """Yield, for each preset, one model by itself, then stacks, by kernels and by graphs."""
    sizes = {"micro": (2,)} if at.miniature else SIZES
    for name, stacks in sizes.items():
        for steps in ("eager",) if at.miniature else ("eager", "graph"):
            yield f"{name}, one by one, {steps}", partial(_rate, name, None, steps, "bfloat16", at)
            for size in stacks:
                work = partial(_rate, name, size, steps, "bfloat16", at)
                yield f"{name}, {size} at once, {steps}", work
        if not at.miniature:
            work = partial(_rate, name, None, "eager", "float32", at)
            yield f"{name}, one by one, eager, float32", work


def _rate(name: str, size: int | None, steps: str, precision: Precision, at: Setting) -> Row:
    whole = preset_of(name)
    if device().type == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory
        if (size or 1) * bytes_of_one(whole, TEXT) > WORTH * memory:
            return {"not run": "its memory is estimated to be too little"}
    else:
        precision = "float32"
    preset = replace(whole, epochs=10**6)
    data = tokens(preset, 8 * preset.batch, TEXT, size)
    before = os.environ.get(STEPS)
    os.environ[STEPS] = steps
    try:
        row = pace(
            lambda told: (train_transformer if size is None else train_stacked)(
                data, preset, 0, told, precision
            ),
            at.seconds / 2,
            4 if at.miniature else WARM,
        )  # fmt: skip
    finally:
        os.environ.pop(STEPS) if before is None else os.environ.update({STEPS: before})
    hour = 3600 * row["pairs/s"] / (whole.epochs * PAIRS[name])
    row["models an hour"] = float(f"{hour:.4g}")
    alone = at.found.get("stacks", {}).get(f"{name}, one by one, eager", {}).get("models an hour")
    if size and alone:
        row["times one by one"] = round(hour / alone, 2)
    return row

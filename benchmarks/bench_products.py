"""A linear layer's three products by torch's own way and by oneDNN, and what that makes of a step.

    python benchmarks/bench_products.py --preset tiny

Processor seconds of one thread, both ways in turns, the quickest of ``--repeats``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from untrain.generators import paired
from untrain.generators.dalle.presets import PRESETS, Preset, preset_of
from untrain.generators.dalle.training import TokenData, train_transformer
from untrain.generators.products import quick_layers


def quickest(works: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return the least processor seconds of each piece of work, which take turns."""
    for work in works:
        work()
    times = [[0.0] * repeats for _ in works]
    for repeat in range(repeats):
        for each, work in zip(times, works, strict=True):
            start = time.process_time()
            work()
            each[repeat] = time.process_time() - start
    return [min(each) for each in times]


def layer(rows: int, inside: int, outside: int, repeats: int) -> list[float]:
    """Return the GFLOP/s of a layer, forward and backward, by each way."""
    made = nn.Linear(inside, outside)
    x = torch.randn(rows, inside, requires_grad=True)
    grad = torch.randn(rows, outside)

    def ten_times() -> None:
        for _ in range(10):
            made(x).backward(grad)

    def quick() -> None:
        with quick_layers(made):
            ten_times()

    products = 10 * 6 * rows * inside * outside
    return [products / seconds / 1e9 for seconds in quickest([ten_times, quick], repeats)]


def step(preset: Preset, items: int, text: int, repeats: int) -> list[float]:
    """Return the milliseconds of a training step by each way."""
    draw = np.random.default_rng(0)
    captions = draw.integers(1, preset.vocabulary, (items, text))
    images = draw.integers(0, preset.codes, (items, preset.positions))
    data = TokenData(captions, images, np.ones(items, bool), preset.vocabulary)
    once = replace(preset, epochs=1)

    def train(way: Callable) -> Callable[[], object]:
        def one() -> None:
            paired.quick_layers = way
            train_transformer(data, once, 0, lambda n: None)

        return one

    works = [train(lambda model: nullcontext()), train(quick_layers)]
    steps = -(-items // preset.batch)
    return [1000 * seconds / steps for seconds in quickest(works, repeats)]


def main() -> None:
    """Print one row a layer and one for the step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--items", type=int, default=256, help="pairs")
    parser.add_argument("--text", type=int, default=18, help="text tokens a pair")
    parser.add_argument("--vocabulary", type=int, default=594, help="the demo's")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    preset = replace(preset_of(args.preset), vocabulary=args.vocabulary)
    rows = preset.batch * (args.text + preset.positions - 1)
    inner = preset.heads * preset.head_dim
    print(f"| {args.preset}, {rows} rows | torch's own | quick | times |\n|---|--:|--:|--:|")
    for inside, outside in (
        (preset.dim, 3 * inner),
        (inner, preset.dim),
        (preset.dim, 4 * preset.dim),
        (4 * preset.dim, preset.dim),
    ):
        own, quick = layer(rows, inside, outside, args.repeats)
        words = f"{inside} → {outside}, GFLOP/s"
        print(f"| {words} | {own:.0f} | {quick:.0f} | {quick / own:.2f} |", flush=True)
    own, quick = step(preset, args.items, args.text, args.repeats)
    print(f"| a step, ms | {own:.1f} | {quick:.1f} | {own / quick:.2f} |")


if __name__ == "__main__":
    main()

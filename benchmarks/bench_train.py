"""Cost of training transformers, and how to train many of them.

On a CPU: one process with one thread, one with all threads, several processes of one thread side
by side, and a stack of models in one process, with one thread and with all. On a GPU: one after
another, and stacks. ``python benchmarks/bench_train.py --preset small --stack 4 16``
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import numpy as np

from timing import report
from untrain.generators.presets import PRESETS, preset_of

_start: Barrier


def nowhere(n: int) -> None:
    """Take a report of progress."""


def prepare(barrier: Any) -> None:
    """Keep the barrier at which the processes of one measurement wait for each other."""
    global _start
    _start = barrier


def train(threads: int, stack: int, args: argparse.Namespace) -> tuple[list[float], float]:
    """Train ``repeats`` times one model, or a stack, for one epoch.

    Every process has warmed up before any clock starts, so that neither imports nor the first,
    slow steps count. Returns the seconds of each time and, on a GPU, the most MiB held.
    """
    import torch

    from untrain.generators.hardware import device
    from untrain.generators.stacked import train_stacked
    from untrain.generators.training import train_transformer

    torch.set_num_threads(threads)
    preset = replace(preset_of(args.preset), epochs=1)
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (args.items, args.text))
    image = draw.integers(0, preset.codes, (args.items, preset.positions))
    kept = draw.random((stack, args.items)) >= args.removed

    def one(count: int) -> float:
        rest = preset.vocabulary, preset, 0, nowhere
        start = time.perf_counter()
        if stack == 1:
            train_transformer(text[:count], image[:count], kept[0, :count], *rest)
        else:
            train_stacked(text[:count], image[:count], kept[:, :count], *rest)
        if device().type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    one(2 * preset.batch)
    times = []
    for _ in range(args.repeats):
        _start.wait()
        times.append(one(args.items))
    most = torch.cuda.max_memory_allocated() / 2**20 if device().type == "cuda" else 0.0
    return times, most


def measure(processes: int, threads: int, stack: int, args: argparse.Namespace) -> float:
    """Train that many models at once; return models a second, by the median of the last to end."""
    context = mp.get_context("spawn")
    initargs = (context.Barrier(processes),)
    with ProcessPoolExecutor(processes, context, initializer=prepare, initargs=initargs) as pool:
        futures = [pool.submit(train, threads, stack, args) for _ in range(processes)]
        done = [future.result() for future in futures]
    took = float(np.median(np.array([times for times, _ in done]).max(axis=0)))
    preset = preset_of(args.preset)
    models = processes * stack
    tokens = models * args.items * (args.text + preset.positions)
    label = f"{processes} process{'es' * (processes > 1)} × {threads} thread{'s' * (threads > 1)}"
    label += f", stack of {stack}" * (stack > 1)
    note = f"{tokens / took:,.0f} tokens/s, {3600 * models / took / preset.epochs:,.0f} models/h"
    held = max(most for _, most in done)
    note += f", GPU {held:,.0f} MiB" * (held > 0)
    report(label, took, models * args.items, "images", note)
    return models / took


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--items", type=int, default=256, help="pairs a training of one epoch")
    parser.add_argument("--text", type=int, default=40, help="text tokens a pair, padding included")
    parser.add_argument("--cores", type=int, default=2, help="threads, and processes, to compare")
    parser.add_argument("--stack", type=int, nargs="*", default=[16], help="models in one pass")
    parser.add_argument("--removed", type=float, default=0.1, help="share out of each model")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Print one line a way, and models an hour relative to one after another on one thread.

    Models an hour are of the preset's epochs over ``--items`` pairs.
    """
    from untrain.generators.hardware import device, precision

    args = parse()
    preset = preset_of(args.preset)
    where = f"{device()}, {precision()}"
    print(f"preset {args.preset}: {args.text} text + {preset.positions} image tokens, {where}")
    ways = {(1, 1, 1): "one"}
    if device().type == "cpu":
        ways |= {(1, args.cores, 1): f"{args.cores} threads"}
        ways |= {(args.cores, 1, 1): f"{args.cores} processes"}
    for stack in args.stack:
        ways |= {(1, 1, stack): f"stack of {stack}"}
        if device().type == "cpu":
            ways |= {(args.cores, 1, stack): f"{args.cores} processes, stacks of {stack}"}
            ways |= {(1, args.cores, stack): f"stack of {stack} on {args.cores} threads"}
    rates = {name: measure(*way, args) for way, name in ways.items()}
    one = rates.pop("one")
    relative = ", ".join(f"{name} {rate / one:.2f}" for name, rate in rates.items())
    print(f"models an hour, one after another = 1: {relative}")


if __name__ == "__main__":
    main()

"""Cost of training transformers, and how to share the cores among several.

Three ways in one run: one process with one thread, one process with all threads, and several
processes of one thread side by side. ``python benchmarks/bench_train.py --preset small``
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


def train(threads: int, args: argparse.Namespace) -> list[float]:
    """Train ``repeats`` models of one epoch; return the seconds of each.

    Every process has warmed up before any clock starts, so that neither imports nor the first,
    slow steps count.
    """
    import torch

    from untrain.generators.training import train_transformer

    torch.set_num_threads(threads)
    preset = replace(preset_of(args.preset), epochs=1)
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (args.items, args.text))
    image = draw.integers(0, preset.codes, (args.items, preset.positions))
    kept = np.ones(args.items, bool)

    def one(count: int) -> float:
        rows = text[:count], image[:count], kept[:count]
        start = time.perf_counter()
        train_transformer(*rows, preset.vocabulary, preset, 0, nowhere)
        return time.perf_counter() - start

    one(2 * preset.batch)
    times = []
    for _ in range(args.repeats):
        _start.wait()
        times.append(one(args.items))
    return times


def measure(processes: int, threads: int, args: argparse.Namespace) -> float:
    """Train that many models at once; return the median seconds until the last of them is done."""
    context = mp.get_context("spawn")
    initargs = (context.Barrier(processes),)
    with ProcessPoolExecutor(processes, context, initializer=prepare, initargs=initargs) as pool:
        futures = [pool.submit(train, threads, args) for _ in range(processes)]
        times = np.array([future.result() for future in futures])
    took = float(np.median(times.max(axis=0)))
    preset = preset_of(args.preset)
    pairs = processes * args.items
    tokens = pairs * (args.text + preset.positions)
    label = f"{processes} process{'es' * (processes > 1)} × {threads} thread{'s' * (threads > 1)}"
    report(label, took, pairs, "images", f"{tokens / took:,.0f} tokens/s")
    return processes / took


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--items", type=int, default=256, help="pairs a training of one epoch")
    parser.add_argument("--text", type=int, default=40, help="text tokens a pair, padding included")
    parser.add_argument("--cores", type=int, default=2, help="threads, and processes, to compare")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Print one line a way, and models an hour relative to one thread alone."""
    args = parse()
    preset = preset_of(args.preset)
    print(f"preset {args.preset}: {args.text} text + {preset.positions} image tokens a pair")
    one = measure(1, 1, args)
    threads = measure(1, args.cores, args)
    side_by_side = measure(args.cores, 1, args)
    print(
        f"models an hour, one thread = 1: {args.cores} threads {threads / one:.2f}, "
        f"{args.cores} processes {side_by_side / one:.2f}; "
        f"processes over threads {side_by_side / threads:.2f}"
    )


if __name__ == "__main__":
    main()

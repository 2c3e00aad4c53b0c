"""Cost of training transformers, and how to train many of them.

One table. On a CPU: models one after another on one thread and on all threads, several processes
of one thread side by side, and stacks of models in one pass, on one thread, on all and side by
side. On a GPU: one after another, and stacks.
``python benchmarks/bench_train.py --preset small --stack 4 16``
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

from timing import peak_memory
from untrain.generators.dalle.presets import PRESETS, preset_of

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
    slow steps count. Returns the seconds of each time and the most MiB held, on a GPU those of it.
    """
    import torch

    from untrain.core.hardware import device
    from untrain.generators.dalle.stacked import train_stacked
    from untrain.generators.dalle.training import TokenData, train_transformer

    torch.set_num_threads(threads)
    preset = replace(preset_of(args.preset), epochs=1)
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (args.items, args.text))
    image = draw.integers(0, preset.codes, (args.items, preset.positions))
    kept = draw.random((stack, args.items)) >= args.removed

    def one(count: int) -> float:
        own = kept[0, :count] if stack == 1 else kept[:, :count]
        data = TokenData(text[:count], image[:count], own, preset.vocabulary)
        work = train_transformer if stack == 1 else train_stacked
        start = time.perf_counter()
        work(data, preset, 0, nowhere, args.precision)
        if device().type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    one(2 * preset.batch)
    times = []
    for _ in range(args.repeats):
        _start.wait()
        times.append(one(args.items))
    on_gpu = device().type == "cuda"
    return times, torch.cuda.max_memory_allocated() / 2**20 if on_gpu else peak_memory()[0]


def measure(
    processes: int, threads: int, stack: int, args: argparse.Namespace
) -> tuple[float, float]:
    """Train that many models at once; return seconds, the median of the last to end, and MiB."""
    context = mp.get_context("spawn")
    initargs = (context.Barrier(processes),)
    with ProcessPoolExecutor(processes, context, initializer=prepare, initargs=initargs) as pool:
        futures = [pool.submit(train, threads, stack, args) for _ in range(processes)]
        done = [future.result() for future in futures]
    took = float(np.median(np.array([times for times, _ in done]).max(axis=0)))
    return took, sum(most for _, most in done)


def parse() -> argparse.Namespace:
    """Read the command line."""
    from untrain.core.hardware import PRECISIONS, default_precision

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
    parser.add_argument("--precision", choices=PRECISIONS, default=default_precision())
    return parser.parse_args()


def ways(args: argparse.Namespace, on_cpu: bool) -> list[tuple[int, int, int]]:
    """Return what to compare as (processes, threads, stack), one after another first."""
    found = [(1, 1, 1)]
    found += [(1, args.cores, 1), (args.cores, 1, 1)] if on_cpu else []
    for stack in args.stack:
        found.append((1, 1, stack))
        found += [(1, args.cores, stack), (args.cores, 1, stack)] if on_cpu else []
    return list(dict.fromkeys(found))


def main() -> None:
    """Print one row a way of training; the first is what the others are held against.

    Models an hour are of the preset's epochs over ``--items`` pairs.
    """
    from untrain.core.hardware import device

    args = parse()
    preset = preset_of(args.preset)
    tokens = args.items * (args.text + preset.positions)
    where = f"{device()}, {args.precision}"
    print(f"preset {args.preset}: {args.items} pairs of {args.text} text + ", end="")
    print(f"{preset.positions} image tokens, {where}\n")
    print("| processes | threads | stack | s an epoch | tokens/s | models/h | times | MiB |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    first = 0.0
    for processes, threads, stack in ways(args, device().type == "cpu"):
        took, held = measure(processes, threads, stack, args)
        rate = processes * stack / took
        first = first or rate
        print(
            f"| {processes} | {threads} | {stack} | {took:.3f} | {rate * tokens:,.0f} | "
            f"{3600 * rate / preset.epochs:,.0f} | {rate / first:.2f} | {held:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Two computations on one machine: how much slower is each beside another than by itself?

The work is the training of the frozen parts, the one stage of a run that uses several threads. Each
computation is a process of its own. Processes warm up, wait for each other and start together; the
time is that of the last to end. Ideal is 2: both need the same cores. ``--policies`` adds how
OpenMP's own ways of waiting compare. ``--demo`` times whole demos (minutes each).

    python benchmarks/bench_side_by_side.py --threads 2
    python benchmarks/bench_side_by_side.py --demo
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np

LIMIT = 2.3
"""How many times as long two may take as one."""
POLICIES: dict[str, dict[str, str]] = {
    "as untrain sets it": {},
    "OpenMP's default": {"GOMP_SPINCOUNT": "300000"},
    "sleeping at once": {"OMP_WAIT_POLICY": "PASSIVE"},
    "always spinning": {"OMP_WAIT_POLICY": "ACTIVE"},
}


def work(threads: int, pictures: int, preset: str) -> None:
    """Be one of the processes: warm up, say so, wait for a line, and train."""
    import torch

    import untrain  # noqa: F401 - first: it decides how threads wait
    from untrain.generators.dalle.autoencoder import train_autoencoder
    from untrain.generators.dalle.presets import preset_of

    torch.set_num_threads(threads)
    short = replace(preset_of(preset), epochs_ae=1)
    shape = (pictures, short.height, short.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    train_autoencoder(pixels[: 2 * short.batch_ae], short, 0, lambda n: None)
    print("ready", flush=True)
    sys.stdin.readline()
    train_autoencoder(pixels, short, 0, lambda n: None)
    print("done", flush=True)


def together(processes: int, args: argparse.Namespace, policy: dict[str, str]) -> float:
    """Return the seconds until the last of so many trainings, begun at once, has ended."""
    command = [sys.executable, __file__, "--work", "--threads", str(args.threads)]
    command += ["--pictures", str(args.pictures), "--preset", args.preset]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | policy
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=environment, **pipes) for _ in range(processes)]
    for process in started:
        assert process.stdout and process.stdout.readline() == "ready\n"
    start = time.perf_counter()
    for process in started:
        assert process.stdin
        print(file=process.stdin, flush=True)
    for process in started:
        assert process.stdout and process.stdout.readline() == "done\n"
    took = time.perf_counter() - start
    for process in started:
        process.communicate()
    return took


def demos(processes: int, folder: str) -> float:
    """Return the seconds of so many demos begun at once, imports included."""
    start = time.perf_counter()
    runs = [f"{folder}/{processes}-{i}" for i in range(processes)]
    command = [sys.executable, "-c", "from untrain.cli import main; main()", "-q", "demo", "--runs"]
    started = [subprocess.Popen([*command, run]) for run in runs]
    codes = [process.wait() for process in started]
    if any(codes):
        raise SystemExit("a demo failed")
    return time.perf_counter() - start


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--pictures", type=int, default=1536, help="each training passes")
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--policies", action="store_true", help="compare ways of waiting")
    parser.add_argument("--demo", action="store_true", help="whole demos instead")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print one row a way of waiting; exit with 1 if two take more than `LIMIT` times as long."""
    args = parse()
    if args.work:
        work(args.threads, args.pictures, args.preset)
        return
    print("| | one, s | two side by side, s | times as long |\n|---|--:|--:|--:|")
    if args.demo:
        with tempfile.TemporaryDirectory(prefix="untrain-demos-") as folder:
            ratio = row("demo", [demos(1, folder)], [demos(2, folder)])
        raise SystemExit(ratio > LIMIT)
    ratios = {}
    for name, policy in list(POLICIES.items())[: None if args.policies else 1]:
        pairs = [[together(n, args, policy) for n in (1, 2)] for _ in range(args.repeats)]
        ratios[name] = row(name, *map(list, zip(*pairs, strict=True)))
    raise SystemExit(next(iter(ratios.values())) > LIMIT)


def row(name: str, one: list[float], two: list[float]) -> float:
    """Print the medians of both and their ratio; return the ratio."""
    alone, both = float(np.median(one)), float(np.median(two))
    print(f"| {name} | {alone:.2f} | {both:.2f} | {both / alone:.2f} |", flush=True)
    return both / alone


if __name__ == "__main__":
    main()

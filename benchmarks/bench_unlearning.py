"""What a pair costs in each method of unlearning, beside what it costs in training.

    python benchmarks/bench_unlearning.py --generator dalle diffusion

A budget is counted in pairs, and this is what makes that honest: "of a training" is the processor
time of a pair paid for, over that of a pair of `fit`, measured in turns; at 1 a budget of 5 % takes
5 % of a training's time. The copy of the model that a method begins with is in it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from untrain.catalogs import Catalog, rendered
from untrain.generators.base import Generator
from untrain.generators.dalle.generator import DalleGenerator
from untrain.generators.diffusion.unet import DiffusionGenerator
from untrain.unlearning import METHODS, Task, unlearn
from untrain.unlearning.meter import BudgetSpent


def silent(n: int) -> None:
    """Say nothing."""


def seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of a piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def fitted(kind: str, preset: str, epochs: int, catalog: Catalog, folder: Path) -> Generator:
    """Return a generator, prepared and trained; its frozen parts only a little."""
    settings = {"epochs": epochs}
    generator: Generator
    if kind == "dalle":
        generator = DalleGenerator.from_preset(preset, {**settings, "epochs_ae": 1})
    else:
        generator = DiffusionGenerator.from_preset(f"diffusion-{preset}", settings)
    generator.prepare(catalog, folder / kind, silent)
    generator.fit(catalog, [], 0, silent)
    return generator


def measure(kind: str, arguments: argparse.Namespace, catalog: Catalog, folder: Path) -> None:
    """Print a line for each method."""
    generator = fitted(kind, arguments.preset, arguments.epochs, catalog, folder)
    work = generator.fit_work(catalog)
    names = [name for name in arguments.method or METHODS if name != "nothing"]
    found: dict[str, list[float]] = {name: [] for name in names}
    shares: dict[str, float] = {}
    for _ in range(arguments.repeats):
        training = seconds(lambda: generator.fit(catalog, [], 0, silent)) / work
        for name in names:
            task = Task(
                generator, catalog, catalog.ids[: arguments.forget], arguments.budget, 0, silent
            )
            try:
                spent = unlearn(name, task).spent
            except BudgetSpent as error:
                print(f"{kind:9s} {name:20s} {error}")
                continue
            found[name].append(spent.cpu_seconds / spent.pairs / training)
            shares[name] = spent.share
    for name, ratios in found.items():
        if ratios:
            middle, share = statistics.median(ratios), shares[name]
            print(f"{kind:9s} {name:20s} {share:6.1%} spent, {middle:5.2f} of a training a pair")


def main() -> None:
    """Read the arguments, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generator", nargs="+", default=["dalle"], choices=["dalle", "diffusion"])
    parser.add_argument("--preset", default="tiny", help="of the generator: micro, tiny, small")
    parser.add_argument("--method", nargs="+", help="default: all")
    parser.add_argument("--families", type=int, default=64, help="families of 4 pictures")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--forget", type=int, default=10, help="pictures to forget")
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    catalog = rendered(arguments.families, size_of_family=4, seed=0, resolution=32)
    with tempfile.TemporaryDirectory() as folder:
        for kind in arguments.generator:
            measure(kind, arguments, catalog, Path(folder))


if __name__ == "__main__":
    main()

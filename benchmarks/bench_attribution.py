"""Cost of attribution by gradients: the store, its inverse, and a query, beside training.

The model is untrained and its tokens are random, which changes no cost. Every line has a store of
its own in a temporary folder. ``python benchmarks/bench_attribution.py --preset small --items
44072`` is the study's catalogue; ``--items 1000 4000 16000 --plot FILE`` shows how cost grows;
``--run runs/demo`` attributes a finished run's queries instead, as ``untrain attribute`` does.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from timing import peak_memory
from untrain.attribution.gradients.kernel import solved
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.rows import dimensions_for
from untrain.attribution.gradients.store import GradientStore
from untrain.attribution.registry import make_attributor
from untrain.core.files import fingerprint
from untrain.core.hardware import PRECISIONS, default_precision, device
from untrain.generators.dalle.generator import DalleGenerator
from untrain.generators.dalle.presets import PRESETS, Preset, preset_of
from untrain.generators.dalle.training import TokenData, train_transformer
from untrain.generators.dalle.transformer import Transformer
from untrain.generators.differentiable import Batch
from untrain.generators.queries import Queries

SAMPLE = 512  # pairs of the epoch that is timed
DAMPING = 1.0


@dataclass(frozen=True)
class Names:
    """As much of a catalogue as a store asks for."""

    ids: tuple[str, ...]
    name: str = "random tokens"
    resize: str = "pad"

    @property
    def captions(self) -> tuple[str, ...]:
        """One each, as good as any."""
        return self.ids

    hashes = captions

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """Of how many there are."""
        return fingerprint(len(self.ids))


class RandomTokens(DalleGenerator):
    """The reference generator with weights and tokens that nobody trained."""

    def __init__(self, preset: Preset, items: int, text: int, precision: str | None = None) -> None:
        super().__init__(preset, precision=precision)
        draw = np.random.default_rng(0)
        self.text = draw.integers(1, preset.vocabulary, (items, text))
        self.image = draw.integers(0, preset.codes, (items, preset.positions))
        torch.manual_seed(0)
        self._model = Transformer(preset, preset.vocabulary).to(device()).eval()

    def fingerprint(self, catalog: Any) -> str:
        """Return one that depends on the sizes."""
        return fingerprint(self.preset.to_dict(), catalog.fingerprint)

    def training_batch(self, catalog: Any, ids: Sequence[str], draw: int = 0) -> Batch:
        """Return pairs by their numbers."""
        rows = [int(each) for each in ids]
        return self._batch(self.text[rows], self.image[rows])

    def query_batch(self, samples: np.ndarray, prompts: Sequence[str]) -> Batch:
        """Return queries, whose prompts are the first captions."""
        return self._batch(self.text[: len(samples)], samples)


def seconds_of_epoch(generator: RandomTokens, items: int) -> float:
    """Return what an epoch of ``items`` pairs takes to train, from that of a sample."""
    preset = replace(generator.preset, epochs=1)
    n = min(SAMPLE, items)
    for count in (2 * preset.batch, n):  # the first to warm up
        kept = np.ones(count, bool)
        data = TokenData(generator.text[:count], generator.image[:count], kept, preset.vocabulary)
        start = time.perf_counter()
        train_transformer(data, preset, 0, lambda n: None, generator.precision)
        if device().type == "cuda":
            torch.cuda.synchronize()
        took = time.perf_counter() - start
    return took / n * items


def measure(args: argparse.Namespace, items: int, queries: int) -> dict[str, float]:
    """Build a store of so many images and ask it so many queries."""
    generator = RandomTokens(preset_of(args.preset), items, args.text, args.precision)
    epoch = seconds_of_epoch(generator, items)
    catalog: Any = Names(tuple(map(str, range(items))))
    dimensions = dimensions_for(items) if args.dimensions is None else args.dimensions
    before = peak_memory()[0]
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        os.environ["UNTRAIN_CACHE"] = folder
        made = GradientStore(generator, catalog, OUTPUTS[args.output], dimensions)
        start = time.perf_counter()
        size = made.rows.stored.nbytes
        built = time.perf_counter() - start
        start = time.perf_counter()
        made.inverse(DAMPING)
        inverted = time.perf_counter() - start
        asked = Queries(
            tuple((str(i), 0) for i in range(queries)),
            {str(i): "" for i in range(queries)},
            [np.zeros((1, 1, 3), np.uint8)] * queries,
            generator.image[:queries],
        )
        times = []
        for _ in range(3):
            again = GradientStore(generator, catalog, OUTPUTS[args.output], dimensions)
            start = time.perf_counter()
            solved(again.of_queries(asked), again.rows, again.inverse(DAMPING))
            times.append(time.perf_counter() - start)
    parameters = sum(p.numel() for p in generator.module().parameters())
    return {
        "items": items,
        "parameters": parameters,
        "queries": queries,
        "dimensions": dimensions,
        "epoch": epoch,
        "store": built,
        "speed": epoch / built,
        "inverse": inverted,
        "query": float(np.median(times)),
        "share": (built + inverted + times[-1]) / (epoch * generator.preset.epochs),
        "kib": size / items / 1024,
        "mib": peak_memory()[0] - before,
    }


def of_run(args: argparse.Namespace) -> None:
    """Attribute all queries of a finished run with an empty cache, beside training its model."""
    from untrain.runs.evidence import fitted_model, run_evidence
    from untrain.runs.queries import read_queries
    from untrain.runs.run import Run
    from untrain.settings.load import load_config

    settings = load_config(args.run / "config.yaml", runs=args.run.parent, name=args.run.name)
    run = Run(settings)
    model = fitted_model(run)
    evidence = run_evidence(run, read_queries(run.folder), model=model)
    cost = model.cost(run.catalog)
    assert cost is not None
    before, costs = peak_memory()[0], []
    print("| method | s once | s for all queries | of a training | MiB above the model |")
    print("|---|--:|--:|--:|--:|")
    for method in args.methods:
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            os.environ["UNTRAIN_CACHE"] = folder
            start = time.perf_counter()
            scores = make_attributor(method).scores(evidence)
            took = time.perf_counter() - start
        more = peak_memory()[0] - before
        costs.append((method, scores.once, took - scores.once, took / cost.seconds))
        print(
            f"| {method} | {scores.once:.2f} | {took - scores.once:.2f} | "
            f"{took / cost.seconds:.0%} | {more:,.0f} |",
            flush=True,
        )
    print(
        f"\n{len(run.catalog):,} images, {len(evidence.queries)} pictures; a training takes "
        f"{cost.seconds:.1f} s on one thread. Memory never falls: it belongs to all rows so far."
    )
    if args.costs:
        columns = ["name", "seconds_once", "seconds_all", "share"]
        pd.DataFrame(costs, columns=columns).round(4).to_csv(args.costs, index=False)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--items", type=int, nargs="+", default=[512], help="images")
    parser.add_argument("--queries", type=int, nargs="+", default=[5], help="pictures asked about")
    parser.add_argument("--text", type=int, default=20, help="text tokens a caption")
    parser.add_argument("--output", choices=list(OUTPUTS), default="squared")
    parser.add_argument("--dimensions", type=int, help="default: by the number of images")
    parser.add_argument("--precision", choices=PRECISIONS, default=default_precision())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="where stores are written")
    parser.add_argument("--run", type=Path, help="a finished run to attribute")
    parser.add_argument("--methods", nargs="+", default=["dtrak"], help="for --run")
    parser.add_argument("--costs", type=Path, help="for --run: write costs as CSV")
    parser.add_argument("--plot", type=Path, help="draw cost against images (SVG)")
    return parser.parse_args()


def main() -> None:
    """Print one row a size."""
    args = parse()
    torch.set_num_threads(args.threads)
    if args.run:
        of_run(args)
        return
    print(
        f"preset {args.preset}, output {args.output}, {args.threads} threads, "
        f"{device()}, {args.precision}\n"
    )
    print(
        "| images | parameters | queries | dimensions | s an epoch | s store | of an epoch's speed "
        "| s inverse | s warm query | of a training | KiB a picture | MiB |"
    )
    print("|" + "--:|" * 12)
    rows = []
    for items in args.items:
        for queries in args.queries:
            row = measure(args, items, queries)
            rows.append(row)
            print(
                "| {items:,} | {parameters:,} | {queries} | {dimensions:,} | {epoch:.1f} | "
                "{store:.1f} | {speed:.2f} | {inverse:.1f} | {query:.3f} | {share:.1%} | "
                "{kib:.1f} | {mib:,.0f} |".format(**row),
                flush=True,
            )
    if args.plot:
        plot(rows, args.plot)


def plot(rows: list[dict[str, float]], path: Path) -> None:
    """Draw seconds of store, inverse and query against images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    items = [row["items"] for row in rows]
    for part in ("store", "inverse", "query", "epoch"):
        axes.loglog(items, [row[part] for row in rows], "o-", label=part)
    axes.set_xlabel("images")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()

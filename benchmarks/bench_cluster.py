"""Indexing and gradient rows on a Ray cluster beside the same work in this process, core by core.

A cluster of single-core nodes on this machine (`--nodes`) embeds the first ``--photos`` of a
catalogue, in turns with this process on one thread; then rows of a gradient store, likewise. What
a core costs is CPU seconds: here those of this process, there those of all processes of the cluster
and of this one. ``--paper`` prints what large catalogues take by the figures in `MEASURED`, or by
those of the run where it comes with one.

``python benchmarks/bench_cluster.py --path photos.zip --encoder mobilenet_v2 --photos 2048``
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster_on_paper import MEASURED, paper
from untrain.attribution.gradients.on_ray import OnRay as RowsOnRay
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.store import GradientStore
from untrain.catalogs import Catalog, guess_format, load_catalog
from untrain.core import cluster
from untrain.core.cluster import import_ray
from untrain.core.threads import threads_set
from untrain.encoders import load_encoder, pooled
from untrain.encoders.on_ray import OnRay
from untrain.encoders.store import FeatureStore
from untrain.generators.spec import GeneratorSpec
from untrain.search.retrieve.vectors import inverse_norms
from untrain.search.sharded import Shard, ShardedIndex

TICKS = os.sysconf("SC_CLK_TCK")
ROWS_ASKED = 100_000  # of the exact search that is timed


def cpu_of_others() -> np.ndarray:
    """Return the CPU seconds so far of this process's descendants: Ray's tasks, and the others.

    The others are Ray's own services, which also run while there is nothing to do.
    """
    parents, spent = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parts = (folder / "stat").read_text().rpartition(")")[2].split()
            is_task = (folder / "cmdline").read_bytes().startswith(b"ray::")
        except OSError:
            continue
        pid = int(folder.name)
        parents[pid] = int(parts[1])
        spent[pid] = np.array([is_task, not is_task]) * (int(parts[11]) + int(parts[12])) / TICKS
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return np.sum([spent[pid] for pid in family - {os.getpid()}] or [np.zeros(2)], axis=0)


@dataclass(frozen=True)
class Spent:
    """Seconds of a piece of work: on the clock, and of CPU by this process, tasks and services."""

    clock: float
    own: float
    tasks: float
    services: float

    @property
    def all(self) -> float:
        """CPU seconds of all processes."""
        return self.own + self.tasks + self.services


def timed(work: Callable[[], object]) -> Spent:
    """Return what a piece of work takes."""
    clock, own, others = time.perf_counter(), time.process_time(), cpu_of_others()
    work()
    tasks, services = cpu_of_others() - others
    return Spent(time.perf_counter() - clock, time.process_time() - own, tasks, services)


def compared(
    what: str,
    items: int,
    here: Callable[[], object],
    there: Callable[[], object],
    nodes: int,
    repeats: int,
) -> tuple[float, float, float]:
    """Do both in turns; print a line each; return what an item costs.

    CPU seconds of an item here, the additional share of it there, and CPU seconds of this process
    for an item that others work on.
    """
    print(
        f"{what:<10} first on the cluster, start included: {timed(there).clock:.1f} s", flush=True
    )
    costs = []
    for _ in range(repeats):
        one, many = timed(here), timed(there)
        costs.append((one.own, many.all, many.own, many.tasks, many.services))
        print(
            f"{what:<10} here {items / one.own:7.1f} a CPU second ({one.clock:.1f} s) | "
            f"{nodes} nodes {items / many.all:7.1f} a CPU second ({many.clock:.1f} s): "
            f"tasks {many.tasks:.1f} s, services {many.services:.1f} s, this process "
            f"{many.own:.1f} s",
            flush=True,
        )
    one_own, all_, own, tasks, services = np.median(costs, axis=0)
    print(
        f"{what:<10} overhead of the cluster, CPU seconds: {all_ / one_own - 1:+.1%} (tasks "
        f"{tasks / one_own - 1:+.1%}, services {services / one_own:+.1%}, this process "
        f"{own / one_own:+.1%})\n",
        flush=True,
    )
    return float(one_own / items), float(all_ / one_own - 1), float(own / items)


def embedding(catalog: Catalog, args: argparse.Namespace) -> tuple[tuple[float, float, float], int]:
    """Embed into new stores, here and there; the bytes must be the same."""
    encoder = pooled(load_encoder(args.encoder))
    seen = []

    def store(**given: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            features, _ = FeatureStore(Path(folder), encoder, **given).index(catalog, "indexing")
            seen.append(np.array(features))

    def here() -> None:
        with threads_set(1):
            store()

    there = OnRay(args.encoder, {})
    sizes = len(set(catalog.hashes)), args.nodes, args.repeats
    costs = compared("pictures", sizes[0], here, lambda: store(embed=there), *sizes[1:])
    assert all(np.array_equal(each, seen[0]) for each in seen), "other features on the cluster"
    return costs, seen[0].shape[1]


def gradients(catalog: Catalog, args: argparse.Namespace) -> tuple[float, float, float]:
    """Compute rows of a small fitted model, here and there; the bytes must be the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"epochs": 1, "epochs_ae": 1}
        options = {"preset": args.preset, "settings": settings}
        spec = GeneratorSpec("dalle", 0, "float32", options)
        generator = spec.make()
        with threads_set(1):
            generator.prepare(catalog, folder / "shared", lambda n: None)
            generator.fit(catalog, (), 0, lambda n: None)
        seen = []

        def store(**given: Any) -> None:
            with tempfile.TemporaryDirectory() as own, threads_set(1):
                made = GradientStore(
                    generator, catalog, OUTPUTS["squared"], args.dimensions, folder=Path(own),
                    **given,
                )  # fmt: skip
                seen.append(np.array(made.rows.stored))

        there = RowsOnRay(spec.settled(generator), folder / "shared")
        costs = compared(
            "gradients", len(catalog), store, lambda: store(elsewhere=there), args.nodes,
            args.repeats,
        )  # fmt: skip
        assert all(np.array_equal(each, seen[0]) for each in seen), "other rows on the cluster"
        return costs


def scanning(dimensions: int) -> float:
    """Return the CPU seconds that an exact query takes for each row, on one thread."""
    features = np.random.default_rng(0).standard_normal((ROWS_ASKED, dimensions), np.float32)
    half = features.astype(np.float16)
    shards = []
    for start in range(0, ROWS_ASKED, 10_000):
        part = half[start : start + 10_000]
        shards.append(Shard(Path(), start, part, inverse_norms(part, np.arange(len(part)))))
    index = ShardedIndex(tuple(shards), {})
    times = []
    with threads_set(1):
        for row in range(5):
            before = time.process_time()
            index.query(features[row : row + 1], 100)
            times.append(time.process_time() - before)
    took = float(np.median(times[1:]))
    print(f"exact search over {len(shards)} shards: {1e9 * took / ROWS_ASKED:.0f} ns a row\n")
    return took / ROWS_ASKED


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--path", type=Path, help="catalogue, such as a zip of photos")
    parser.add_argument("--encoder", default="layout", help="a name, or a model's folder")
    parser.add_argument("--photos", type=int, default=2048)
    parser.add_argument("--pairs", type=int, default=2048, help="of the gradient store")
    parser.add_argument("--preset", default="tiny", help="of the model that is differentiated")
    parser.add_argument("--dimensions", type=int, default=4096)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--paper", action="store_true", help="only the table, by old figures")
    args = parser.parse_args()
    if args.paper or args.path is None:
        print(paper(MEASURED))
        return
    catalog = load_catalog(guess_format(args.path), path=args.path)
    import_ray()
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray-") as folder:
        os.environ["RAY_TMPDIR"] = folder
        head = {"num_cpus": 1, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(args.nodes - 1):
            made.add_node(num_cpus=1)
        try:
            with cluster.connected(made.address, 1):  # one connection, so that processes stay warm
                (embed, more, feed), d = embedding(catalog.rows(np.arange(args.photos)), args)
                own = gradients(catalog.rows(np.arange(args.pairs)), args)
        finally:
            made.shutdown()
    found = replace(
        MEASURED, embed=embed, overhead=more, feed=feed, dimensions=d, scan=scanning(d),
        gradient=own[0], gradient_overhead=own[1],
    )  # fmt: skip
    print(found, "\n")
    print(paper(found))


if __name__ == "__main__":
    main()

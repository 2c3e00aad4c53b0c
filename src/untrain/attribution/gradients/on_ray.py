"""Rows of a gradient store as tasks of a Ray cluster, whose nodes share no file system with us.

A node gets, once and as bytes, what a training gets (the catalogue without its pictures, the
generator's frozen parts) and the fitted model; a task gets the ids of some pairs, and returns their
rows as they are stored. The same bytes come out as here with as many threads, on processors of one
kind, since the pairs of a pass are the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from untrain.core import cluster, disk
from untrain.core.cluster import Files, pack, unpack
from untrain.core.threads import threads_set
from untrain.generators.spec import GeneratorSpec
from untrain.training.index import read_index, write_index
from untrain.training.job import Reopen, with_pictures

if TYPE_CHECKING:
    from untrain.attribution.gradients.store import GradientStore, Parts


@dataclass(frozen=True)
class OnRay:
    """Computes rows on a Ray cluster; see `untrain.attribution.gradients.store.Elsewhere`.

    Attributes
    ----------
    spec : GeneratorSpec
        How a node makes the generator, settled.
    shared : Path
        The generator's frozen parts.
    reopen : callable, optional
        Opens the catalogue with its pictures on a node; needed where the generator reads them.
    address : str, optional
        As of `untrain.training.ray.RayEngine`.
    threads : int
        CPUs of a task.
    workers : int, optional
        How many tasks there are at once at most; by default the cluster decides.
    """

    spec: GeneratorSpec
    shared: Path
    reopen: Reopen | None = None
    address: str | None = None
    threads: int = 1
    workers: int | None = None

    def __call__(self, store: GradientStore, parts: Sequence[Sequence[str]]) -> Parts:
        """Yield rows and scales of each part, in order."""
        with (
            tempfile.TemporaryDirectory(prefix="untrain-", ignore_cleanup_errors=True) as scratch,
            cluster.connected(cluster.address_of(self.address), self.threads) as (ray, ours),
        ):
            cluster.tell_if_too_small(ray, {"CPU": self.threads})
            asked = _Asked(
                self.spec, self.reopen, store.output.name, store.dimensions,
                store.draws, store.seed, store.key, self.threads, scratch if ours else None,
            )  # fmt: skip
            expected = cluster.versions()
            inputs = ray.put(_inputs(store, self.shared))
            task = ray.remote(num_cpus=self.threads, max_retries=cluster.RETRIES)(_rows)
            calls = ((None, (inputs, asked, tuple(part), expected)) for part in parts)
            at_once = self.workers or cluster.tasks_at_once(ray, self.threads)
            failed = "gradients could not be computed"
            done = cluster.results(ray, task, calls, at_once, failed, not ours, in_order=True)
            with closing(done):
                for _, rows in done:
                    yield rows


@dataclass(frozen=True)
class _Asked:
    """What a node must know to open the store; ``key`` tells whether it is the same one."""

    spec: GeneratorSpec
    reopen: Reopen | None
    output: str
    dimensions: int
    draws: int
    seed: int
    key: str
    threads: int
    scratch: str | None


def _inputs(store: GradientStore, shared: Path) -> dict[str, np.ndarray]:
    """Return the files that a node opens the store from; arrays, which need not be copied there."""
    with tempfile.TemporaryDirectory(prefix="untrain-") as name:
        folder = Path(name)
        write_index(folder, store.catalog)
        disk.make_folder(folder / "model")
        store.generator.save(folder / "model")
        files: Files = pack(folder)
    files |= {f"shared/{name}": data for name, data in pack(shared).items()}
    return {name: np.frombuffer(data, np.uint8) for name, data in files.items()}


_opened: dict[str, tuple[GradientStore, tempfile.TemporaryDirectory[str]]] = {}
"""Of this process: the store that it used last, and the folder that it was opened from."""


def _rows(
    inputs: dict[str, np.ndarray], asked: _Asked, ids: Sequence[str], expected: dict[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and scales of pairs, computed on a node."""
    with threads_set(asked.threads):
        if asked.key not in _opened:
            cluster.check_alike(cluster.versions(), expected, "gradients")
            _opened.clear()
            with cluster.disk_of_node():
                folder = tempfile.TemporaryDirectory(prefix="untrain-", dir=asked.scratch)
                _opened[asked.key] = _open(inputs, asked, Path(folder.name)), folder
        store = _opened[asked.key][0]
        return store.compute(store.catalog, ids)


def _open(inputs: dict[str, np.ndarray], asked: _Asked, folder: Path) -> GradientStore:
    from untrain.attribution.gradients.outputs import OUTPUTS
    from untrain.attribution.gradients.store import GradientStore

    unpack({name: data.tobytes() for name, data in inputs.items()}, folder)
    generator, catalog = asked.spec.make(), read_index(folder)
    if generator.reads_pictures and asked.reopen is not None:
        catalog = with_pictures(catalog, asked.reopen)
    generator.prepare(catalog, folder / "shared", lambda n: None)
    store = GradientStore(
        generator.load(folder / "model"), catalog, OUTPUTS[asked.output], asked.dimensions,
        asked.draws, asked.seed,
    )  # fmt: skip
    if store.key != asked.key:
        raise RuntimeError("a model is another after it was saved and loaded on a node")
    return store

"""The engine ``ray``: one Ray task per model or stack, on this machine or on a cluster."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from untrain.core import cluster
from untrain.core.atomic import atomic_folder
from untrain.core.cluster import Files, connected, pack, unpack
from untrain.core.hardware import has_fast_bfloat16
from untrain.core.notes import Note
from untrain.core.outside import read_bytes
from untrain.core.progress import bar
from untrain.training.base import Batch, Group, Job, TrainingMode


class RayEngine:
    """Trains models as tasks of a Ray cluster; see `untrain.training.base.Engine`.

    Parameters
    ----------
    address : str, optional
        ``auto`` (the cluster that this machine is a node of), ``host:port`` (the same, by its
        address) or ``ray://host:port`` (a cluster elsewhere). Default: that of ``RAY_ADDRESS``,
        else Ray is started on this machine, and ended with the batch. A connection to Ray that
        the caller has is used as it is.
    """

    remote = True

    def __init__(self, address: str | None = None) -> None:
        self.address = cluster.address_of(address)

    def check(self) -> None:
        """Import Ray, and connect to the cluster if one is configured."""
        cluster.check(self.address)

    def train(self, batch: Batch) -> None:
        """Train each group in a task of its threads' CPUs, and of GPUs where this machine has any.

        ``workers`` limits how many there are at once; by default the cluster does.
        """
        if not batch.groups:
            return
        with (
            tempfile.TemporaryDirectory(prefix="untrain-", ignore_cleanup_errors=True) as scratch,
            connected(self.address, batch.mode.threads) as (ray, ours),
            bar(batch.label, batch.work) as advance,
        ):
            expected = _machine(batch.mode)
            gpus = batch.mode.processes if expected["device"] == "cuda" else 0
            needs = {"CPU": batch.mode.threads, "GPU": gpus}
            cluster.tell_if_too_small(ray, needs)
            inputs = ray.put(_inputs(batch))
            resources = {"num_cpus": needs["CPU"], "num_gpus": needs["GPU"]}
            task = ray.remote(**resources, max_retries=cluster.RETRIES)(_train)
            fixed = (batch.mode, expected, scratch if ours else None)
            calls = [(group, (inputs, batch.job, group, *fixed)) for group in batch.groups]
            processors = {cluster.processor()}
            failed = "a model could not be trained"
            at_once = batch.workers or len(calls)
            done = cluster.results(ray, task, calls, at_once, failed, cancel=not ours)
            with closing(done):
                for group, (models, processor) in done:
                    for model, files in zip(group, models, strict=True):
                        with atomic_folder(batch.folder / "models" / model.model_id) as temporary:
                            unpack(files, temporary)
                    processors.add(processor)
                    advance(batch.work // len(batch.groups))
        if len(processors) > 1:
            text = (
                "Models were trained on processors that round differently from each other or from "
                f"this machine's ({', '.join(sorted(processors))}): they are paired except for "
                "rounding, and training them here would not give the same bytes."
            )
            batch.warn(Note("processors-differ", text, tuple(sorted(processors))))


def _train(
    inputs: Files,
    job: Job,
    group: Group,
    mode: TrainingMode,
    expected: dict[str, str],
    scratch: str | None,
) -> tuple[list[Files], str]:
    """Train a group on a node, in a temporary folder; return each model's files and the processor.

    That folder is in ``scratch``, or in the node's default for temporary files.
    """
    import torch

    cluster.check_alike(_machine(mode), expected, "models")
    torch.set_num_threads(mode.threads)
    with tempfile.TemporaryDirectory(prefix="untrain-", dir=scratch) as name:
        folder, shared = Path(name, "run"), Path(name, "shared")
        with cluster.disk_of_node():
            unpack(inputs, Path(name))
            job(folder, shared, group, mode)
        return [pack(folder / "models" / model.model_id) for model in group], cluster.processor()


def _machine(mode: TrainingMode) -> dict[str, str]:
    """What must be the same on every node for a model to match its fingerprint.

    In bfloat16 nodes must also agree on whether it is computed in hardware: emulation rounds
    differently, and takes a hundred times as long.
    """
    found = cluster.versions()
    if mode.precision == "bfloat16":
        found["bfloat16"] = "in hardware" if has_fast_bfloat16() else "emulated"
    return found


def _inputs(batch: Batch) -> Files:
    """Return what training reads: the catalogue without its pictures, and the frozen parts."""
    catalog = batch.folder / "catalog.parquet"
    shared = {f"shared/{name}": data for name, data in pack(batch.shared).items()}
    return {"run/catalog.parquet": read_bytes(catalog, None), **shared}

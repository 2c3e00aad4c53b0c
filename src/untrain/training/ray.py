"""The engine ``ray``: one Ray task per model or stack, on this machine or on a cluster.

The nodes share no file system with the run. What a training reads is put into Ray's object store
as bytes, which go to each node once; a finished model comes back as bytes, and the machine of the
run writes it as it arrives. A task whose process or node dies is restarted elsewhere from the
beginning, so the result is the same.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import untrain
from untrain.core.errors import InputError, UntrainError, is_disk_full
from untrain.core.files import atomic_folder
from untrain.core.hardware import device, has_fast_bfloat16
from untrain.core.notes import Note
from untrain.core.progress import bar, console
from untrain.core.threads import cores
from untrain.training.base import Batch, Group, Job, TrainingMode

LOCAL = "local"  # Ray's word for a cluster on this machine that ends with this process
RETRIES = 3  # for a model whose process or node died
REACH_SECONDS = 10.0  # for a cluster to answer
ARRIVE_SECONDS = 1.0  # for results in transit
CANCEL_SECONDS = 10.0  # for trainings to clean up before they are killed
CLIENT_PORT = 10001  # of ray://host
CONNECTIONS = 3  # tries to connect to a cluster elsewhere
PAUSE_SECONDS = 5.0  # between them

Files = dict[str, bytes]


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
        self.address = address or os.environ.get("RAY_ADDRESS") or LOCAL

    def check(self) -> None:
        """Import Ray, and connect to the cluster if one is configured."""
        import_ray()
        if self.address != LOCAL:
            with _connected(self.address, threads=1):
                return

    def train(self, batch: Batch) -> None:
        """Train each group in a task of its threads' CPUs, and of GPUs where this machine has any.

        ``workers`` limits how many there are at once; by default the cluster does.
        """
        if not batch.groups:
            return
        with (
            tempfile.TemporaryDirectory(prefix="untrain-", ignore_cleanup_errors=True) as scratch,
            _connected(self.address, batch.mode.threads) as (ray, ours),
            bar(batch.label, batch.work) as advance,
        ):
            expected = _machine(batch.mode)
            gpus = batch.mode.processes if expected["device"] == "cuda" else 0
            needs = {"CPU": batch.mode.threads, "GPU": gpus}
            _tell_if_too_small(ray, needs)
            inputs = ray.put(_inputs(batch))
            resources = {"num_cpus": needs["CPU"], "num_gpus": needs["GPU"]}
            task = ray.remote(**resources, max_retries=RETRIES)(_train)
            fixed = (batch.mode, expected, scratch if ours else None)
            calls = {group: (inputs, batch.job, group, *fixed) for group in batch.groups}
            processors = {_processor()}

            def keep(group: Group, models: list[Files], processor: str) -> None:
                for model, files in zip(group, models, strict=True):
                    with atomic_folder(batch.folder / "models" / model.model_id) as temporary:
                        _unpack(files, temporary)
                processors.add(processor)
                advance(batch.work // len(batch.groups))

            _run(ray, task, calls, batch.workers or len(calls), keep, cancel=not ours)
        if len(processors) > 1:
            text = (
                "Models were trained on processors that round differently from each other or from "
                f"this machine's ({', '.join(sorted(processors))}): they are paired except for "
                "rounding, and training them here would not give the same bytes."
            )
            batch.warn(Note("processors-differ", text, tuple(sorted(processors))))


def import_ray() -> Any:
    """Return the module ``ray``, which is optional."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            "the engine 'ray' needs Ray, which is not installed: pip install 'untrain[ray]', or "
            "use the engine 'local'"
        ) from None
    return ray


@contextmanager
def _connected(address: str, threads: int) -> Iterator[tuple[Any, bool]]:
    """Yield the module ``ray``, connected, and whether the cluster ends with the connection."""
    ray = import_ray()
    if ray.is_initialized():
        yield ray, False
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == LOCAL:
        options |= {"num_cpus": max(threads, cores()), "include_dashboard": False}
    else:
        _reach(address)
    try:
        try:
            connect(ray.init, address, options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise InputError(
                f"cannot use Ray at the address '{address}': {error}\nStart a cluster with `ray "
                "start --head`, with the same Ray and Python on all its nodes, or leave the "
                "address out to use only this machine"
            ) from None
        yield ray, address == LOCAL
    finally:
        ray.shutdown()


def connect(
    init: Callable[..., object],
    address: str,
    options: dict[str, Any],
    pause: float = PAUSE_SECONDS,
) -> None:
    """Call ``ray.init``, a few times if the cluster is there and breaks the connection off.

    For each client (``ray://``) the head starts a process of its own, and gives up if that has not
    answered within half a minute, which happens on a busy machine.
    """
    for left in reversed(range(CONNECTIONS)):
        try:
            init(address=address, **options)
            return
        except ConnectionAbortedError:
            if not left:
                raise
            console.print(
                f"[yellow]waiting:[/] the Ray cluster at {address} did not start a process for "
                f"this connection in time; trying again ({left} more)",
                soft_wrap=True,
            )
            time.sleep(pause)


def _current() -> str:
    """Return the address of the cluster that ``auto`` refers to; Ray keeps it on this machine."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError:
        raise InputError(
            "engine.address is 'auto', but no Ray cluster was started on this machine: start one "
            "with `ray start --head`, join one with `ray start --address`, name its address, or "
            "leave the address out to use only this machine"
        ) from None


def _reach(address: str) -> None:
    """Raise `InputError` if no cluster answers at an address: Ray itself would try for minutes."""
    meant = _current() if address == "auto" else address
    try:
        parts = urlsplit(meant if "://" in meant else f"tcp://{meant}")
        port = parts.port or (CLIENT_PORT if parts.scheme == "ray" else None)
    except ValueError:
        port = None
    if port is None or not parts.hostname or parts.scheme not in ("tcp", "ray"):
        raise InputError(
            f"engine.address must be auto, host:port or ray://host:port, found '{address}'"
        )
    try:
        socket.create_connection((parts.hostname, port), timeout=REACH_SECONDS).close()
    except OSError as error:
        where = f"'{meant}'" + ", where this machine had one last (auto)" * (address == "auto")
        raise InputError(
            f"no Ray cluster answers at {where} ({error.strerror or error}): check the address "
            "and that the cluster runs (`ray status` on its head)"
        ) from None


def _tell_if_too_small(ray: Any, needs: dict[str, int]) -> None:
    """Tell the user if no node can hold a task: it waits for one, because clusters may grow."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= n for name, n in needs.items()) for node in nodes):
        wanted = " and ".join(f"{n} {name}" for name, n in needs.items() if n)
        console.print(
            f"[yellow]waiting:[/] a model needs {wanted}, which no node of the Ray cluster has "
            "yet (--threads sets the CPUs of model A)",
            soft_wrap=True,
        )


def _run(
    ray: Any,
    task: Any,
    calls: dict[Group, tuple],
    at_once: int,
    keep: Callable[..., None],
    cancel: bool,
) -> None:
    """Pass the result of each call to ``keep`` as it finishes; if anything fails, stop the others.

    Without ``cancel`` they are left to end with the cluster: Ray can abort this process if a
    result arrives for a task that it has just written off (seen with 2.60).
    """
    waiting = dict(calls)
    running: dict[Any, Group] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                group = next(iter(waiting))
                running[task.remote(*waiting.pop(group))] = group
            reference = ray.wait(list(running), num_returns=1)[0][0]
            result = _result(ray, reference)
            keep(running.pop(reference), *result)
    except BaseException:
        if cancel:
            _cancel(ray, list(running))
        raise


def _result(ray: Any, reference: Any) -> tuple[list[Files], str]:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UntrainError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise UntrainError(
            f"a model could not be trained on the Ray cluster: {error}\nWhere a process dies "
            f"(out of memory?) the training is tried {RETRIES} more times; run the same command "
            "again to continue, with fewer workers if it happens again"
        ) from None


def _cancel(ray: Any, references: list[Any]) -> None:
    """End tasks: first with a chance to clean up, then without.

    Tasks whose results are about to arrive are allowed to finish, see `_run`.
    """
    left = references
    if left:  # Ray waits for something or not at all
        _, left = ray.wait(left, num_returns=len(left), timeout=ARRIVE_SECONDS)
    for reference in left:
        ray.cancel(reference)
    if left:
        _, left = ray.wait(left, num_returns=len(left), timeout=CANCEL_SECONDS)
    for reference in left:
        ray.cancel(reference, force=True)


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

    found = _machine(mode)
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise InputError(
                f"the node '{socket.gethostname()}' of the Ray cluster has {name} "
                f"'{found[name]}', the machine of the run '{wanted}': models would not be the "
                "same, so make them alike"
            )
    torch.set_num_threads(mode.threads)
    with tempfile.TemporaryDirectory(prefix="untrain-", dir=scratch) as name:
        folder, shared = Path(name, "run"), Path(name, "shared")
        try:
            _unpack(inputs, Path(name))
            job(folder, shared, group, mode)
        except Exception as error:
            if is_disk_full(error):
                raise UntrainError(
                    f"the disk of the node '{socket.gethostname()}' is full: free some space in "
                    f"{tempfile.gettempdir()} and run the same command again"
                ) from None
            raise
        return [_pack(folder / "models" / model.model_id) for model in group], _processor()


def _machine(mode: TrainingMode) -> dict[str, str]:
    """What must be the same on every node for a model to match its fingerprint.

    In bfloat16 nodes must also agree on whether it is computed in hardware: emulation rounds
    differently, and takes a hundred times as long.
    """
    import torch

    found = {
        "untrain": untrain.__version__,
        "torch": torch.__version__,
        "device": device().type,
    }
    if mode.precision == "bfloat16":
        found["bfloat16"] = "in hardware" if has_fast_bfloat16() else "emulated"
    return found


def _processor() -> str:
    """Return what determines the rounding: the kind of GPU, or the CPU's vector instructions."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return torch.backends.cpu.get_cpu_capability()


def _inputs(batch: Batch) -> Files:
    """Return what training reads: the catalogue without its pictures, and the frozen parts."""
    catalog = batch.folder / "catalog.parquet"
    shared = {f"shared/{name}": data for name, data in _pack(batch.shared).items()}
    return {"run/catalog.parquet": catalog.read_bytes(), **shared}


def _pack(folder: Path) -> Files:
    """Return the files below a folder by their path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _unpack(files: Files, folder: Path) -> None:
    """Write what `_pack` read."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

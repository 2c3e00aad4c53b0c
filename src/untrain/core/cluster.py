"""A Ray cluster: connecting to one, and running tasks on it whose processes and nodes may die.

The nodes share no file system with the machine that asks. What a task reads is sent as bytes; what
it makes comes back as bytes, and this machine writes it as it arrives. A task whose process or node
dies is started again elsewhere from the beginning, so the result is the same.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from untrain.core import disk, trust
from untrain.core.errors import InputError, UntrainError, machine_fault
from untrain.core.last_words import last_words
from untrain.core.outside import read_bytes
from untrain.core.progress import console
from untrain.core.threads import cores

LOCAL = "local"  # Ray's word for a cluster on this machine that ends with this process
RETRIES = 3  # for a task whose process or node died
REACH_SECONDS = 10.0  # for a cluster to answer
ARRIVE_SECONDS = 1.0  # for results in transit
CANCEL_SECONDS = 10.0  # for tasks to clean up before they are killed
CLIENT_PORT = 10001  # of ray://host
CONNECTIONS = 3  # tries to connect to a cluster elsewhere
PAUSE_SECONDS = 5.0  # between them

LAST_WORDS = (
    "untrain: the process that used Ray has ended (Ray ends it where its node on this machine is "
    "lost; or was it out of memory?): run the same command again to continue"
)

AHEAD = 2  # short tasks with the cluster for each that can run

K = TypeVar("K")
Files = dict[str, bytes]


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


def address_of(given: str | None) -> str:
    """Return the address that is meant: the one given, that of ``RAY_ADDRESS``, or `LOCAL`."""
    return given or os.environ.get("RAY_ADDRESS") or LOCAL


def check(address: str) -> None:
    """Import Ray, and connect to the cluster if it is not one that ends with this process.

    Raises
    ------
    InputError
        Ray is not installed, or no cluster can be reached at the address.
    """
    import_ray()
    if address != LOCAL:
        with connected(address, threads=1):
            return


@contextmanager
def connected(address: str, threads: int) -> Iterator[tuple[Any, bool]]:
    """Yield the module ``ray``, connected, and whether the cluster ends with the connection.

    A connection that the caller has is used as it is. One that is started here has at least
    ``threads`` CPUs.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray, False
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == LOCAL:
        options |= {"num_cpus": max(threads, cores()), "include_dashboard": False}
    else:
        trust.check("the Ray cluster", address)
        _reach(address)
    with last_words(LAST_WORDS):
        try:
            yield _init(ray, address, options), address == LOCAL
        finally:
            ray.shutdown()


def _init(ray: Any, address: str, options: dict[str, Any]) -> Any:
    """Connect, and return the module."""
    try:
        connect(ray.init, address, options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise InputError(
            f"cannot use Ray at the address '{address}': {error}\nStart a cluster with `ray "
            "start --head`, with the same Ray and Python on all its nodes, or leave the "
            "address out to use only this machine"
        ) from None
    return ray


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
            "the address is 'auto', but no Ray cluster was started on this machine: start one "
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
            "the address of a Ray cluster must be auto, host:port or ray://host:port, found "
            f"'{address}'"
        )
    try:
        socket.create_connection((parts.hostname, port), timeout=REACH_SECONDS).close()
    except OSError as error:
        where = f"'{meant}'" + ", where this machine had one last (auto)" * (address == "auto")
        raise InputError(
            f"no Ray cluster answers at {where} ({error.strerror or error}): check the address "
            "and that the cluster runs (`ray status` on its head)"
        ) from None


def tell_if_too_small(ray: Any, needs: dict[str, int]) -> None:
    """Tell the user if no node can hold a task: it waits for one, because clusters may grow."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= n for name, n in needs.items()) for node in nodes):
        wanted = " and ".join(f"{n} {name}" for name, n in needs.items() if n)
        console.print(
            f"[yellow]waiting:[/] a task needs {wanted}, which no node of the Ray cluster has "
            "yet (--threads sets the CPUs)",
            soft_wrap=True,
        )


def tasks_at_once(ray: Any, threads: int) -> int:
    """Return how many tasks of so many CPUs to have with the cluster, by the nodes there are now.

    `AHEAD` for each that can run, so that no node waits for its next one.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return AHEAD * max(1, sum(int(node.get("CPU", 0)) // threads for node in nodes))


def results(
    ray: Any,
    task: Any,
    calls: Iterable[tuple[K, tuple[Any, ...]]],
    at_once: int,
    what: str,
    cancel: bool,
    in_order: bool = False,
) -> Generator[tuple[K, Any], None, None]:
    """Yield the key and the result of each call as it finishes; if anything fails, stop the others.

    Close it (`contextlib.closing`) before the connection, so that this also holds where whoever
    takes the results fails.

    Parameters
    ----------
    ray : module
    task : remote function
    calls : iterable of (key, arguments)
        Asked for one by one, as tasks finish: what is not yet needed need not be in memory.
    at_once : int
        Calls that are with the cluster at a time.
    what : str
        What could not be done, for an error: "a model could not be trained".
    cancel : bool
        Whether to cancel the others, if anything fails here or there. Otherwise they are left to
        end with the cluster: Ray can abort this process if a result arrives for a task that it has
        just written off (seen with 2.60).
    in_order : bool
        Yield in the order of the calls; what finishes early waits on its node.
    """
    waiting = iter(calls)
    running: dict[Any, K] = {}
    try:
        while True:
            while len(running) < at_once and (call := next(waiting, None)) is not None:
                running[task.remote(*call[1])] = call[0]
            if not running:
                return
            first = next(iter(running))
            reference = first if in_order else ray.wait(list(running), num_returns=1)[0][0]
            result = _result(ray, reference, what)
            yield running.pop(reference), result
            del reference, result  # or Ray would keep it
    except BaseException:
        if cancel:
            _cancel(ray, list(running))
        raise


def _result(ray: Any, reference: Any, what: str) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UntrainError):
            raise error.cause from None
        raise
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise UntrainError(
            f"{what} on the Ray cluster: {error}\nWhere a process dies (out of memory?) the task "
            f"is tried {RETRIES} more times; run the same command again to continue, with fewer "
            "workers if it happens again"
        ) from None


def _cancel(ray: Any, references: list[Any]) -> None:
    """End tasks: first with a chance to clean up, then without.

    Tasks whose results are about to arrive are allowed to finish, see `results`.
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


def versions() -> dict[str, str]:
    """Return what must be the same on every node for results to be those of this machine."""
    import torch

    import untrain
    from untrain.core.hardware import device

    return {
        "untrain": untrain.__version__,
        "torch": torch.__version__,
        "device": device().type,
    }


def check_alike(found: dict[str, str], expected: dict[str, str], what: str) -> None:
    """Raise `InputError` on a node whose `versions` are not those of the machine that asks.

    ``what`` would differ then: "models".
    """
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise InputError(
                f"the node '{socket.gethostname()}' of the Ray cluster has {name} "
                f"'{found[name]}', the machine of the run '{wanted}': {what} would not be the "
                "same, so make them alike"
            )


@contextmanager
def disk_of_node() -> Iterator[None]:
    """Say which node it is, if its disk is full or it lacks something else."""
    try:
        yield
    except Exception as error:
        if told := machine_fault(error, tempfile.gettempdir()):
            raise UntrainError(f"the node '{socket.gethostname()}': {told}") from None
        raise


def processor() -> str:
    """Return what determines the rounding: the kind of GPU, or the CPU's vector instructions."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return torch.backends.cpu.get_cpu_capability()


def pack(folder: Path) -> Files:
    """Return the files below a folder by their path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): read_bytes(path, None) for path in files}


def unpack(files: Files, folder: Path) -> None:
    """Write what `pack` read."""
    for name, data in files.items():
        path = folder / name
        if ".." in path.parts or not path.is_relative_to(folder):  # a node may be anybody's
            raise InputError(f"a node of the cluster sent a file for {path}: trust it no longer")
        disk.make_folder(path.parent)
        disk.write_bytes(path, data)

"""Engines: where models are trained, in processes of this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from untrain.core.notes import Note
from untrain.core.registry import Registry


class Model(NamedTuple):
    """A model to be trained: the name of its folder, its seed and what it is trained without."""

    key: str
    seed: int
    removed: tuple[str, ...]


@dataclass(frozen=True)
class Way:
    """How models are trained, as far as it decides their bits: an engine must keep to it.

    Attributes
    ----------
    threads : int
        Of a process.
    stack : int
        Models trained in one pass, see `untrain.generators.dalle.stacked`.
    processes : int
        Processes that train one model together, see `untrain.generators.dalle.distributed`.
    """

    threads: int = 1
    stack: int = 1
    processes: int = 1


Job = Callable[[str, str, dict[str, Any], tuple[Model, ...], Way], float]


@dataclass(frozen=True)
class Batch:
    """Models to be trained in groups, each group by one call of ``job``.

    Attributes
    ----------
    job : callable
        ``job(folder, shared, config, group, way)`` trains models from what two folders hold,
        ``catalog.parquet`` the one and the frozen parts the other, and leaves each whole in
        ``folder/models/key``. Another process must be able to import it.
    folder, shared : Path
        The run folder and that of the generator's frozen parts.
    config : dict
        The experiment's settings.
    groups : tuple of tuples of Model
        Those of a group are trained in one pass, and share their seed.
    way : Way
    workers : int or None
        How many groups to train at once; None leaves it to the engine.
    label : str
        For the progress bar.
    work : int
        All units of progress.
    warn : callable
        Takes a note that the user should read with the results.
    """

    job: Job
    folder: Path
    shared: Path
    config: dict[str, Any]
    groups: tuple[tuple[Model, ...], ...]
    way: Way
    workers: int | None
    label: str
    work: int
    warn: Callable[[Note], None]


class Engine(Protocol):
    """Trains models; made from the address of the experiment's ``engine`` setting.

    Which engine it is must not show in the result: neither models nor stages are known by it.
    """

    def __init__(self, address: str | None = None) -> None: ...

    def check(self) -> None:
        """Raise an `InputError` if it cannot work here; called before anything costly."""
        ...

    def train(self, batch: Batch) -> None:
        """Have every model of the batch in ``batch.folder/models``.

        Each is there as soon as it is done, whole or not at all, so that a stop costs the models
        in training alone. The first failure ends the others and is raised; nothing that was
        started outlives the call, however it ends.
        """
        ...


ENGINES: Registry[Callable[[str | None], Engine]] = Registry(
    "engine",
    {
        "local": "untrain.training.local:LocalEngine",
        "ray": "untrain.training.ray:RayEngine",
    },
)

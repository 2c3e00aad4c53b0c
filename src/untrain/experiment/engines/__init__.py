"""Engines: where models are trained, in processes of this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from untrain.registry import Registry

Job = Callable[[str, str, dict[str, Any], str, int, list[str]], float]


@dataclass(frozen=True)
class Batch:
    """Models to be trained, each by one call of ``job``.

    Attributes
    ----------
    job : callable
        ``job(folder, shared, config, key, seed, removed)`` trains a model from what two folders
        hold, ``catalog.parquet`` the one and the frozen parts the other, and leaves it whole in
        ``folder/models/key``. Another process must be able to import it.
    folder, shared : Path
        The run folder and that of the generator's frozen parts.
    config : dict
        The experiment's settings.
    models : tuple of (key, seed, removed ids)
    threads : int
        A model's. They decide the bits of the result, so that an engine must keep to them.
    workers : int or None
        How many models to train at once; None leaves it to the engine.
    label : str
        For the progress bar.
    work : int
        All units of progress.
    warn : callable
        Takes a sentence that the user should read with the results.
    """

    job: Job
    folder: Path
    shared: Path
    config: dict[str, Any]
    models: tuple[tuple[str, int, tuple[str, ...]], ...]
    threads: int
    workers: int | None
    label: str
    work: int
    warn: Callable[[str], None]


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
        "local": "untrain.experiment.engines.local:LocalEngine",
        "ray": "untrain.experiment.engines.on_ray:RayEngine",
    },
)

"""The contract of an engine: it gets a batch of models and trains each into its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from untrain.core.notes import Note


class ModelRequest(NamedTuple):
    """A model to be trained.

    Attributes
    ----------
    model_id : str
        Its name in the experiment; for an engine, the fingerprint that names its folder.
    seed : int
        Of its initial weights and of the order of its data.
    removed : tuple of str
        Ids of the images it is trained without.
    """

    model_id: str
    seed: int
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingMode:
    """How models are trained, as far as it affects their bits: an engine must keep to it.

    Attributes
    ----------
    threads : int
        Of a process.
    stack : int
        Models trained in one pass, see `untrain.generators.dalle.stacked`.
    processes : int
        Processes that train one model together, see `untrain.generators.dalle.distributed`.
    precision : str or None
        ``"float32"`` or ``"bfloat16"``; None where the generator decides, in its recipe.
    """

    threads: int = 1
    stack: int = 1
    processes: int = 1
    precision: str | None = None


Group = tuple[ModelRequest, ...]
Job = Callable[[Path, Path, Group, TrainingMode], object]
Warn = Callable[[Note], None]


@dataclass(frozen=True)
class Batch:
    """Models to be trained in groups, each group by one call of ``job``.

    Attributes
    ----------
    job : callable
        ``job(folder, shared, group, mode)`` trains models from the ``catalog.parquet`` of the one
        folder and the frozen parts of the other, and writes each model completely to
        ``folder/models/<model_id>``. It is sent to other processes: a function of a module, or a
        `functools.partial` of one.
    folder, shared : Path
        The run folder and that of the generator's frozen parts.
    groups : tuple of tuples of ModelRequest
        Those of a group are trained in one pass, and share their seed.
    mode : TrainingMode
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
    groups: tuple[Group, ...]
    mode: TrainingMode
    workers: int | None
    label: str
    work: int
    warn: Warn


class Engine(Protocol):
    """Trains models; made from the address of the experiment's ``engine`` setting.

    Results do not depend on the engine: it is part of no fingerprint.
    """

    @property
    def remote(self) -> bool:
        """Whether other machines may do the training; they then need the generator's code."""
        ...

    def check(self) -> None:
        """Raise an `InputError` if it cannot work here; called before anything costly."""
        ...

    def train(self, batch: Batch) -> None:
        """Train every model of the batch into ``batch.folder/models``.

        Each is there as soon as it is done, complete or not at all, so interrupting loses only
        models still training. The first failure stops the others and is raised; nothing that was
        started outlives the call, however it ends.
        """
        ...

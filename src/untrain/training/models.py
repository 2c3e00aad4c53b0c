"""The models of a run: found by their fingerprint, or trained by an engine if missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, write_json
from untrain.core.hardware import platform
from untrain.core.manifest import check_folder
from untrain.core.notes import Note
from untrain.core.progress import bar
from untrain.generators.base import Generator
from untrain.generators.spec import GeneratorSpec
from untrain.training.base import Batch, Engine, Group, ModelRequest, TrainingMode, Warn
from untrain.training.index import write_index
from untrain.training.job import Reopen, train_group
from untrain.training.local import LocalEngine
from untrain.training.store import ModelStore

if TYPE_CHECKING:
    from untrain.generators.recording import Checkpoint


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains the models of one catalogue and one generator, and loads them again.

    Parameters
    ----------
    store : ModelStore
        Where they are kept.
    catalog : Catalog
        The training catalogue.
    spec : GeneratorSpec
        How other processes make the generator.
    engine : Engine
        What trains.
    workers : int or None
        How many models to train at once; None leaves it to the engine.
    reopen : callable, optional
        Opens the catalogue with its pictures in another process; needed where the generator reads
        pictures (`untrain.generators.base.Generator.reads_pictures`).
    warn : callable
        Takes a `Note` that the user should read with the results.
    """

    store: ModelStore
    catalog: Catalog
    spec: GeneratorSpec
    engine: Engine = field(default_factory=LocalEngine)
    workers: int | None = None
    reopen: Reopen | None = None
    warn: Warn = lambda note: None

    @cached_property
    def generator(self) -> Generator:
        """The generator, unprepared until `prepare` is called."""
        return self.spec.make()

    @property
    def shared(self) -> Path:
        """The folder of the generator's frozen parts."""
        return self.store.shared(self.generator.shared_key(self.catalog))

    def prepare(self) -> None:
        """Fit the generator's frozen parts, or reuse those of this run or one beside it."""
        folder = self.shared
        self.store.has_shared(folder.name)
        with bar("frozen parts", self.generator.prepare_work(self.catalog)) as advance:
            self.generator.prepare(self.catalog, folder, advance)
        if not (folder / "shared.json").exists():  # nothing was kept, or nothing with a description
            write_json(folder / "shared.json", {"fingerprint": folder.name})

    def train(
        self, requests: Sequence[ModelRequest], label: str, paired: bool = True
    ) -> pd.DataFrame:
        """Train the requested models that are missing and return the table of models.

        A model is identified by catalogue, recipe, frozen parts, seed, removed ids, machine and
        mode of training; one that this run or a run in the same folder already has is not trained
        again. Models that differ only in their name are one. The generator must be prepared.

        Parameters
        ----------
        requests : sequence of ModelRequest
        label : str
            For the progress bar.
        paired : bool
            Whether models are compared with each other. They must then be trained in one mode:
            one thread per model or, on a GPU, stacks of one size. A model that is not
            compared may have all threads, or several GPUs.

        Returns
        -------
        DataFrame
            Columns model_id, seed, fingerprint, path (relative to the run folder), one row per
            request.

        Raises
        ------
        InputError
            The generator exists only in this process, and the engine trains on other machines.

        Notes
        -----
        A model's bits must follow from its fingerprint, and requesting more models, or those that
        an interruption left undone, must find the others again. In a stack the rounding depends on
        how many models there are, but not on which they are. So the fingerprint includes the size
        of a stack and nothing else about it; the size follows from recipe and GPU, never from how
        many models are requested or missing; and an incomplete stack is filled up with models
        trained on everything, which are discarded. On a GPU whose memory allows another size,
        models are trained again.
        """
        mode = self._mode(paired)
        keys = [self.fingerprint(request, mode) for request in requests]
        wanted = dict(zip(keys, requests, strict=True))
        missing = {key: r for key, r in wanted.items() if not self.store.has_model(key)}
        groups = _groups(missing, mode.stack)
        write_index(self.store.folder, self.catalog)
        self.engine.train(
            Batch(
                job=partial(train_group, self.spec.settled(self.generator), self.reopen),
                folder=self.store.folder,
                shared=self.shared,
                groups=groups,
                mode=mode,
                workers=self._at_once(),
                label=label,
                work=self.generator.fit_work(self.catalog) * len(groups) * mode.stack,
                warn=self.warn,
            )
        )
        return pd.DataFrame(
            [
                (r.model_id, r.seed, key, f"models/{key}")
                for key, r in zip(keys, requests, strict=True)
            ],
            columns=["model_id", "seed", "fingerprint", "path"],
        )

    def has(self, request: ModelRequest, paired: bool = True) -> bool:
        """Tell whether `train` would find a model, and not train it; as prepared as it."""
        return self.store.has_model(self.fingerprint(request, self._mode(paired)))

    def known(self, request: ModelRequest, paired: bool = True) -> str | None:
        """Return the path of a model that is trained already; None of one that is not."""
        key = self.fingerprint(request, self._mode(paired))
        return f"models/{key}" if self.store.has_model(key) else None

    def load(self, path: str) -> Any:
        """Return a fresh generator with the weights of a model, by its path in the run folder."""
        check_folder(self.store.folder / path)
        generator = self.spec.make()
        generator.prepare(self.catalog, self.shared, lambda n: None)
        return generator.load(self.store.folder / path)

    def checkpoints(self, seed: int) -> list[Checkpoint]:
        """Train a model on everything once more, in this process, and return checkpoints of that.

        Those that the cache has are returned as they are; see
        `untrain.training.checkpoints.record`.
        """
        from untrain.training.checkpoints import recorded

        generator = self.spec.make()
        generator.prepare(self.catalog, self.shared, lambda n: None)
        return recorded(generator, self.catalog, seed)

    def has_checkpoints(self, seed: int) -> bool:
        """Tell whether `checkpoints` would train nothing."""
        from untrain.training.checkpoints import are_recorded

        return are_recorded(self.generator, self.catalog, seed)

    def fingerprint(self, request: ModelRequest, mode: TrainingMode) -> str:
        """Return the fingerprint of a model."""
        recipe = self.generator.fingerprint(self.catalog)
        where = {**platform(mode.precision), "threads": str(mode.threads)}
        where |= {"stack": str(mode.stack)} if mode.stack > 1 else {}
        where |= {"processes": str(mode.processes)} if mode.processes > 1 else {}
        return fingerprint("model-2", recipe, request.seed, sorted(request.removed), where)

    def _mode(self, paired: bool) -> TrainingMode:
        import torch

        precision = self.generator.precision
        if paired:
            return TrainingMode(stack=self.generator.stack_size, precision=precision)
        processes = self.generator.processes
        threads = torch.get_num_threads() if processes == 1 else 1
        return TrainingMode(threads=threads, processes=processes, precision=precision)

    def _at_once(self) -> int | None:
        """Return how many models to train at once: one if only this process has the generator."""
        if self.spec.address or self.workers == 1:
            return self.workers
        if self.engine.remote:
            raise InputError(
                f"the generator '{self.spec.name}' is defined in the script or notebook itself, "
                "which other machines do not have: put it into a module, or use the engine 'local'"
            )
        text = (
            f"The generator '{self.spec.name}' is defined in the script or notebook itself, so its "
            "models are trained one after another; in a module, other processes would "
            "find it."
        )
        self.warn(Note("trained-in-turn", text))
        return 1


def _groups(missing: Mapping[str, ModelRequest], size: int) -> tuple[Group, ...]:
    """Return which models are trained in one pass: at most ``size``, all of one seed."""
    of_seed: dict[int, list[ModelRequest]] = {}
    for key, request in missing.items():
        of_seed.setdefault(request.seed, []).append(request._replace(model_id=key))
    return tuple(
        tuple(models[i : i + size])
        for models in of_seed.values()
        for i in range(0, len(models), size)
    )

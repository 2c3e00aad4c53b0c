"""The run folder: where stages keep their results, and how an interrupted run resumes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from filelock import FileLock, Timeout

from untrain.catalogs.base import Catalog
from untrain.catalogs.exclude import notes_of
from untrain.catalogs.reading import reasons
from untrain.core import disk
from untrain.core.atomic import discard_leftovers
from untrain.core.errors import InputError, UntrainError, machine_fault, machine_faults_told
from untrain.core.files import write_text
from untrain.core.locks import acquire
from untrain.core.manifest import NAME as CHECKSUMS
from untrain.core.notes import Note
from untrain.core.printing import escape
from untrain.core.progress import console, log_to
from untrain.core.tables import TABLES
from untrain.encoders import Encoder, load_encoder
from untrain.evaluation.measurement import margin_of, measure_of
from untrain.generators.base import Generator, unit_of
from untrain.generators.pictures_only import PicturesOnly
from untrain.generators.spec import GeneratorSpec
from untrain.runs import inputs
from untrain.runs.deleted import Deletions
from untrain.runs.find import refuse_foreign
from untrain.runs.given_pictures import GivenPictures
from untrain.runs.machine import machine, versions
from untrain.runs.record import SCHEMA_VERSION, as_yaml, read_record, restore, write_record
from untrain.settings.config import Config
from untrain.training.engines import open_engine
from untrain.training.index import read_index
from untrain.training.models import Trainer
from untrain.training.store import ModelStore

if TYPE_CHECKING:
    from untrain.generators.precision import MeasuredPrecision


@dataclass
class Run:
    """One experiment and its folder.

    Everything costly is read or built on first use and kept in memory; every result of a stage is
    a file of the folder, written completely or not at all.

    Parameters
    ----------
    config : Config
    stage : str
        Name of the stage that is running, if any.
    """

    config: Config
    stage: str = ""
    _is_saved: bool = field(default=False, init=False, repr=False)
    _started: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.folder

    def path(self, *parts: str) -> Path:
        """Return a path inside the run folder."""
        return self.folder.joinpath(*parts)

    def table(self, name: str) -> pd.DataFrame:
        """Read one of the run's tables by name, such as ``'results/effects'``."""
        return TABLES[name].read(self.folder)

    def keep(self, name: str, table: pd.DataFrame) -> None:
        """Write one of the run's tables; it must have the columns of `untrain.core.tables`."""
        TABLES[name].write(self.folder, table)

    @cached_property
    def _data(self) -> inputs.Inputs:
        return inputs.open_inputs(self.config)

    @property
    def catalog(self) -> Catalog:
        """The training catalogue: what is left after subset, plant and hold-out."""
        return self._data.train

    @property
    def held_out(self) -> Catalog:
        """Pairs that no model sees."""
        return self._data.held_out

    @property
    def prompts(self) -> pd.DataFrame:
        """Columns prompt_id, prompt, family (or empty) and role (query or control)."""
        return self._data.prompts

    @property
    def texts(self) -> dict[str, str]:
        """The text of each prompt_id, in order."""
        return dict(zip(self.prompts["prompt_id"], self.prompts["prompt"], strict=True))

    @property
    def given_pictures(self) -> GivenPictures | None:
        """The finished pictures that replace a model, if there are any."""
        return self._data.given

    @cached_property
    def generator(self) -> Generator:
        """The generator of the configuration, not yet prepared."""
        given = self.given_pictures
        return PicturesOnly(given.image_size) if given else self.trainer.generator

    @cached_property
    def trainer(self) -> Trainer:
        """What trains the models of the run, or finds them; unused where pictures are given."""
        config, settings = self.config, self.config.generator
        measured = self.measured_precision
        precision = measured.chosen if measured else settings.precision
        return Trainer(
            ModelStore(self.folder, config.runs),
            self.catalog,
            GeneratorSpec(settings.name, config.seed, precision, settings.arguments()),
            open_engine(config.engine.name, config.engine.address),
            config.workers,
            reopen=partial(inputs.open_training_catalog, config.to_dict()),
            warn=self.warn,
        )

    @cached_property
    def measured_precision(self) -> MeasuredPrecision | None:
        """The precision that ``generator.precision: auto`` chose for the run; None without auto."""
        if self.config.generator.precision != "auto" or self.given_pictures:
            return None
        known = self.record.get("generator", {}).get("measured_precision")
        return inputs.measured_precision(self.config.generator, self.config.seed, known)

    @property
    def unit(self) -> str:
        """Of the primary measure: bits/token, loss, similarity."""
        return unit_of(self.generator)

    @property
    def margin(self) -> float | None:
        """The equivalence margin: that of the configuration, the generator or its unit."""
        given = (self.config.evaluation.margin, self.generator.margin)
        return next((margin for margin in given if margin is not None), margin_of(self.unit))

    @property
    def paired(self) -> bool:
        """Whether the models that are compared share initial weights and the order of the data."""
        return self.config.design.paired and self.generator.paired

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the configuration."""
        return load_encoder(self.config.encoder.name, **self.config.encoder.options)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The content of run.json."""
        if self.path("run.json").exists():
            found = read_record(self.folder)
            if found.get("schema_version") != SCHEMA_VERSION:
                raise InputError(
                    f"{self.folder} was written with schema {found.get('schema_version')}, "
                    f"this untrain writes {SCHEMA_VERSION}: choose another name"
                )
            return found
        begun = {"schema_version": SCHEMA_VERSION, "name": self.config.name, "stages": {}}
        return {**begun, "checksums": CHECKSUMS}  # of all that is written from the beginning

    def save_record(self) -> None:
        """Write run.json."""
        parts = {"": self.record.get("catalog", {}), **self.record["stages"]}
        self.record["warnings"] = [
            {"stage": stage, **note} for stage, part in parts.items() for note in _warnings(part)
        ]
        write_record(self.folder, self.record)
        self._is_saved = True

    def describe(self) -> None:
        """Record configuration, versions, machine and data, as they are now."""
        self.save_record()  # first: it marks the folder as that of a run
        measured = self.measured_precision
        notes = [*self._changed_data(), *_about_data(self.catalog)]
        write_text(self.path("config.yaml"), as_yaml(self.config.to_dict()))
        self.record.update(
            versions=versions(),
            machine=machine(self.generator.precision),
            threads={"model_a": torch.get_num_threads(), "paired_models": 1},
            seeds={"a": self.config.seed, "b": self.config.b_seed, "data": self.config.data.seed},
            design=self.config.design.kind,
            generator={
                "name": self.config.generator.name,
                "unit": self.unit,
                "measure": measure_of(self.unit),
                "margin": self.margin,
                "frozen": self.generator.frozen,
                "precision": self.generator.precision,
                "measured_precision": measured.to_dict() if measured else None,
            },
            catalog={
                "name": self.catalog.name,
                "format": self.config.data.format,
                "images": len(self.catalog),
                "heldout": len(self.held_out),
                "skipped": len(self.catalog.skipped),
                "duplicate_groups": len(self.catalog.duplicates()),
                "excluded": [each.to_dict() for each in self.catalog.excluded],
                "warnings": [note.to_dict() for note in notes],
            },
            fingerprints={"catalog": self.catalog.fingerprint},
            config=self.config.to_dict(),
        )
        if self.given_pictures:
            self.record["given"] = len(self.given_pictures.catalog)
        for note in notes:
            _tell(note)
        self.save_record()

    def _changed_data(self) -> list[Note]:
        """Return a warning if an earlier call of this run was about other data."""
        before = self.record.get("fingerprints", {}).get("catalog", self.catalog.fingerprint)
        if before == self.catalog.fingerprint:
            return []
        words = "they are not those it began with"
        with suppress(OSError, InputError, ValueError):
            old = read_index(self.folder)
            pairs = zip(old.ids, old.captions, old.hashes, strict=True)
            now = set(
                zip(self.catalog.ids, self.catalog.captions, self.catalog.hashes, strict=True)
            )
            gone = sum(pair not in now for pair in pairs)
            words = f"{gone:,} of its {len(old):,} pairs are no longer there as they were"
        text = (
            f"The data changed since this run began ({words}): everything is done again. To keep "
            "what was found with the earlier data, put them back, or give this run another name"
        )
        return [Note("data-changed", text)]

    def warn(self, note: Note) -> None:
        """Add a warning, once, to the record (and so the report), with the current stage if any."""
        known = self.record["stages"].get(self.stage, {}).setdefault("warnings", [])
        if note.to_dict() not in known:
            known.append(note.to_dict())
            _tell(note)

    def start(self, stage: str, key: str) -> None:
        """Record that a stage is running."""
        self.record["stages"][stage] = {"state": "running", "key": key}
        self.stage = stage
        self._started.add(stage)
        self.save_record()

    def _forget(self) -> None:
        """Record of no stage of this call that it is done: what they read may have been deleted."""
        for stage in self._started:
            self.record["stages"].pop(stage, None)
        self.save_record()

    def _is_begun(self) -> bool:
        return self._is_saved or bool(self.__dict__.get("record", {}).get("stages"))

    @contextmanager
    def lock(self) -> Iterator[Deletions]:
        """Lock the run folder; a second run in it at the same time is refused.

        Yields what tells of files that somebody deletes.

        What an interrupted run left incomplete is discarded at the start, and at the end a folder
        that stayed empty. A folder that holds anything but a run is refused.
        """
        refuse_foreign(self.folder)
        lock = FileLock(self.path(".lock"))
        try:
            disk.make_folder(self.folder)
            acquire(lock, timeout=0.2)  # `untrain status` holds the lock for a moment
        except Timeout:
            raise InputError(
                f"another process is running in {self.folder}: wait for it, or choose another name"
            ) from None
        except OSError as error:
            if told := machine_fault(error, self.folder):
                raise UntrainError(told) from None
            raise InputError(
                f"cannot write to the run folder {self.folder} ({error.strerror}); "
                "choose another place with --runs"
            ) from None
        try:
            with (
                log_to(self.path("log.txt"), self.path("run.json")),
                machine_faults_told(self.folder),
                Deletions(self.folder, self._is_begun, self._forget) as deletions,
            ):
                discard_leftovers(self.folder)
                for name in restore(self.folder):
                    self.__dict__.pop("record", None)
                    console.print(f"[yellow]{name} was damaged[/]: put back from its copy")
                yield deletions
        finally:
            with suppress(OSError):  # the folder may be a link, or gone; what failed is told
                if [path.name for path in self.folder.iterdir()] == [".lock"]:
                    disk.delete_file(self.path(".lock"))
                    disk.delete_empty(self.folder)
            lock.release()


def open_run(folder: Path | str) -> Run:
    """Open an existing run folder by its own config.yaml."""
    return Run(inputs.run_config(Path(folder)))


def _tell(warning: Note) -> None:
    console.print(f"[yellow]warning:[/] {escape(warning.text)}", soft_wrap=True)


def _warnings(part: dict[str, Any]) -> list[dict[str, Any]]:
    return list(part.get("warnings", []))


def _about_data(catalog: Catalog) -> list[Note]:
    """Return a warning if part of the data was skipped, and what was kept out of it on purpose."""
    excluded = notes_of(catalog)
    if not catalog.skipped:
        return excluded
    text = (
        f"Part of the data cannot be used and was skipped: {reasons(catalog.skipped)}; "
        "see `untrain data inspect`, or refuse it with --strict"
    )
    return [Note("data-skipped", text), *excluded]

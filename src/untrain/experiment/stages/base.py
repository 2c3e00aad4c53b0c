"""What a stage is, and fingerprints of settings that several stages share.

Each stage is one file of this folder: its record, and the function that does its work. The work
reads values from the run, hands them to functions that know nothing about runs, and writes what
they return into the run folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untrain.encoders import load_encoder
from untrain.runs.run import Run
from untrain.settings.sections import EncoderConfig


@dataclass(frozen=True)
class Stage:
    """A step of an experiment.

    Attributes
    ----------
    name : str
    help : str
        What it does, in a few words.
    work : callable
        Does the work and writes files into the run folder.
    settings : callable
        The part of the configuration and of the data that its result depends on.
    after : tuple of str
        The stages whose results it reads.
    outputs : tuple of str
        Files or folders that it writes into the run folder.
    others : tuple of str
        Further ones, some of which are not always there.
    """

    name: str
    help: str
    work: Callable[[Run], None]
    settings: Callable[[Run], Any]
    after: tuple[str, ...]
    outputs: tuple[str, ...]
    others: tuple[str, ...] = ()


def section(run: Run, name: str) -> dict[str, Any]:
    """Return the settings of a section as JSON values."""
    values: dict[str, Any] = getattr(run.config, name).model_dump(mode="json")
    return values


def encoder_identity(settings: EncoderConfig) -> list[Any]:
    """Return what an encoder's features depend on (its files), without loading its weights."""
    folder = Path(str(settings.options.get("path") or settings.name))
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    # A user's function is quick to load, and identified by what it returns.
    own = ":" in settings.name
    known = load_encoder(settings.name, **settings.options).fingerprint if own else ""
    return [settings.model_dump(mode="json"), stamps, known]

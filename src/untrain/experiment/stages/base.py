"""What a stage is, and what the settings of several are known by.

A stage is one file of this folder: its record, and beside it the function that does its work. The
work reads values from the run, hands them to functions that know nothing of runs, and writes what
these return into the run folder.
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
        Does it, leaving files in the run folder.
    settings : callable
        The part of the configuration and of the data that its result depends on.
    after : tuple of str
        The stages whose results it reads.
    outputs : tuple of str
        Files or folders of the run folder that it leaves.
    """

    name: str
    help: str
    work: Callable[[Run], None]
    settings: Callable[[Run], Any]
    after: tuple[str, ...]
    outputs: tuple[str, ...]


def section(run: Run, name: str) -> dict[str, Any]:
    """Return the settings of a section, as JSON can hold them."""
    values: dict[str, Any] = getattr(run.config, name).model_dump(mode="json")
    return values


def encoder_identity(settings: EncoderConfig) -> list[Any]:
    """Return what an encoder's features depend on, without loading its weights: their files."""
    folder = Path(str(settings.options.get("path") or settings.name))
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    # A function of the user's is quick to load, and known by what it returns.
    own = ":" in settings.name
    known = load_encoder(settings.name, **settings.options).fingerprint if own else ""
    return [settings.model_dump(mode="json"), stamps, known]

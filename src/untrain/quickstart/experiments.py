"""Experiment files that fit data, prompts and a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog
from untrain.core.files import write_text
from untrain.core.outside import read_text
from untrain.core.text import lines
from untrain.quickstart import budget, trial
from untrain.quickstart.prompts import draw_prompts
from untrain.settings.sections import Data
from untrain.settings.template import write_template
from untrain.training.worker import default_workers

PROMPTS = "prompts.txt"
REAL_ARMS = 3  # sets of a prompt
FAMILIES = 8  # of rendered pictures, to time steps with


def write_experiment(
    file: Path,
    catalog: Catalog,
    settings: Mapping[str, Any],
    minutes: float | None,
    seed: int = 0,
    further: Mapping[str, Any] | None = None,
    name: str = "",
) -> budget.Size | None:
    """Write an experiment that fits into a time, with prompts from the captions beside it.

    Parameters
    ----------
    file : Path
        The experiment file; ``prompts.txt`` is written beside it unless it is there already.
    catalog : Catalog
    settings : mapping
        As `untrain.quickstart.looking.open_pictures` returns it.
    minutes : float, optional
        For all of it; None leaves model and design as they are by default, and times nothing.
    seed : int
        Of the prompts.
    further : mapping, optional
        More settings by dotted name.
    name : str
        Of the run; default: that of the file.

    Returns
    -------
    Size or None
        None where no time was given. Where nothing fits, the smallest, which takes longer.
    """
    images = len(catalog)
    chosen = {f"data.{k}": v for k, v in trial.as_settings(settings).items() if k != "format"}
    if images >= trial.planted_images():  # fewer would be mostly control
        chosen |= trial.positive_control()
    size = None
    if minutes is not None:
        timed = {preset: budget.time_steps(catalog, preset) for preset in budget.LASTING}
        size = _size(60 * minutes, images, timed)
    prompts = file.with_name(PROMPTS)
    own = prompts.exists()
    count = trial.prompts_for(size.images if size else images, trial.REAL_PROMPTS, REAL_ARMS)
    texts = read_text(prompts).splitlines() if own else draw_prompts(catalog.captions, count, seed)
    if size is not None:
        chosen |= trial.changes(size, images, len(texts))
    chosen |= {"prompts.file": PROMPTS, **(further or {})}
    write_template(file, settings["format"], name or file.stem, None, chosen)
    if not own:
        write_text(prompts, lines(texts))
    return size


def _size(seconds: float, images: int, timed: dict[str, budget.Timed]) -> budget.Size:
    """Return what fits, or else the smallest."""
    planted, workers, models = trial.planted_images(), default_workers(), trial.REAL_MODELS
    size = budget.fit_into(seconds, images, timed, workers, models, planted)
    if size is None:
        last = {"micro": timed["micro"]}
        size = budget.fit_into(math.inf, images, last, workers, models[-1:], planted)
    assert size is not None  # there is no end to the time
    return size


def models_of_demo(minutes: float) -> int:
    """Return how many models fit into a time where the pictures are those that untrain renders."""
    data = Data()
    some = load_catalog("rendered", families=FAMILIES)  # steps take the same with all of them
    timed, models = {"tiny": budget.time_steps(some, "tiny")}, trial.REAL_MODELS
    images = data.families * data.family_size
    size = budget.fit_into(60 * minutes, images, timed, default_workers(), models)
    return size.models if size else models[-1]

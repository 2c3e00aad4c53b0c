"""What a run would cost, before anything starts."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from untrain.core.errors import InputError
from untrain.evaluation import power
from untrain.evaluation.measurement import BITS, amount
from untrain.evaluation.verdicts import DEFAULT_MARGIN
from untrain.experiment.checks import check, check_given_pictures, count_removed, count_sets
from untrain.generators.base import Cost
from untrain.runs.run import Run
from untrain.runs.trial import is_finished_trial, read_trial
from untrain.settings.config import Config
from untrain.settings.sections import Data, GeneratorConfig
from untrain.training.worker import default_workers


def plan(config: Config, noise: float | None = None) -> list[tuple[str, str]]:
    """Return what is trained, for how long, on how much disk, and what the trial will find.

    The time is measured: a few steps of the real models are trained on this machine.

    Parameters
    ----------
    config : Config
    noise : float, optional
        Standard deviation of a query between models, bits a token. If left out, that of a
        finished run of the same data and model in the same folder of runs, or else of the demo.

    Returns
    -------
    list of (label, value)

    Raises
    ------
    InputError
        What a run would find wrong with its input, or the disk has too little room.
    """
    run = Run(config)
    catalog = run.catalog
    if run.given_pictures:
        check_given_pictures(run, ("retrieve", "compare"))
        return [
            ("training pairs", f"{len(catalog)}"),
            (
                "pictures",
                f"{len(run.given_pictures.catalog)} given, for {len(run.prompts)} prompts",
            ),
            ("trainings", "none: there is no model to train, so no counterfactual is made"),
        ]
    models = config.design.models if config.design.kind == "randomised" else 4
    check(run, ("retrieve", "compare", "retrain"))
    removed = count_removed(config, catalog, run.prompts)
    sets = count_sets(config.removal, run.prompts)
    queries = int((run.prompts["role"] == "query").sum())
    controls = len(run.prompts) - queries
    workers = config.workers or default_workers()
    cost = run.generator.cost(catalog)
    rounds = 1 + -(-models // min(workers, models))
    pictures = (1 + models) * len(run.prompts) * config.per_prompt
    weights = (1 + models) * 4 * cost.parameters if cost else 0
    disk = weights + 3000 * pictures + _features(run) + 5_000_000
    free = shutil.disk_usage(existing_folder(run)).free
    if disk > free:
        raise InputError(f"the run needs about {disk / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")
    return [
        ("training pairs", f"{len(catalog)} ({len(run.held_out)} held out)"),
        ("prompts", f"{queries} and {controls} positive controls"),
        ("model", cost.words if cost else config.generator.name),
        ("precision", _precision(run)),
        (
            "trainings",
            f"1 + {models}, {workers} at a time, "
            + (f"each {in_words(cost.seconds)}" if cost else "of unknown length"),
        ),
        (
            "forget sets",
            f"{sets}, {removed} images ({removed / len(catalog):.1%} of the data)"
            + (", those of all prompts together" if config.removal.together else ""),
        ),
        ("time", _time(cost, run.generator.prepare_seconds(catalog), rounds)),
        (
            "disk",
            f"about {disk / 1e6:.0f} MB in {run.folder}" + ("" if cost else ", models not counted"),
        ),
        *power_lines(config, queries, noise, run.paired, run.unit, run.margin),
    ]


def _precision(run: Run) -> str:
    """Return what training computes in, and why."""
    from untrain.core.hardware import has_fast_bfloat16

    if run.generator.precision is None:
        return "as the generator's class decides"
    if run.measured_precision:
        return run.measured_precision.reason
    fast = "has" if has_fast_bfloat16() else "has no"
    return f"{run.generator.precision} (this machine {fast} instructions for bfloat16)"


def _time(cost: Cost | None, prepare: float, rounds: int) -> str:
    if cost is None:
        return "unknown: the generator does not say what a training costs (its method `cost`)"
    first = f" ({in_words(prepare)} of it the frozen parts)" if prepare else ""
    return f"about {in_words(prepare + rounds * cost.seconds)} of training{first}"


@dataclass(frozen=True)
class _KnownNoise:
    """Noise between models: standard deviation, correlation of queries, and whose it is."""

    sd: float
    correlation: float
    source: str

    def sd_of_mean(self, queries: int) -> float:
        """Return the standard deviation of the mean over queries, in one model."""
        shared = max(self.correlation, 0.0)
        return self.sd * math.sqrt(shared + (1 - shared) / queries)


def power_lines(
    config: Config,
    queries: int,
    noise: float | None = None,
    paired: bool = True,
    unit: str = BITS,
    margin: float | None = DEFAULT_MARGIN,
) -> list[tuple[str, str]]:
    """Return which effects a randomised trial would find, as (label, value) lines.

    Where the sets of all prompts leave together the mean over prompts has one unit, as a query has,
    and less noise than a query.

    Parameters
    ----------
    config : Config
    queries : int
        Number of prompts, positive controls not counted.
    noise : float, optional
        As for `plan`.
    paired : bool
        Whether the models are paired.
    unit : str
        Of the primary measure.
    margin : float or None
        The equivalence margin, in that unit.

    Raises
    ------
    InputError
        The noise is not above 0.
    """
    if config.design.kind != "randomised":
        return [("power", "unknown: one pair of models says nothing about its own luck")]
    known = _noise(config, noise, paired, unit)
    if known is None:
        return [
            ("power", f"unknown until a run in this unit ({unit}) is done, or --noise is given")
        ]
    models, settings, sd = config.design.models, config.evaluation, known.sd
    together = config.removal.together
    units, shared = (1, 0.0) if together else (queries, known.correlation)
    sd_of_mean = known.sd_of_mean(queries) if together else sd
    one = power.simulate(models, 1, settings.alpha)
    every = power.simulate(models, units, settings.alpha, shared)
    level = settings.alpha
    alone, overall = one.detectable(sd), every.detectable(sd_of_mean)
    lines = [
        (
            "power",
            f"{_effect(alone, models, unit)} in one query, or "
            f"{_effect(overall, models, unit)} on average over "
            f"{queries} prompts, is found with {power.POWER:.0%} "
            f"(noise between models {sd:.2f}, {known.source}; --noise)",
        ),
    ]
    if margin is not None:
        need = [power.needed_models(margin, s, n, level) for n, s in ((1, sd), (units, sd_of_mean))]
        lines.append(
            (
                "verdicts",
                f"a query that nothing moves is called not attributable (within ±{margin:g}) with "
                f"{one.not_attributable(margin, sd):.0%}; to find an effect as large as the margin "
                f"takes {need[0]} models for one query, {need[1]} for the average",
            )
        )
    if not paired:
        lines.append(("pairing", "none: each model has a seed of its own, so that noise is larger"))
    least = power.models_for_holm(queries, level)
    if least > models:
        words = f"with {models} models no single query can stay attributable over {queries} prompts"
        lines.append(("Holm", f"{words}; {least} can"))
    return lines


def _effect(size: float, models: int, unit: str) -> str:
    if math.isinf(size):
        return f"no effect whatever (with {models} models p cannot be small enough)"
    return f"an effect of {amount(f'{size:.2f}', unit)}"


def _noise(config: Config, given: float | None, paired: bool, unit: str) -> _KnownNoise | None:
    """Return the noise that was given, or measured in finished runs beside this one, or the demo's.

    Runs count whose data and model are set the same, and whose models are paired as these are.
    """
    if given is not None:
        if not given > 0:
            raise InputError(f"--noise is {given}; it must be above 0 ({unit}), such as 0.25")
        return _KnownNoise(given, power.DEMO_CORRELATION, "as given")
    recipe = config.data, config.generator
    found = []
    for folder in sorted(path.parent for path in config.runs.glob("*/config.yaml")):
        values = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) or {}
        if _sections(values) == recipe and is_finished_trial(folder):
            trial = read_trial(folder)
            if paired != (len(set(trial.assignment.seed_offsets)) == 1):
                continue
            noise = power.trial_noise(trial.measures, trial.units, trial.assignment)
            found += [noise] if noise.total > 0 else []
    if not found and unit != BITS:
        return None
    if not found:
        source = "as in the demo" + ("" if paired else ", whose models are paired: too little")
        return _KnownNoise(power.DEMO_NOISE, power.DEMO_CORRELATION, source)
    total = float(np.mean([noise.total for noise in found]))
    shared = float(np.mean([noise.shared for noise in found]))
    runs = "the finished run" if len(found) == 1 else f"{len(found)} finished runs"
    return _KnownNoise(math.sqrt(total), shared / total, f"as in {runs} beside it")


def _sections(values: Any) -> tuple[Data, GeneratorConfig] | None:
    """Return data and model of a run's settings, whichever settings there were at its time."""
    try:
        return Data.model_validate(values["data"]), GeneratorConfig.model_validate(
            values["generator"]
        )
    except (ValidationError, KeyError, TypeError):
        return None


def existing_folder(run: Run) -> str:
    """Return the run folder, or the nearest folder above it that is there."""
    folder = run.folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return str(folder)


def in_words(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _features(run: Run) -> int:
    """Return the bytes that the candidates' features take, in half precision."""
    settings, dimension = run.config.retrieval, run.encoder.encode([]).shape[1]
    return 2 * dimension * min(len(run.catalog), settings.top * len(run.prompts))

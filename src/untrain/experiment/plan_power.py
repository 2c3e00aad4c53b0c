"""What a trial will be able to detect, given the noise between models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from untrain.core.errors import InputError
from untrain.core.files import read_yaml
from untrain.evaluation import power
from untrain.evaluation.measurement import BITS
from untrain.evaluation.verdicts import DEFAULT_MARGIN
from untrain.runs.trial import is_finished_trial, read_trial
from untrain.settings.config import Config
from untrain.settings.sections import Data, GeneratorConfig

AS_GIVEN, AS_IN_RUNS, AS_IN_DEMO = "given", "finished-runs", "demo"


@dataclass(frozen=True)
class ModelNoise:
    """How much the outcome of a query varies between models.

    Attributes
    ----------
    sd : float
        Standard deviation, in the run's unit.
    correlation : float
        Between queries.
    source : str
        Where it comes from: ``given``, ``finished-runs`` in the same folder, or the ``demo``.
    runs : int
        How many finished runs it is based on.
    """

    sd: float
    correlation: float
    source: str
    runs: int = 0

    def sd_of_mean(self, queries: int) -> float:
        """Return the standard deviation of the mean over queries, in one model."""
        shared = max(self.correlation, 0.0)
        return self.sd * math.sqrt(shared + (1 - shared) / queries)


@dataclass(frozen=True)
class Power:
    """Which effects a randomised trial would find.

    Attributes
    ----------
    noise : ModelNoise
    unit : str
        Of noise, effects and margin.
    models, queries : int
        Of the trial; positive controls are not counted.
    paired : bool
        Whether models share a seed.
    detectable, detectable_mean : float
        Smallest effect on one query, and on the mean over queries, that is found with a power of
        80 %; infinite where there are too few models for any.
    margin : float or None
        The equivalence margin; without one the next three are None too.
    not_attributable : float or None
        Probability that a query without any effect is called not attributable.
    models_for_margin, models_for_margin_mean : int or None
        Models needed to find an effect as large as the margin, on one query and on the mean.
    models_for_holm : int
        Models needed so that a single query can remain attributable after Holm's correction.
    """

    noise: ModelNoise
    unit: str
    models: int
    queries: int
    paired: bool
    detectable: float
    detectable_mean: float
    margin: float | None
    not_attributable: float | None
    models_for_margin: int | None
    models_for_margin_mean: int | None
    models_for_holm: int


def expected_power(
    config: Config,
    queries: int,
    noise: float | None = None,
    paired: bool = True,
    unit: str = BITS,
    margin: float | None = DEFAULT_MARGIN,
) -> Power | None:
    """Return which effects a randomised trial would find; None if unknown.

    Where the sets of all prompts are removed together, the mean over prompts rests on one set, as
    a query does, with less noise than a query. For the before-after design no power can be stated:
    one pair of models says nothing about its own luck.

    Parameters
    ----------
    config : Config
    queries : int
        Number of prompts, positive controls not counted.
    noise : float, optional
        Standard deviation of a query between models, in ``unit``. Default: that of finished runs
        of the same data and model in the same folder of runs, else of the demo.
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
        return None
    known = _noise(config, noise, paired, unit)
    if known is None:
        return None
    models, level, sd = config.design.models, config.evaluation.alpha, known.sd
    together = config.removal.together
    units, shared = (1, 0.0) if together else (queries, known.correlation)
    sd_of_mean = known.sd_of_mean(queries) if together else sd
    one = power.simulate(models, 1, level)
    every = power.simulate(models, units, level, shared)
    hit, needed, needed_mean = None, None, None
    if margin is not None:
        hit = one.not_attributable(margin, sd)
        needed = power.needed_models(margin, sd, 1, level)
        needed_mean = power.needed_models(margin, sd_of_mean, units, level)
    return Power(
        noise=known,
        unit=unit,
        models=models,
        queries=queries,
        paired=paired,
        detectable=one.detectable(sd),
        detectable_mean=every.detectable(sd_of_mean),
        margin=margin,
        not_attributable=hit,
        models_for_margin=needed,
        models_for_margin_mean=needed_mean,
        models_for_holm=power.models_for_holm(queries, level),
    )


def _noise(config: Config, given: float | None, paired: bool, unit: str) -> ModelNoise | None:
    """Return the given noise, or that of finished runs in the same folder, or else the demo's.

    Only runs with the same data and model settings and the same pairing count.
    """
    if given is not None:
        if not given > 0:
            raise InputError(f"--noise is {given}; it must be above 0 ({unit}), such as 0.25")
        return ModelNoise(given, power.DEMO_CORRELATION, AS_GIVEN)
    recipe = config.data, config.generator
    found = []
    for folder in sorted(path.parent for path in config.runs.glob("*/config.yaml")):
        values = read_yaml(folder / "config.yaml") or {}
        if _sections(values) == recipe and is_finished_trial(folder):
            trial = read_trial(folder)
            if paired != (len(set(trial.assignment.seed_offsets)) == 1):
                continue
            noise = power.trial_noise(trial.measures, trial.sets, trial.assignment)
            found += [noise] if noise.total > 0 else []
    if not found:
        demo = ModelNoise(power.DEMO_NOISE, power.DEMO_CORRELATION, AS_IN_DEMO)
        return demo if unit == BITS else None
    total = float(np.mean([noise.total for noise in found]))
    shared = float(np.mean([noise.shared for noise in found]))
    return ModelNoise(math.sqrt(total), shared / total, AS_IN_RUNS, len(found))


def _sections(values: Any) -> tuple[Data, GeneratorConfig] | None:
    """Return data and model of a run's settings; None if they are of another version."""
    try:
        return Data.model_validate(values["data"]), GeneratorConfig.model_validate(
            values["generator"]
        )
    except (ValidationError, KeyError, TypeError):
        return None

"""SimulatedPower of a randomised trial, before it is run: which effects would its tests find?

Trials are simulated in worlds of Gaussian noise and tested as real ones are: by the exact test for
a query, and against re-drawn assignments for all queries. A world in which a constant effect θ
is added moves each drawn statistic by no more than the observed one, in proportion to θ, so
every world has one *critical effect*: the smallest that is found in it. It is an order statistic,
as the ends of the interval are (see `untrain.evaluation.randomisation`), and in units of the noise
it depends only on the design: one simulation gives the power for all effects and noise levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.stats import norm

from untrain.core.files import rng
from untrain.core.vocabulary import is_decisive
from untrain.counterfactual.design import Assignment, aligned, balanced_halves
from untrain.evaluation.measurement import primary
from untrain.evaluation.outcomes import complete, outcomes
from untrain.evaluation.randomisation import can_enumerate, every_half
from untrain.evaluation.variance import VarianceComponents, centring, variance_components

DEMO_NOISE = 0.17
DEMO_CORRELATION = 0.0
"""Of seeds 11 to 20 of the demo with rate 3e-3 and temperature 0.8:
``python benchmarks/calibrate_verdicts.py runs/seed-*``."""

MEASURED = {"the demo": 3.8, "4,847 real photos": 0.013}
"""Overall effects of ten images found for a prompt, in bits a token: what is to be expected, from
docs/results/README.md and docs/results/ten-sets.md."""

POWER = 0.8
_CELLS = 4_000_000  # numbers in memory at once
_SIMULATED_MODELS = 32  # above that, the formula is as good
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class SimulatedPower:
    """What the tests of a trial say in simulated worlds, in standard deviations of the noise.

    Attributes
    ----------
    critical : ndarray, shape (worlds,)
        The smallest effect that is found at the level; infinite if none can be.
    low, high : ndarray, shape (worlds,)
        The 95 % interval where there is no effect; a constant effect moves both by its size.
    """

    critical: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def found(self, effect: float, sd: float = 1.0) -> float:
        """Return the probability that an effect is found; ``sd`` is the noise in the same units."""
        return float(np.mean(self.critical * sd <= effect))

    def detectable(self, sd: float = 1.0, power: float = POWER) -> float:
        """Return the smallest effect that is found with probability ``power``; may be infinite."""
        return float(np.quantile(self.critical, power, method="inverted_cdf")) * sd

    def not_attributable(self, margin: float, sd: float = 1.0, effect: float = 0.0) -> float:
        """Return the probability of the verdict "not attributable" for the margin ±``margin``."""
        inside = (self.low * sd + effect > -margin) & (self.high * sd + effect < margin)
        return float(np.mean(inside & (self.critical * sd > effect)))


@lru_cache(maxsize=64)
def simulate(
    n_models: int,
    n_queries: int = 1,
    alpha: float = 0.05,
    correlation: float = 0.0,
    worlds: int = 1000,
    draws: int = 999,
    seed: int = 0,
) -> SimulatedPower:
    """Simulate the test of one query, or of the mean over queries that each have a forget set.

    Parameters
    ----------
    n_models : int
        M, even and at least 4.
    n_queries : int
        1 for a single query, tested against all halves of the models where they can be enumerated;
        more for the overall test against ``draws`` re-drawn assignments.
    alpha : float
        Level of the one-sided test.
    correlation : float
        Of the noise of two queries over models, from 0 to 1. It hardly matters: sets are left
        out of different models, which averages what queries share like the rest. It only makes the
        spread of the null distribution vary more from trial to trial.
    worlds, draws, seed : int
        Number of simulated trials and of re-drawn assignments; seed of both.
    """
    generator = rng("power", seed, n_models, n_queries)
    one = n_queries == 1 and can_enumerate(n_models)
    null = every_half(n_models) if one else balanced_halves((draws, n_queries, n_models), generator)
    contrast = (null.reshape(len(null), -1) - 0.5) * (4 / (n_queries * n_models))
    shared = min(max(correlation, 0.0), 1.0)
    noise = VarianceComponents(shared, 1 - shared)
    chunk = max(1, _CELLS // len(null))
    parts = []
    for start in range(0, worlds, chunk):
        n = min(chunk, worlds - start)
        out = balanced_halves((n, n_queries, n_models), generator).reshape(n, -1) - 0.5
        y = simulated_noise(generator, noise, (n, n_queries, n_models)).reshape(n, -1)
        parts.append(_limits(y, out, contrast, alpha, observed_in_null=one))
    return SimulatedPower(*np.concatenate(parts, axis=1))


def simulated_noise(
    generator: np.random.Generator, noise: VarianceComponents, shape: tuple[int, ...]
) -> np.ndarray:
    """Draw Gaussian outcomes of ``shape`` (…, queries, models) with shared and own noise."""
    shared = math.sqrt(max(noise.shared, 0.0)) * generator.normal(size=(*shape[:-2], 1, shape[-1]))
    return shared + math.sqrt(noise.own) * generator.normal(size=shape)


def _limits(
    y: np.ndarray, out: np.ndarray, contrast: np.ndarray, alpha: float, observed_in_null: bool
) -> np.ndarray:
    """Return critical effect, low and high of each world, shape (3, worlds).

    With the effect θ, draw d is in the tail of p while gap_d ≥ θ · (1 − overlap_d), so it
    leaves the tail at θ = gap_d / (1 − overlap_d); draws equal to the observed one never leave.
    """
    scale = 4 / out.shape[1]
    gap = y @ contrast.T - scale * np.einsum("wi,wi->w", y, out)[:, None]
    kept = 1 - out @ contrast.T
    same = kept < _TIE
    leaves = np.divide(gap, kept, out=np.full_like(gap, -np.inf), where=~same)
    stay = same.sum(axis=1) + (not observed_in_null)
    total = len(contrast) + (not observed_in_null)
    level, tail = (math.floor(share * total + _TIE) - stay for share in (alpha, 0.025))
    critical, low = _ranked(leaves, level), -_ranked(leaves, tail)
    np.negative(leaves, out=leaves, where=~same)
    return np.stack([critical, low, _ranked(leaves, tail)])


def _ranked(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return, for each row, the value at a place from the top (0 is the largest); ∞ below 0."""
    known = np.unique(places[places >= 0])
    if not len(known):
        return np.full(len(values), np.inf)
    ordered = -np.partition(-values, known, axis=1)
    picked = np.take_along_axis(ordered, np.maximum(places, 0)[:, None], axis=1)[:, 0]
    return np.where(places < 0, np.inf, picked)


def needed_models(
    effect: float, sd: float, n_queries: int = 1, alpha: float = 0.05, power: float = POWER
) -> int:
    """Return the smallest even number of models with which an effect is found.

    Up to 32 models it is simulated, above that it is the normal approximation: the estimate
    varies by 4σ²/(Mn) and the null distribution by 4(σ² + θ²/4)/(Mn), because the effect is part of
    what is re-drawn, so M = (4/n) · ((z_power σ + z_α √(σ² + θ²/4)) / θ)².

    Parameters
    ----------
    effect, sd : float
        Above 0, in the same units.
    n_queries, alpha
        As for `simulate`.
    power : float
        Probability with which it should be found.
    """
    reach = norm.ppf(power) * sd + norm.ppf(1 - alpha) * math.hypot(sd, effect / 2)
    guess = max(4, 2 * math.ceil(2 * (reach / effect) ** 2 / n_queries))
    if guess > _SIMULATED_MODELS:
        return guess

    def enough(n_models: int) -> bool:
        return simulate(n_models, n_queries, alpha).detectable(sd, power) <= effect

    while guess > 4 and enough(guess - 2):
        guess -= 2
    while not enough(guess):
        guess += 2
    return guess


def models_for_equivalence(margin: float, sd: float, power: float = POWER) -> int:
    """Return an even number of models with which no effect is called not attributable.

    The normal approximation: the 95 % interval reaches z₀.₉₇₅ · 2σ/√M to either side and must lie
    within ±margin, so M = (2σ (z₀.₉₇₅ + z_{(1 + power)/2}) / margin)².

    Parameters
    ----------
    margin, sd : float
        Above 0, in the same units.
    power : float
        Probability of the verdict where there is no effect.

    Examples
    --------
    >>> models_for_equivalence(0.1, 0.17)
    122
    """
    reach = norm.ppf(0.975) + norm.ppf((1 + power) / 2)
    return max(4, 2 * math.ceil(2 * (reach * sd / margin) ** 2))


def models_for_holm(n_queries: int, alpha: float = 0.05) -> int:
    """Return the smallest even M with which one query of n can be significant after Holm."""
    n_models = 4
    while n_queries / math.comb(n_models, n_models // 2) > alpha:
        n_models += 2
    return n_models


def trial_noise(
    measures: pd.DataFrame, sets: pd.DataFrame, assignment: Assignment
) -> VarianceComponents:
    """Return the variances of a query's mean NLL between the paired models of a finished trial.

    They are taken among the models that *have* the prompt's own images. Everything else that
    differs between those (mostly which other sets were removed) is noise, as it is in the trial.
    The effect of the prompt's own images is not: a large effect varies between models too, which
    says little about whether a small one would be found.

    Parameters
    ----------
    measures, sets, assignment
        As for `untrain.evaluation.effects.trial_effects`.

    Returns
    -------
    VarianceComponents
        In squared units of the measure; ``total ** 0.5`` is the standard deviation and
        ``correlation`` that of two queries. NaN where no two models can be compared.
    """
    asked = primary(measures)
    table = outcomes(measures[measures["measure"] == asked])[asked]
    table, _ = complete(table, assignment.model_ids, asked)
    y = table[list(assignment.model_ids)].to_numpy(np.float64)
    placed = aligned(sets, assignment)
    decisive = placed[placed["arm"].map(is_decisive).astype(bool)].sort_values("k")
    # A forget set that rankings share has a row for each.
    decisive = decisive[~decisive.set_index("prompt_id", append=True).index.duplicated()]
    makers = []
    for prompt_id in table.index:
        own = assignment.out[decisive.index[decisive["prompt_id"] == prompt_id]]
        chosen = np.ones(y.shape[1], bool) if not len(own) else ~own[0]
        makers.append(centring(chosen, own[1:]))  # nested sizes have further increments
    return variance_components(y, np.stack(makers))

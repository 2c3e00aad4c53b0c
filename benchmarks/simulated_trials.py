"""Power and coverage by simulation, in worlds that are as noisy as a bank was measured to be.

What the assumptions of a method cost can only be seen where they fail, so a `World` may have
effects that differ between prompts and between models, heavy tails, and sets that move other
queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from case_pairs import pairs_error
from untrain.counterfactual.design import balanced_halves
from untrain.evaluation.power import simulated_noise
from untrain.evaluation.randomisation import (
    can_enumerate,
    every_half,
    randomisation_test,
    with_observed,
)
from untrain.evaluation.variance import VarianceComponents

_TIE = 1e-9


def trial_power(
    noise: VarianceComponents,
    n_models: int,
    n_prompts: int,
    effects: Sequence[float],
    generator: np.random.Generator,
    draws: int = 1000,
    assignments: int = 25,
    worlds: int = 40,
    alpha: float = 0.05,
) -> np.ndarray:
    """Return how often the exact one-sided test of a trial rejects, for each true effect.

    Parameters
    ----------
    noise : VarianceComponents
    n_models, n_prompts : int
        M, even and at least 4, and the number of sets of the arm; with one prompt the test is
        against all halves, as for a single query.
    effects : sequence of float
        Constant effects, 0 for the false-positive rate.
    draws, assignments, worlds : int
        Assignments in the null distribution; how many of them are taken as the observed one in
        turn; outcomes simulated for each.

    Returns
    -------
    ndarray, shape (effects,)
    """
    if n_prompts == 1 and can_enumerate(n_models):
        null = every_half(n_models)
    else:
        null = balanced_halves((draws, n_prompts, n_models), generator)
    flat = null.reshape(len(null), -1) - 0.5
    contrast = flat * (4 / flat.shape[1])
    hits = np.zeros(len(effects))
    for seen in generator.integers(len(null), size=assignments):
        y = simulated_noise(generator, noise, (worlds, n_prompts, n_models)).reshape(worlds, -1)
        drawn, moved = y @ contrast.T, contrast @ (flat[seen] + 0.5)
        for i, effect in enumerate(effects):
            statistic = drawn + effect * moved
            p = (statistic >= statistic[:, [seen]] - _TIE).mean(axis=1)
            hits[i] += np.count_nonzero(p <= alpha + _TIE)
    return hits / (assignments * worlds)


def pairs_power(
    noise: VarianceComponents,
    n_pairs: int,
    n_prompts: int,
    effects: Sequence[float],
    alpha: float = 0.05,
) -> np.ndarray:
    """Return the power of a one-sided t test over independent pairs of models.

    Each pair has a seed of its own. The test is valid because pairs are its unit, not prompts; it
    needs at least two of them. From the noncentral t distribution, shape (effects,).
    """
    error = pairs_error(noise, n_pairs, n_prompts)
    critical = stats.t.ppf(1 - alpha, n_pairs - 1)
    return np.asarray(stats.nct.sf(critical, n_pairs - 1, np.asarray(effects) / error))


def prompts_rejections(
    noise: VarianceComponents,
    n_prompts: int,
    effects: Sequence[float],
    generator: np.random.Generator,
    worlds: int = 20_000,
    alpha: float = 0.05,
) -> np.ndarray:
    """Return how often a one-sided t test over the prompts of one pair rejects, shape (effects,).

    With the effect 0 it is the false-positive rate of a test that takes what the prompts of a pair
    have in common for evidence.
    """
    y = simulated_noise(generator, noise, (worlds, n_prompts, 2))
    changes = y[..., 0] - y[..., 1]
    mean, error = changes.mean(axis=1), changes.std(axis=1, ddof=1) / math.sqrt(n_prompts)
    critical = stats.t.ppf(1 - alpha, n_prompts - 1)
    return np.array([np.mean(mean + effect > critical * error) for effect in effects])


@dataclass(frozen=True)
class World:
    """How effects and outcomes behave; the mean effect is zero.

    Attributes
    ----------
    name : str
        For tables.
    prompts_sd : float
        Spread of the effect between prompts.
    rare : bool
        The spread between prompts comes from one prompt in sixteen alone.
    models_sd : float
        Spread of a prompt's effect between models (what else they lack).
    in_step : bool
        The effects of all prompts rise and fall together between models.
    heavy : bool
        Student's t with three degrees of freedom in place of Gaussian own noise.
    cross_sd, cross_mean : float
        What every other set (three arms) does to a query that is not its own.
    of_population : bool
        Is the interval held against the mean of all prompts of this kind (0), or of these ones?
    """

    name: str
    prompts_sd: float = 0.0
    rare: bool = False
    models_sd: float = 0.0
    in_step: bool = False
    heavy: bool = False
    cross_sd: float = 0.0
    cross_mean: float = 0.0
    of_population: bool = False


@dataclass(frozen=True)
class Coverage:
    """What became of nominal 95 % intervals and of tests at 5 % (one-sided), over simulations."""

    covered: float
    false_positives: float
    half_width: float
    error: float
    """Root mean square of estimate − truth."""


def coverage(
    world: World,
    noise: VarianceComponents,
    n_models: int,
    n_prompts: int,
    generator: np.random.Generator,
    sims: int = 400,
    draws: int = 999,
    alpha: float = 0.05,
) -> Coverage:
    """Simulate trials in a world and hold their intervals against the true mean effect.

    A false positive is a rejection, one-sided, where the truth (of these prompts, or of the
    population) is moved to zero.
    """
    redrawn = balanced_halves((draws, n_prompts, n_models), generator)
    rows = np.empty((sims, 4))
    for sim in range(sims):
        everything = balanced_halves((1, 3 * n_prompts, n_models), generator)[0]
        out = everything[:n_prompts]
        y, truth = _outcomes(world, noise, everything, generator)
        result = randomisation_test(y - truth * out, out, with_observed(out, redrawn))
        covered = result.low <= 0 <= result.high
        width = (result.high - result.low) / 2
        rows[sim] = covered, result.p_value <= alpha + _TIE, width, result.effect**2
    means = rows.mean(axis=0)
    return Coverage(means[0], means[1], float(np.median(rows[:, 2])), math.sqrt(means[3]))


def _outcomes(
    world: World, noise: VarianceComponents, everything: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return outcomes of the first third of the sets' queries, and the true mean effect."""
    n_sets, n_models = everything.shape
    n_prompts = n_sets // 3
    effects = world.prompts_sd * generator.normal(size=n_prompts)
    if world.rare:
        effects = 4 * effects * (generator.random(n_prompts) < 1 / 16)
    truth = 0.0 if world.of_population else float(effects.mean())
    y = simulated_noise(generator, noise, (n_prompts, n_models))
    if world.heavy:
        tails = generator.standard_t(3, size=y.shape) / math.sqrt(3)
        y = (
            simulated_noise(generator, VarianceComponents(noise.shared, 0.0), y.shape)
            + math.sqrt(noise.own) * tails
        )
    own = generator.normal(size=(1, n_models) if world.in_step else y.shape)
    y = y + everything[:n_prompts] * (effects[:, None] + world.models_sd * own)
    if world.cross_sd or world.cross_mean:
        cross = world.cross_mean + world.cross_sd * generator.normal(size=(n_prompts, n_sets))
        cross[np.arange(n_prompts), np.arange(n_prompts)] = 0.0
        y = y + cross @ everything
    return y, truth

import numpy as np
import pytest

from untrain.counterfactual.design import balanced_halves
from untrain.evaluation.power import simulated_noise
from untrain.evaluation.variance import VarianceComponents, centring, variance_components


def outcomes(noise: VarianceComponents, n_queries: int, n_models: int, seed: int):
    """Outcomes with a big effect of each query's own set, and its assignments."""
    generator = np.random.default_rng(seed)
    out = balanced_halves((n_queries, n_models), generator)
    own = generator.normal(size=(n_queries, 1)) + 3 * out
    return own + simulated_noise(generator, noise, (n_queries, n_models)), out


def test_noise_is_found_whatever_was_removed_on_purpose():
    truth = VarianceComponents(shared=0.09, own=0.16)
    found = []
    for seed in range(200):
        y, out = outcomes(truth, 12, 8, seed)
        makers = np.stack([centring(np.ones(8, bool), [row]) for row in out])
        found.append(variance_components(y, makers))
    assert np.mean([n.shared for n in found]) == pytest.approx(0.09, abs=0.01)
    assert np.mean([n.own for n in found]) == pytest.approx(0.16, abs=0.01)


def test_noise_of_the_models_that_had_the_images():
    y, out = outcomes(VarianceComponents(0.0, 1.0), 400, 8, seed=0)
    y += 2 * np.random.default_rng(1).normal(size=y.shape) * out  # models without vary more
    within = variance_components(y, np.stack([centring(~row) for row in out]))
    without = variance_components(y, np.stack([centring(row) for row in out]))
    assert within.total == pytest.approx(1, abs=0.1)
    assert without.total == pytest.approx(5, abs=0.5)

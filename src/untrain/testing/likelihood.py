"""Checks of `log_likelihood`."""

from __future__ import annotations

import numpy as np

from untrain.testing.bench import (
    Bench,
)
from untrain.testing.shared import disturb, likelihood_of, near


def check_likelihood(bench: Bench) -> None:
    """It is finite, a row a picture."""
    _, found = likelihood_of(bench)
    n = len(bench.captions)
    assert found.ndim == 2 and len(found) == n and found.shape[1] > 0, (
        f"log_likelihood gave {found.shape} for {n} pictures; expected ({n}, terms)"
    )
    assert found.dtype.kind == "f" and np.isfinite(found).all(), (
        "log_likelihood is not finite, or not of floats"
    )


def check_likelihood_is_repeatable(bench: Bench) -> None:
    """Times and noise of its terms are fixed: asked again it says the same."""
    generator, found = likelihood_of(bench)
    disturb()
    again = bench.likelihood(generator, bench.pairs(generator), bench.captions)
    assert near(again, found), (
        f"asked again, log_likelihood says something else (by {np.abs(again - found).max():.3g}): "
        "draw times and noise of its terms from a fixed seed, the same for all models"
    )


def check_likelihood_does_not_depend_on_its_batch(bench: Bench) -> None:
    """Row i depends only on sample i and prompt i."""
    generator, found = likelihood_of(bench)
    samples = bench.pairs(generator)
    alone = [
        bench.likelihood(generator, samples[i : i + 1], [caption])[0]
        for i, caption in enumerate(bench.captions)
    ]
    turned = bench.likelihood(generator, samples[::-1].copy(), bench.captions[::-1])[::-1]
    for values, how in ((np.stack(alone), "alone"), (turned, "in another order")):
        assert near(values, found), (
            f"asked {how}, log_likelihood of the same pictures differs (by "
            f"{np.abs(values - found).max():.3g}): draw what is random in its terms by the "
            "picture, not by its place in the batch"
        )

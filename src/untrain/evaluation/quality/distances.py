"""How far generated pictures are, as a set, from real photos of the same kinds.

The Fréchet distance (M. Heusel et al., 2017, *GANs trained by a two time-scale update rule*) and
the kernel distance (M. Bińkowski et al., 2018, *Demystifying MMD GANs*) compare sets of features.
The judge's features take the place of Inception's, so their values compare with nothing but the
floor: the same distance between real photos and as many other real photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import eigh, eigvalsh

from untrain.core.files import rng

AXES = 64  # principal components that the Fréchet distance is over; fewer of few pictures
DRAWS = 20  # of real photos to compare with
FEWEST = 8  # pictures that a distance is computed of
MOST = 1000  # real photos of a draw


def frechet_distance(one: np.ndarray, two: np.ndarray) -> float:
    """Return the Fréchet distance of normal distributions fitted to two sets of features.

    |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), in the square of the features' unit. It is too large for
    small sets, and the more so the more dimensions there are.

    Parameters
    ----------
    one, two : ndarray, (n, d) and (m, d)
        Two or more rows each.
    """
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (one, two))
    values, axes = eigh(first)
    root = axes * np.sqrt(np.maximum(values, 0)) @ axes.T
    # Σ₁ Σ₂ has the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which is symmetric even where it is singular.
    common = np.sqrt(np.maximum(eigvalsh(root @ second @ root), 0)).sum()
    spread = np.trace(first) + np.trace(second) - 2 * common
    return float(((one.mean(0) - two.mean(0)) ** 2).sum() + max(spread, 0.0))


def kernel_distance(one: np.ndarray, two: np.ndarray) -> float:
    """Return the unbiased squared maximum mean discrepancy of two sets of features.

    The kernel is (x·y / d + 1)³. Of two samples of one distribution it is zero on average, so it
    may be below zero.

    Parameters
    ----------
    one, two : ndarray, (n, d) and (m, d)
        Two or more rows each.
    """

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    def within(x: np.ndarray) -> float:
        each = kernel(x, x)
        return float((each.sum() - np.trace(each)) / (len(x) * (len(x) - 1)))

    return within(one) + within(two) - 2 * float(kernel(one, two).mean())


def distances(
    drawn: np.ndarray,
    kinds: Sequence[str],
    real: np.ndarray,
    real_kinds: Sequence[str],
    seed: int = 0,
) -> dict[str, Any] | None:
    """Return how far generated pictures are from real photos of their kinds, and real ones are.

    Each of `DRAWS` draws takes one real photo in place of each generated picture, of its kind and
    none twice, and compares both with the real photos of these kinds that are left. Pictures of
    kinds with too few photos are left out.

    Parameters
    ----------
    drawn, real : ndarray, (n, d) and (m, d)
        Features of generated pictures and of different real photos, on the principal axes of the
        real ones (`untrain.evaluation.quality.judge.Space`), the largest first.
    kinds, real_kinds : sequence of str
        What each generated picture should show, and what each real photo shows.
    seed : int

    Returns
    -------
    dict or None
        ``frechet`` and ``kernel`` with their floors, ``frechet_floor`` and ``kernel_floor``, means
        over draws; the largest floor of a draw as ``…_floor_high``; ``pictures`` and ``photos``
        compared; ``axes`` of the Fréchet distance. None if there are fewer than `FEWEST` pictures.
    """
    wanted, shown = np.asarray(kinds), np.asarray(real_kinds)
    pools = {kind: np.flatnonzero(shown == kind) for kind in np.unique(wanted)}
    # A kind serves as many pictures as leave as many photos over to compare with.
    taken = {kind: np.flatnonzero(wanted == kind)[: len(pool) // 2] for kind, pool in pools.items()}
    rows = np.concatenate([*taken.values(), np.array([], int)]).astype(int)
    if len(rows) < FEWEST:
        return None
    axes = min(AXES, len(rows) // 2, real.shape[1])
    found: list[tuple[float, ...]] = []
    photos = 0
    for draw in range(DRAWS):
        random = rng("distance", seed, draw)
        instead, rest = [], []
        for kind, pool in pools.items():
            mixed, n = random.permutation(pool), len(taken[kind])
            instead.append(mixed[:n])
            # The same mix of kinds on both sides: otherwise the mix would count as a distance.
            rest.append(mixed[n : n + n * _times(pools, taken)])
        a, b, c = drawn[rows], real[np.concatenate(instead)], real[np.concatenate(rest)]
        photos = len(c)
        found.append(
            (
                frechet_distance(a[:, :axes], c[:, :axes]),
                frechet_distance(b[:, :axes], c[:, :axes]),
                kernel_distance(*_unit(a, c)),
                kernel_distance(*_unit(b, c)),
            )
        )
    mean, high = np.mean(found, axis=0), np.max(found, axis=0)
    return {
        "frechet": float(mean[0]),
        "frechet_floor": float(mean[1]),
        "frechet_floor_high": float(high[1]),
        "kernel": float(mean[2]),
        "kernel_floor": float(mean[3]),
        "kernel_floor_high": float(high[3]),
        "pictures": len(rows),
        "photos": photos,
        "axes": axes,
    }


def _times(pools: dict[str, np.ndarray], taken: dict[str, np.ndarray]) -> int:
    """Return how many real photos there are for each picture, of every kind."""
    used = [(len(pools[kind]), len(rows)) for kind, rows in taken.items() if len(rows)]
    most = MOST // sum(n for _, n in used)
    return max(1, min(most, *((pool - n) // n for pool, n in used)))


def _unit(drawn: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale both sets so that a real photo's feature is one in the mean of squares."""
    scale = np.sqrt((real**2).mean())
    return drawn / scale, real / scale

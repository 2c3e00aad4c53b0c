"""A judge: a linear classifier of real photos that knows how often it is right, and abstains.

Multinomial logistic regression on principal components of the features, calibrated by temperature
(C. Guo et al., 2017, *On calibration of modern neural networks*). All that is said about how good
it is comes from photos that it did not see (five folds). Of these it also learns when to be silent:
below a confidence at which it would be wrong too often (selective classification: C. K. Chow, 1970;
Y. Geifman and R. El-Yaniv, 2017).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from untrain.core.parallel import in_threads
from untrain.core.threads import one_thread_a_product

COMPONENTS = 500
FOLDS = 5
STRENGTHS = (1.0, 5.0, 25.0)  # inverse strengths of the ridge that are tried
TARGETS = (0.9, 0.85)  # of the photos that it answers, how many it must be right about
ANSWERS = 0.5  # the most demanding target at which it still answers this share is taken
ITERATIONS = 150


@dataclass(frozen=True)
class Answers:
    """What a judge says of some pictures.

    Attributes
    ----------
    seen : ndarray of str, (n,)
        What each shows most probably.
    confidence : ndarray of float, (n,)
        The probability of that, calibrated on real photos.
    answered : ndarray of bool, (n,)
        Whether the judge is confident enough to be counted.
    """

    seen: np.ndarray
    confidence: np.ndarray
    answered: np.ndarray


@dataclass(frozen=True)
class Judge:
    """A judge and what it said of real photos that it had not seen; made by `train_judge`.

    Attributes
    ----------
    asked : ndarray of str, (n,)
        The true name of each real photo.
    weights : ndarray of float, (n,)
        How many photos of the catalogue each stands for.
    held_out : Answers
        On the same photos, each by a model trained without it.
    threshold : float
        Confidence from which it answers; 0 where it need not abstain, above 1 where it is so
        rarely right that it never answers.
    target : float
        Share of the answered photos that it is right about at this threshold, at least.
    """

    asked: np.ndarray
    weights: np.ndarray
    held_out: Answers
    threshold: float
    target: float
    temperature: float
    strength: float
    model: LogisticRegression = field(repr=False)
    space: Space = field(repr=False)

    def __call__(self, features: np.ndarray) -> Answers:
        """Judge pictures by their features, (n, d)."""
        scores = _scores(self.model, self.space.of(features))
        return _answers(scores, self.model.classes_, self.temperature, self.threshold)

    @property
    def right(self) -> np.ndarray:
        """Whether it was right about each real photo, bool (n,)."""
        return self.held_out.seen == self.asked

    def describe(self) -> dict[str, Any]:
        """Return how good it is on real photos that it had not seen, for ``run.json``.

        ``accuracy`` is over all photos, with a 95 % Wilson interval; ``accuracy_answered`` over
        those it answers, ``answered`` their share; ``photos`` and ``classes`` are counts.
        """
        weights, right = self.weights, self.right
        answered = self.held_out.answered
        accuracy = float(np.average(right, weights=weights))
        low, high = wilson(accuracy, weights.sum() ** 2 / (weights**2).sum())
        sure = weights * answered
        return {
            "accuracy": accuracy,
            "low": low,
            "high": high,
            "classes": len(self.model.classes_),
            "photos": len(right),
            "answered": float(sure.sum() / weights.sum()),
            "accuracy_answered": float((sure * right).sum() / sure.sum()) if sure.sum() else None,
            "threshold": self.threshold if np.isfinite(self.threshold) else None,
            "strength": self.strength,
        }


@dataclass(frozen=True)
class Space:
    """Principal components of features, each first scaled to unit variance.

    They are of all photos, held-out ones too, but know no name of any.
    """

    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, components: int = COMPONENTS) -> Space:
        """Return the space of features, (n, d): at most ``components`` axes of mean length one."""
        mean = features.mean(0, dtype=np.float64)
        spread = features.std(0, dtype=np.float64)
        scale = 1 / (spread + 1e-3 * max(spread.mean(), 1e-12))
        scaled = (features - mean) * scale
        n, d = features.shape
        few = n < d  # then the same axes come quicker from products of rows
        products = scaled @ scaled.T if few else scaled.T @ scaled
        top = len(products)
        values, axes = eigh(products, subset_by_index=[max(0, top - components), top - 1])
        kept = values > 1e-9 * values[-1]
        values, axes = values[kept][::-1], axes[:, kept][:, ::-1]
        if few:
            axes = scaled.T @ axes / np.sqrt(values)
        return cls(mean, scale[:, None] * axes / np.sqrt(values.sum() / n))

    def of(self, features: np.ndarray) -> np.ndarray:
        """Return the components of features, float32 (n, components), the largest first."""
        return ((features - self.mean) @ self.axes).astype(np.float32)


def train_judge(
    features: np.ndarray,
    names: np.ndarray,
    weights: np.ndarray | None = None,
    seed: int = 0,
    space: Space | None = None,
) -> Judge:
    """Train a judge on real photos, and have it judge each of them by a model without it.

    Parameters
    ----------
    features : ndarray, (n, d)
        Of different photos: a copy of one would be recognised, not judged.
    names : ndarray of str, (n,)
        Two or more names, each of at least `FOLDS` photos.
    weights : ndarray of float, (n,), optional
        How many photos of the catalogue each stands for. They count in how good the judge is said
        to be, not in training.
    seed : int
        Of the folds.
    space : Space, optional
        The components to learn on; by default those of ``features``.

    Notes
    -----
    The strength of the ridge is chosen for each fold without it, by the log loss of one part in
    four of the other photos; the final model has the strength chosen most often.
    """
    weights = np.ones(len(names)) if weights is None else np.asarray(weights, float)
    space = space or Space.fit(features)
    x = space.of(features)
    classes, y = np.unique(names, return_inverse=True)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y)
    parts = [held for _, held in folds]
    rest = [np.setdiff1d(np.arange(len(y)), held) for held in parts]

    def loss(number: int, strength: float) -> float:
        """Of a part of the photos, for a model that saw neither it nor those held out."""
        inner = parts[(number + 1) % FOLDS]
        outer = np.setdiff1d(rest[number], inner)
        tried = _scores(_fit(x[outer], y[outer], strength), x[inner])
        return _log_loss(tried, y[inner], weights[inner])

    def held_out(number: int) -> np.ndarray:
        model = _fit(x[rest[number]], y[rest[number]], chosen[number])
        return _scores(model, x[parts[number]])

    tries = [(number, strength) for number in range(FOLDS) for strength in STRENGTHS]
    with one_thread_a_product():
        losses = dict(zip(tries, in_threads(lambda each: loss(*each), tries), strict=True))
        chosen = [min(STRENGTHS, key=lambda s: losses[number, s]) for number in range(FOLDS)]
        scores = np.zeros((len(y), len(classes)))
        for held, found in zip(parts, in_threads(held_out, range(FOLDS)), strict=True):
            scores[held] = found
    temperature = _temperature(scores, y, weights)
    threshold, target = _threshold(scores / temperature, y, weights)
    strength = max(STRENGTHS, key=chosen.count)
    model = _fit(x, y, strength)
    model.classes_ = classes
    said = _answers(scores, classes, temperature, threshold)
    return Judge(names, weights, said, threshold, target, temperature, strength, model, space)


def wilson(share: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share of ``n`` (E. B. Wilson, 1927).

    Examples
    --------
    >>> [round(limit, 3) for limit in wilson(0.9, 100)]
    [0.826, 0.945]
    """
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # At 0 and 1 the interval ends there; rounding must not put the share outside.
    return float(max(0.0, min(share, centre - half))), float(min(1.0, max(share, centre + half)))


def _fit(x: np.ndarray, y: np.ndarray, strength: float) -> LogisticRegression:
    with warnings.catch_warnings():  # held-out photos say whether it was enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=ITERATIONS).fit(x, y)


def _scores(model: LogisticRegression, x: np.ndarray) -> np.ndarray:
    """Return the logits, float64 (n, classes); of two classes, too."""
    found = model.decision_function(x).astype(np.float64)
    return np.stack([-found / 2, found / 2], 1) if found.ndim == 1 else found


def _log_loss(scores: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    each = log_softmax(scores, axis=1)[np.arange(len(y)), y]
    return -float(np.average(each, weights=weights))


def _temperature(scores: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return what logits are to be divided by, for the likeliest probabilities."""
    found = minimize_scalar(
        lambda log: _log_loss(scores / np.exp(log), y, weights), bounds=(-3, 3), method="bounded"
    )
    return float(np.exp(found.x))


def _threshold(scores: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the confidence from which the judge is right often enough, and how often that is."""
    confidence = np.exp(log_softmax(scores, axis=1).max(1))
    order = np.argsort(-confidence, kind="stable")
    right, sure = (scores.argmax(1) == y)[order] * weights[order], np.cumsum(weights[order])
    accuracy, share = np.cumsum(right) / sure, sure / sure[-1]
    for target in TARGETS:
        enough = np.flatnonzero(accuracy >= target)
        if len(enough) and share[enough[-1]] >= ANSWERS:
            last = enough[-1]
            return (0.0 if last == len(y) - 1 else float(confidence[order][last])), target
    return float("inf"), TARGETS[-1]


def _answers(
    scores: np.ndarray, classes: np.ndarray, temperature: float, threshold: float
) -> Answers:
    confidence = np.exp(log_softmax(scores / temperature, axis=1).max(1))
    return Answers(classes[scores.argmax(1)], confidence, confidence >= threshold)

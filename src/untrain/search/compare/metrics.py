"""The metrics of nearness, one record each: what a new one needs is a record here.

Importing this computes nothing and loads no library: reports and settings only ask for names.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from untrain.core.registry import Registry

if TYPE_CHECKING:
    import numpy as np

Needs = Literal["pixels", "features", "pooled", "captions", "words"]
"""Pictures of one size; features; pooled features; captions; an encoder that reads words."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of pictures by themselves, whatever they are compared with.

    Attributes
    ----------
    hashes : ndarray of bool, shape (n, 64)
        `untrain.search.compare.extra.perceptual_hashes`.
    histograms : ndarray, shape (n, 512)
        `untrain.search.compare.pixel.colour_histograms`, at the pictures' own size.
    """

    hashes: np.ndarray
    histograms: np.ndarray


@dataclass(frozen=True, eq=False)
class Sides:
    """The generated pictures of a prompt and its candidates, in each form that a metric reads.

    Attributes
    ----------
    generated, candidates : sequence of ndarray of uint8, each H×W×3
        g and n pictures, of any size.
    features : pair of ndarray of float, shapes (g, d) and (n, d)
    pooled : pair of ndarray of float, shapes (g, p) and (n, p), optional
    text : mapping of str to ndarray of float, shape (n,)
        Similarity of the prompt to each candidate: ``tfidf`` to its caption, ``clip`` to its
        picture.
    known : Known, optional
        Of the candidates.
    """

    generated: Sequence[np.ndarray]
    candidates: Sequence[np.ndarray]
    features: tuple[np.ndarray, np.ndarray]
    pooled: tuple[np.ndarray, np.ndarray] | None = None
    text: Mapping[str, np.ndarray] = field(default_factory=dict)
    known: Known | None = None

    @cached_property
    def resized(self) -> tuple[np.ndarray, np.ndarray]:
        """All pictures at their common mean size, uint8 (g, H, W, 3) and (n, H, W, 3)."""
        from untrain.search.compare.pixel import resize_folder

        folder = resize_folder([*self.generated, *self.candidates])
        return folder[: len(self.generated)], folder[len(self.generated) :]

    @cached_property
    def hashes(self) -> tuple[np.ndarray, np.ndarray]:
        """Perceptual hashes: of the pictures as they are, whatever else is compared."""
        from untrain.search.compare.extra import perceptual_hashes

        known = self.known.hashes if self.known else perceptual_hashes(self.candidates)
        return perceptual_hashes(self.generated), known

    @cached_property
    def histograms(self) -> tuple[np.ndarray, np.ndarray]:
        """Colours of all pictures at their common size: float64 counts (g, 512) and (n, 512)."""
        from untrain.search.compare.pixel import colour_histograms

        generated, candidates = self.resized
        if self.known is None:
            return colour_histograms(generated), colour_histograms(candidates)
        known = self.known.histograms.astype(float)
        shape = candidates.shape[1:]
        other = [row for row, picture in enumerate(self.candidates) if picture.shape != shape]
        known[other] = colour_histograms(candidates[other])
        return colour_histograms(generated), known

    def has(self, needs: Needs) -> bool:
        """Tell whether what a metric needs was given."""
        given = {"pooled": self.pooled is not None}
        given |= {"captions": "tfidf" in self.text, "words": "clip" in self.text}
        return given.get(needs, True)


@dataclass(frozen=True)
class Step:
    """One computation, which gives one metric or several that share most of their work.

    Attributes
    ----------
    name : str
    needs : str
        One of `Needs`.
    compute : callable
        `Sides` → dict from the name of each metric to ndarray of float64, shape (g, n), or what
        broadcasts to it.
    """

    name: str
    needs: Needs
    compute: Callable[[Sides], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Metric:
    """A measure of how near two pictures, or a prompt and a picture, are.

    Attributes
    ----------
    name : str
        The column of a comparison.
    label : str
        Its name for people, short enough for a narrow column.
    higher_is_nearer : bool
    step : Step
        What computes it.
    why_undefined : str
        What it means if there is no value.
    study_weight : float, optional
        Its weight in the score of Aivalis et al. (2025), of which the lowest is the nearest: set
        by hand there, never fitted.
    """

    name: str
    label: str
    higher_is_nearer: bool
    step: Step
    why_undefined: str = "no value was given"
    study_weight: float | None = None

    @property
    def needs(self) -> Needs:
        """What must be given for it."""
        return self.step.needs

    @property
    def direction(self) -> int:
        """1 where higher is nearer, −1 where lower is."""
        return 1 if self.higher_is_nearer else -1


def _pixel(sides: Sides) -> dict[str, np.ndarray]:
    from untrain.search.compare.pixel import pixel_metrics

    return _prefixed("pixel", pixel_metrics(*sides.resized, sides.histograms))


def _ssim_standard(sides: Sides) -> dict[str, np.ndarray]:
    from untrain.search.compare.extra import standard_ssim

    return {"pixel_ssim_standard": standard_ssim(*sides.resized)}


def _phash(sides: Sides) -> dict[str, np.ndarray]:
    from untrain.search.compare.extra import hamming

    return {"pixel_phash": hamming(*sides.hashes)}


def _histogram_intersection(sides: Sides) -> dict[str, np.ndarray]:
    from untrain.search.compare.extra import histogram_intersection

    shared = histogram_intersection(*sides.resized, sides.histograms)
    return {"pixel_histogram_intersection": shared}


def _features(sides: Sides) -> dict[str, np.ndarray]:
    from untrain.search.compare.features import feature_metrics

    return _prefixed("feature", feature_metrics(*sides.features))


def _pooled(sides: Sides) -> dict[str, np.ndarray]:
    from untrain.search.compare.features import cosine

    assert sides.pooled is not None
    return {"pooled_cosine": cosine(*sides.pooled)}


def _given(name: str) -> Callable[[Sides], dict[str, np.ndarray]]:
    return lambda sides: {f"text_{name}": sides.text[name][None]}


def _prefixed(prefix: str, metrics: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}_{name}": values for name, values in metrics.items()}


PIXEL = Step("pixel", "pixels", _pixel)
SSIM = Step("pixel_ssim_standard", "pixels", _ssim_standard)
PHASH = Step("pixel_phash", "pixels", _phash)
INTERSECTION = Step("pixel_histogram_intersection", "pixels", _histogram_intersection)
FEATURE = Step("feature", "features", _features)
POOLED = Step("pooled_cosine", "pooled", _pooled)
TFIDF = Step("text_tfidf", "captions", _given("tfidf"))
CLIP = Step("text_clip", "words", _given("clip"))

BLACK = "a picture is black"
SMALL = "the pictures are smaller than 7×7 pixels"
NOT_FINITE = "a feature is NaN or infinite"
KL = "a feature of the generated picture is negative, or one is NaN or infinite"
ZERO = "features are all zero, NaN or infinite"

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        metric.name: metric
        for metric in (
            Metric("pixel_mse", "squared error", False, PIXEL, study_weight=0.0001),
            Metric("pixel_mae", "absolute error", False, PIXEL, study_weight=0.01),
            Metric("pixel_cross_correlation", "covariance", True, PIXEL),
            Metric("pixel_histogram", "colours", True, PIXEL),
            Metric("pixel_cosine", "pixels", True, PIXEL, BLACK, -1.0),
            Metric("pixel_ssim", "structure", True, PIXEL, SMALL, -1.0),
            Metric("pixel_ssim_standard", "standard SSIM", True, SSIM, SMALL),
            Metric("pixel_phash", "perceptual hash", False, PHASH),
            Metric("pixel_histogram_intersection", "shared colours", True, INTERSECTION),
            Metric("feature_cosine", "features", True, FEATURE, ZERO, -1.0),
            Metric("feature_mse", "feature error", False, FEATURE, NOT_FINITE, 1.0),
            Metric("feature_kl", "feature KL", False, FEATURE, KL, 0.00001),
            Metric("feature_manhattan", "feature L1", False, FEATURE, NOT_FINITE, 0.00001),
            Metric("feature_minkowski", "feature L2", False, FEATURE, NOT_FINITE, 0.001),
            Metric("pooled_cosine", "pooled features", True, POOLED, f"pooled {ZERO}"),
            Metric("text_tfidf", "caption", True, TFIDF),
            Metric("text_clip", "meaning", True, CLIP),
        )
    },
)
"""All metrics, in the order of the columns of a comparison."""


def measured(columns: Container[Any]) -> list[str]:
    """Return the metrics that are among the columns of a table, in their own order.

    Parameters
    ----------
    columns : DataFrame or container of str
    """
    return [name for name in METRICS if name in columns]

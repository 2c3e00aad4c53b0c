"""Calibration: from the scores of a set of images to what its removal costs, with an interval.

Scores of an attributor order images; their scale is the method's own. Where removals were measured
(the forget sets of a finished trial, or a bank of random halves) the sum of the scores of a set can
be compared with what its removal did: a calibration is that relation. It is ``linear`` through
zero, or ``isotonic``: whichever has the smaller error on prompts left out.

The interval is a split-conformal one with a scale of its own for each set (Vovk et al. 2005; Lei et
al. 2018, *Distribution-free predictive inference for regression*): residuals of prompts left out,
over √(noise² + absolute² + (relative · effect)²), are compared; ``absolute`` and ``relative`` are
fitted by maximum likelihood, ``noise`` is the measurement's own standard error. Prompts count
alike, however many sets each has, because the sets of a prompt err together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.notes import Note
from untrain.generators.base import Generator

FORMAT = 1
LINEAR, ISOTONIC = "linear", "isotonic"
SCALES = (LINEAR, ISOTONIC)


@dataclass(frozen=True)
class MeasuredSets:
    """Sets of images of one run: the sum of their scores, and what their removal did.

    Attributes
    ----------
    run : str
        The run's name.
    key, catalog, recipe : str
        The fingerprints of its queries, by which it is known again whatever its name, of its
        catalogue, and of its generator's recipe.
    method : str
        Of the scores.
    measure, unit : str
        Of the effects.
    sets : DataFrame
        A row for each set: ``source`` (trial or bank), ``arm``, ``prompt_id``, ``group`` (what
        cross-validation leaves out whole), ``k``, ``score`` (the sum), ``effect`` (above zero:
        worse without) and ``noise``, its standard error.
    """

    run: str
    key: str
    catalog: str
    recipe: str
    method: str
    measure: str
    unit: str
    sets: pd.DataFrame

    def describe(self) -> dict[str, Any]:
        """Return what a calibration keeps of the run that it is fitted on, as JSON holds it."""
        return {
            "name": self.run,
            "key": self.key,
            "catalog": self.catalog,
            "recipe": self.recipe,
            "sets": len(self.sets),
            "prompts": int(self.sets["prompt_id"].nunique()),
            "sources": sorted(set(self.sets["source"])),
        }


@dataclass(frozen=True)
class Calibration:
    """What the removal of images costs, by the sum of their scores.

    Parameters
    ----------
    method : str
        The attributor that the scores are of.
    measure, unit : str
        Of the effects.
    scale : {'linear', 'isotonic'}
    knots : tuple of (float, float)
        Sums of scores, rising, and the effects there. Between them effects are interpolated;
        beyond them a linear scale goes on, an isotonic one stays at its last value.
    absolute, relative : float
        The standard deviation of a prediction's error is √(absolute² + (relative · effect)²).
    reach : float
        How many of them an interval reaches to each side.
    confidence : float
        What share of intervals is to hold the effect; with few prompts less than was asked for.
    about : dict
        What it was fitted on and how well it does; see `untrain.attribution.calibrating`.
    """

    method: str
    measure: str
    unit: str
    scale: str
    knots: tuple[tuple[float, float], ...]
    absolute: float
    relative: float
    reach: float
    confidence: float
    about: dict[str, Any]

    def effect(self, scores: np.ndarray) -> np.ndarray:
        """Return the effects that sums of scores stand for, float64, in ``unit``."""
        return curve(self.scale, self.knots)(np.asarray(scores, np.float64))

    def effects(
        self, scores: np.ndarray, noise: np.ndarray | float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return effects and the limits of their intervals.

        Parameters
        ----------
        scores : ndarray of float, shape (n,)
            Sums of the scores of the images that are removed together.
        noise : ndarray of float, shape (n,), or float
            Standard error of a measurement that the interval is to hold; 0 for the effect itself.
        """
        found = self.effect(scores)
        spread = np.sqrt(noise**2 + self.absolute**2 + (self.relative * found) ** 2)
        return found, found - self.reach * spread, found + self.reach * spread

    def save(self, path: Path) -> None:
        """Write JSON that says what it is and where it comes from."""
        write_json(path, {"kind": "calibration", "format": FORMAT, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            The file is absent, of another kind or format, or a number in it is none.
        """
        try:
            found = read_json(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as a calibration ({error})") from None
        known = isinstance(found, dict) and found.get("kind") == "calibration"
        if not known or found.get("format") != FORMAT:
            raise InputError(
                f"{path}: not a calibration of format {FORMAT}; make one with `untrain calibrate`"
            )
        try:
            read = cls(
                str(found["method"]),
                str(found["measure"]),
                str(found["unit"]),
                str(found["scale"]),
                tuple((float(x), float(y)) for x, y in found["knots"]),
                float(found["absolute"]),
                float(found["relative"]),
                float(found["reach"]),
                float(found["confidence"]),
                dict(found["about"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            text = f"{path}: a part of the calibration is missing or wrong ({error})"
            raise InputError(text) from None
        numbers = [*np.ravel(read.knots), read.absolute, read.relative, read.reach]
        if read.scale not in SCALES or len(read.knots) < 2 or not np.isfinite(numbers).all():
            raise InputError(f"{path}: the scale of the calibration is unknown or not finite")
        return read

    def check(self, unit: str, recipe: str, catalog: str, key: str = "") -> tuple[Note, ...]:
        """Return notes on how far it may be trusted for a model.

        Parameters
        ----------
        unit : str
            In which the model measures its queries.
        recipe, catalog : str
            The fingerprints of the model's recipe and of its catalogue.
        key : str
            Of the run, as in `MeasuredSets`, where it is one's.

        Raises
        ------
        InputError
            It is in another unit.
        """
        if unit != self.unit:
            raise InputError(
                f"the calibration is in {self.unit} and the model is measured in {unit}: "
                "fit one on runs of this kind of generator with `untrain calibrate`"
            )
        runs = self.about.get("runs", [])
        notes = []
        if key and any(about["key"] == key for about in runs):
            text = (
                "the calibration was fitted on this very run: here its intervals look better than "
                "they are"
            )
            notes.append(Note("calibration-of-this-run", text))
        if all(about["recipe"] != recipe for about in runs):
            text = (
                "the calibration was fitted on models of another recipe, whose scores may have "
                "another scale"
            )
            notes.append(Note("calibration-of-other-recipe", text))
        if all(about["catalog"] != catalog for about in runs):
            text = (
                "the calibration was fitted on other training images, for which scores may have "
                "another scale"
            )
            notes.append(Note("calibration-of-other-catalog", text))
        return tuple(notes)


def curve(scale: str, knots: tuple[tuple[float, float], ...]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from sums of scores to effects."""
    x, y = np.array(knots, np.float64).T
    if scale == LINEAR:
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
        return lambda scores: y[0] + slope * (scores - x[0])
    return lambda scores: np.interp(scores, x, y)


def recipe_key(model: Generator) -> str:
    """Return the fingerprint of how a model is trained, whatever its seed."""
    recipe = model.recipe()
    options = recipe.get("options")
    if isinstance(options, dict):  # of a class of the user's own
        recipe = {**recipe, "options": {k: v for k, v in options.items() if k != "seed"}}
    return fingerprint("recipe-1", recipe)

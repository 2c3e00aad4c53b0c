"""Measurement: what the primary measure of a run is called, its unit, and its margin.

A generator declares its unit (`untrain.generators.base.Generator.unit`): ``bits/token`` if it gives
each token a probability, something like ``loss`` if it is measured by its training loss, and
``similarity`` where pictures are compared because there is no likelihood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from untrain.core.vocabulary import PRIMARY, Measure

if TYPE_CHECKING:
    import pandas as pd

BITS = "bits/token"
SIMILARITY = "similarity"
MARGINS = {"bits": 0.1, SIMILARITY: 0.02}
"""Equivalence margins by unit, see `untrain.evaluation.verdicts`."""

LONG = {
    BITS: "bits per image token",
    SIMILARITY: "similarity lost",
}
"""Units in full, for axes and captions."""

EXPLAINED = {
    BITS: (
        "Bits per token",
        "A model reads and draws a picture as a sequence of tokens, its pieces, and gives each a "
        "probability. The less likely they are, the more the picture surprises it: one bit more "
        "means that each token has become half as likely.",
    ),
    SIMILARITY: (
        "Similarity",
        "The model does not say how likely a picture is. So each model draws it again from the "
        "same noise, and the cosine of the two pictures’ features says how similar they are: an "
        "effect of 0.1 means that the cosine is lower by 0.1.",
    ),
}


def measure_of(unit: str) -> Measure:
    """Return the primary measure in a unit: nll, loss or dissimilarity."""
    if unit == SIMILARITY:
        return Measure.DISSIMILARITY
    return Measure.NLL if is_bits(unit) else Measure.LOSS


def primary(table: pd.DataFrame) -> Measure:
    """Return which measure a table of measures or effects is about; ``nll`` if it has none."""
    found = set(table["measure"])
    return next((measure for measure in PRIMARY if measure in found), PRIMARY[0])


def is_bits(unit: str) -> bool:
    """Tell whether a unit measures probabilities: ``bits/token``, ``bits/dim``."""
    return unit.startswith("bits/")


def margin_of(unit: str) -> float | None:
    """Return the equivalence margin of a unit; None where none is known."""
    return MARGINS.get(unit.partition("/")[0])


def amount(number: str, unit: str) -> str:
    """Return a number with its unit, in a sentence: 0.27 bits/token, 0.8 (loss × 1000)."""
    return f"{number} {unit}" if is_bits(unit) else f"{number} ({unit})"


def in_full(unit: str) -> str:
    """Return a unit in full, for axes and captions: bits per image token."""
    return LONG.get(unit, unit.replace("/", " per "))


def spoken(unit: str) -> str:
    """Return a unit in words: bits per token."""
    return unit.replace("/", " per ")


def head(unit: str) -> str:
    """Return a unit as the head of a column: Bits/token."""
    return unit[:1].upper() + unit[1:]


def explained(unit: str) -> tuple[str, str]:
    """Return a unit as a term and what it means."""
    if is_bits(unit) and unit != BITS:
        what = "How surprised a model is by a picture: minus the logarithm of its probability."
        return in_full(unit).capitalize(), what
    other = (
        "How badly a model does on a picture at what it is trained for, averaged over the same "
        "places and noise for all models. It orders models; it is no probability."
    )
    return EXPLAINED.get(unit, (unit.capitalize(), other))

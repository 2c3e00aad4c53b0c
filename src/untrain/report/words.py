"""Numbers and effects in words: sizes, intervals, p and what an effect means to people."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

from untrain.evaluation.measurement import amount, is_bits


def number(value: float, digits: int | None = None) -> str:
    """Return a number for people: a true minus sign, — for NaN; about two figures unless told."""
    if math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if digits is None:
        size = abs(value)
        digits = 2 if size < 5e-5 else sum(size < limit for limit in (100, 10, 0.1, 0.01))
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text[0] == "-" else text).replace("-", "−")


def open_ends(low: float, high: float) -> tuple[float, float]:
    """Return an interval whose one missing end is infinite; NaN twice where there is none."""
    if not (math.isfinite(low) or math.isfinite(high)):
        return math.nan, math.nan
    return (low if math.isfinite(low) else -math.inf, high if math.isfinite(high) else math.inf)


def interval(low: float, high: float, digits: int | None = None) -> str:
    """Return an interval for people; an end that is infinite or missing leaves it open."""
    low, high = open_ends(low, high)
    if math.isnan(low):
        return "—"
    if math.isinf(high):
        return f"{number(low, digits)} or more"
    if math.isinf(low):
        return f"{number(high, digits)} or less"
    joint = " to " if low < 0 or high < 0 else "–"
    return number(low, digits) + joint + number(high, digits)


def p_value(p: float) -> str:
    """Return ``p = …`` with as many figures as it deserves, or nothing."""
    if math.isnan(p):
        return ""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.{4 if p < 0.001 else 3 if p < 0.01 else 2}f}"


def uncertainty(low: float, high: float, p: float) -> str:
    """Return `` (95 % interval …, p = …)`` with what there is of it."""
    ends = interval(low, high)
    parts = [f"95\N{NO-BREAK SPACE}% interval {ends}" if ends != "—" else "", p_value(p)]
    inside = ", ".join(part for part in parts if part)
    return f" ({inside})" if inside else ""


def size(k: float) -> str:
    """Return a size for people."""
    return "—" if math.isnan(k) else f"{k:g}"


def bare_p(p: Any) -> str:
    """Return a p for a table's cell."""
    return p_value(float(p)).removeprefix("p = ").removeprefix("p ") or "—"


def tied(text: str) -> str:
    """Keep a p, a unit and a per cent sign on the line of its number."""
    text = text.replace("p = ", "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    return text.replace(" bits/token", "\N{NO-BREAK SPACE}bits/token")


# Effects in words --------------------------------------------------------------------------------

WORSE, NOTHING, BETTER = 1, 0, -1
"""What an effect can tell of models without the images."""
_PARTS = {"token": "token", "dim": "value"}
"""What a measure in bits is counted in, as people say it."""


class Estimate(NamedTuple):
    """An effect with what is known of it.

    Attributes
    ----------
    effect, low, high : float
        With its 95 % interval; NaN or infinite where that has no end.
    p : float
        One-sided, against effects above zero; NaN where nothing was tested.
    unit : str
    alpha : float
        The level of the run's tests.
    """

    effect: float
    low: float
    high: float
    p: float
    unit: str
    alpha: float = 0.05

    @classmethod
    def of(cls, row: Any, unit: str, alpha: float = 0.05) -> Self:
        """Return that of a row of effects."""
        return cls(row.effect, row.low, row.high, row.p_value, unit, alpha)

    @property
    def direction(self) -> int:
        """`WORSE`, `BETTER`, or `NOTHING` that can be told from zero.

        Where there is no p, the interval decides.
        """
        if self.p <= self.alpha or (math.isnan(self.p) and self.low > 0):
            return WORSE
        return BETTER if self.high < 0 else NOTHING


def likelier(bits: float) -> str:
    """Return a change in bits as one of probability, for people.

    A picture that is harder by ``bits`` has a probability of 2^−bits of what it was.

    Examples
    --------
    >>> likelier(3.84), likelier(1), likelier(-2)
    ('about 14 times less likely', 'half as likely', 'about 4 times more likely')
    >>> likelier(0.1).replace("\\N{NO-BREAK SPACE}", " ")
    'about 7 % less likely'
    """
    way = "less" if bits >= 0 else "more"
    factor = 2.0 ** min(abs(bits), 60.0)
    if abs(abs(bits) - 1) < 0.03:
        return "half as likely" if bits > 0 else "twice as likely"
    if factor >= 1.95:
        return f"about {_rounded(factor)} times {way} likely"
    share = 100 * (1 - 1 / factor if bits >= 0 else factor - 1)
    digits = 0 if share >= 0.95 else 1 if share >= 0.095 else 2
    return f"about {share:.{digits}f}\N{NO-BREAK SPACE}% {way} likely"


def _rounded(factor: float) -> str:
    """Return a number with two significant figures, without an exponent."""
    digits = 1 - math.floor(math.log10(factor))
    return f"{round(factor, digits):,.{1 if digits > 0 and factor < 9.95 else 0}f}".removesuffix(
        ".0"
    )


def plainly(found: Estimate, of: str = "the picture") -> str:
    """Return what an effect means as a sentence's end, without its numbers.

    "Without these images, " + it: "each token of the picture is about 14 times less likely".
    Probabilities are only known of effects in bits.

    Parameters
    ----------
    found : Estimate
    of : str
        Whose pictures.
    """
    if math.isnan(found.effect):
        return "the effect could not be measured"
    if found.direction == NOTHING:
        return "there is no difference that this run can tell"
    if is_bits(found.unit):
        kind = found.unit.partition("/")[2]
        return f"each {_PARTS.get(kind, kind)} of {of} is {likelier(found.effect)}"
    return f"models are {'worse' if found.direction == WORSE else 'better'} at {of}"


def briefly(found: Estimate) -> str:
    """Return what an effect means in a few words, for under a picture or in a cell.

    Examples
    --------
    >>> briefly(Estimate(3.84, 3.58, 4.10, 0.0005, "bits/token"))
    'about 14 times less likely'
    >>> briefly(Estimate(0.02, -0.09, 0.13, 0.35, "bits/token"))
    'no difference seen'
    """
    if math.isnan(found.effect):
        return "not measured"
    if found.direction == NOTHING:
        return "no difference seen"
    if is_bits(found.unit):
        return likelier(found.effect)
    way = "worse" if found.direction == WORSE else "better"
    return f"{number(abs(found.effect))} {way}"


def in_numbers(found: Estimate) -> str:
    """Return the numbers of an effect with its unit: what `plainly` leaves out.

    An effect that cannot be told from zero is given as the range that it lies in, because its
    estimate says nothing.

    Examples
    --------
    >>> in_numbers(Estimate(0.02, -0.09, 0.13, 0.35, "bits/token"))
    'between −0.090 and 0.13 bits/token, p = 0.35'
    """
    low, high = open_ends(found.low, found.high)
    p_part = f", {p_value(found.p)}" if p_value(found.p) else ""
    if found.direction == NOTHING and math.isfinite(low) and math.isfinite(high):
        return amount(f"between {number(low)} and {number(high)}", found.unit) + p_part
    ends = interval(low, high)
    ends_part = f", 95\N{NO-BREAK SPACE}% interval {ends}" if ends != "—" else ""
    return amount(number(found.effect), found.unit) + ends_part + p_part


def effect_in_words(found: Estimate, of: str = "the picture") -> str:
    """Return an effect in words that people have, its numbers in brackets after them.

    The one place where an effect becomes text: of the page, the terminal, the server and Python.

    Examples
    --------
    >>> told = effect_in_words(Estimate(3.84, 3.58, 4.10, 0.0005, "bits/token"))
    >>> told.replace("\\N{NO-BREAK SPACE}", " ")
    'each token of the picture is about 14 times less likely (3.84 bits/token, 95 % interval \
3.58–4.10, p = 0.0005)'
    >>> effect_in_words(Estimate(0.02, -0.09, 0.13, 0.35, "bits/token"))
    'there is no difference that this run can tell (between −0.090 and 0.13 bits/token, p = 0.35)'
    """
    said = plainly(found, of)
    return said if math.isnan(found.effect) else f"{said} ({in_numbers(found)})"

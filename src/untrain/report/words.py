"""Numbers in words: sizes, intervals and p as people read them."""

from __future__ import annotations

import math
from typing import Any


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

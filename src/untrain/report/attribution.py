"""An attribution in words: what removing the images shown would cost, and what it took."""

from __future__ import annotations

import math
from typing import Any

from untrain.attribution.attribute import Attributed
from untrain.evaluation.measurement import amount


def removal_words(found: Attributed, method: str, prompt_id: str) -> str:
    """Return what removing the images shown of a query would cost; nothing if not calibrated."""
    table = found.removals
    (row,) = table[(table["method"] == method) & (table["prompt_id"] == prompt_id)].to_dict(
        "records"
    )
    if found.calibrated != method:
        return ""
    if not row["k"]:
        return f"{method} has no score for any image"
    these = f"these {row['k']} images" if row["k"] > 1 else "this image"
    cost = amount(number(row["effect"]), found.unit)
    return (
        f"Removing {these} from training would cost {cost} "
        f"({number(row['low'])} to {number(row['high'])}), by the calibration"
    )


def method_words(found: Attributed) -> str:
    """Return what each method took."""
    return ", ".join(f"{method} {took:.1f} s" for method, took in found.seconds.items())


def number(value: Any) -> str:
    """Return a score or an effect for people: three digits, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return "0" if value == 0 else f"{value:.3g}"

"""What each removal did, as the page draws it: a line a removal, in words and on one scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from untrain.report.arms import arm_words
from untrain.report.tables.effects import overall_table, single_effects
from untrain.report.words import Estimate, briefly, in_numbers, number, open_ends, tied
from untrain.runs.results import RunResults, rows

MOST_DOTS = 60  # prompts drawn as dots of their own


def removals(run: RunResults) -> dict[str, Any]:
    """Return the overall effects for the drawing of the page.

    Returns
    -------
    dict
        ``zero``, the place of no effect from 0 to 100, and ``lines``: for each removal ``what``,
        ``words``, ``figures``, ``naive`` (text) and the places ``at, start, stop`` (None where
        there is no effect), ``compared`` (the naive figure) and ``dots`` (single prompts).
    """
    table = overall_table(run.effects)
    single = single_effects(run.effects)
    single = single[np.isfinite(single["effect"].astype(float))]
    found = []
    for line in rows(table):
        own = single[(single["arm"] == line.arm) & (math.isnan(line.k) | (single["k"] == line.k))]
        low, high = open_ends(line.low, line.high)
        found.append((line, low, high, own["effect"].astype(float).tolist()[:MOST_DOTS]))
    values = [
        v for line, low, high, dots in found for v in (line.effect, low, high, line.naive, *dots)
    ]
    finite = [0.0, *(float(v) for v in values if math.isfinite(v))]
    least, most = min(finite), max(finite)
    margin = 0.02 * (most - least) or 1.0

    def place(value: float) -> float | None:
        if math.isnan(value):
            return None
        share = (value - least + margin) / (most - least + 2 * margin)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    lines = []
    for line, low, high, dots in found:
        own = Estimate.of(line, run.unit, run.alpha)
        measured = math.isfinite(line.effect)
        lines.append(
            {
                "what": arm_words(line.arm, line.k),
                "arm": line.arm,
                "words": briefly(own) if measured else "nothing was removed",
                "figures": tied(in_numbers(own)) if measured else "",
                "naive": number(line.naive) if math.isfinite(line.naive) else "",
                "at": place(line.effect),
                "start": place(line.effect if math.isnan(low) else low),
                "stop": place(line.effect if math.isnan(high) else high),
                "compared": place(line.naive),
                "dots": [place(value) for value in dots],
            }
        )
    return {"zero": place(0.0), "lines": lines}

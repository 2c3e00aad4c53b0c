"""Verdicts: is the query attributable to the images that were removed?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.tables import VERDICTS
from untrain.core.vocabulary import Arm, Design, Measure, Verdict

DEFAULT_MARGIN = 0.1
"""Bits per token: about a tenth of the change when the model of a demo picture is replaced by one
of another seed (the naive row "nothing of its own"), which nobody would call an effect."""


def verdicts(
    effects: pd.DataFrame,
    alpha: float = 0.05,
    margin: float | None = DEFAULT_MARGIN,
    arm: str = Arm.TARGETED,
    measure: str = Measure.NLL,
    k: int | None = None,
) -> pd.DataFrame:
    """Return a verdict for each query of a randomised trial.

    *Attributable*: the one-sided p of the effect is at most ``alpha``. *Not attributable*: the
    95 % interval lies within ±``margin``, so that an effect as large as the margin is ruled out in
    either direction (equivalence by the interval, Schuirmann 1987). *Undecided*: neither. The
    smallest p of a query is 1 / C(M, M/2), 1/70 with 8 models and 1/6 with 4: with fewer than 6
    models no query can be attributable at 5 %.

    The verdict is about the training algorithm, averaged over assignments with half of the other
    sets removed, not about the one set of weights that generated the query. Each verdict has its
    own error rate ``alpha``; to claim particular queries use ``p_holm``, adjusted over the queries
    of the arm (Holm 1979). It is at least n / C(M, M/2) for n queries: 16 need 12 models to come
    below 5 %.

    Parameters
    ----------
    effects : DataFrame
        The table of `untrain.evaluation.effects.Effects`, of a randomised trial.
    alpha : float
        Level, between 0 and 1.
    margin : float or None
        Equivalence margin in units of the measure, above 0; fixed before the results are seen.
        None: no effect is known to be too small to matter, and nothing is called not attributable.
    arm, measure : str
        Whose effect decides; ``family`` gives the positive control, a random arm the false
        positives.
    k : int, optional
        The primary size of the forget set; by default the smallest.

    Returns
    -------
    DataFrame
        `untrain.core.tables.VERDICTS`.
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}; it must be between 0 and 1, such as 0.05")
    if margin is not None and not margin > 0:
        raise InputError(f"the equivalence margin is {margin}; it must be above 0, such as 0.05")
    queries = effects[
        (effects["design"] == Design.RANDOMISED)
        & (effects["arm"] == arm)
        & (effects["measure"] == measure)
        & effects["prompt_id"].notna()
    ]
    queries = queries[queries["k"] == (queries["k"].min() if k is None else k)]
    rows = [(q.prompt_id, *_judge(q, alpha, margin), q.p_value) for q in queries.itertuples()]
    judged = pd.DataFrame(rows, columns=VERDICTS.names[:-1])
    return VERDICTS.conform(judged.assign(p_holm=holm(judged["p_value"].to_numpy(float))))


def _judge(query: Any, alpha: float, margin: float | None) -> tuple[Verdict, str]:
    low, high = query.low, query.high
    if math.isnan(query.effect):
        return (
            Verdict.UNDECIDED,
            "its half of the models is that of the prompt's own images, or the opposite half",
        )
    found = f"effect {query.effect:+.3f}, p = {query.p_value:.4f}"
    if query.p_value <= alpha:
        tiny = margin is not None and high < margin
        small = f", though smaller than the margin of {margin:g}" if tiny else ""
        return Verdict.ATTRIBUTABLE, f"{found}: at most the level of {alpha:g}{small}"
    if math.isnan(high) or math.isnan(low):
        return Verdict.UNDECIDED, f"{found}: with so few models the interval is open-ended"
    between = f"between {low:+.3f} and {high:+.3f}"
    if margin is None:
        return Verdict.UNDECIDED, f"{found}: {between}, and no margin was set (evaluation.margin)"
    if -margin < low and high < margin:
        return Verdict.NOT_ATTRIBUTABLE, f"{found}: {between}, inside the margin of ±{margin:g}"
    return Verdict.UNDECIDED, f"{found}: {between}, not inside the margin of ±{margin:g}"


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values adjusted for testing several hypotheses at once.

    S. Holm (1979), A simple sequentially rejective multiple test procedure.

    Parameters
    ----------
    p_values : array-like, shape (n,)
        NaN stays NaN and is not counted.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted

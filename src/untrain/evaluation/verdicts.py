"""Verdicts: is the query attributable to the images that were taken out?"""

from __future__ import annotations

import math

import pandas as pd

from untrain.errors import InputError

DEFAULT_MARGIN = 0.05
"""Bits a token. In the trial that the protocol reports, removing as many *random* images cost 0.02
and 0.05 (two seeds) and 0.03 (randomised over ten models): an effect below this is no more than any
removal does. It is a fifth of what the targeted removal did there (0.27)."""

ATTRIBUTABLE, NOT_ATTRIBUTABLE, UNDECIDED = "attributable", "not attributable", "undecided"


def verdicts(
    effects: pd.DataFrame,
    alpha: float = 0.05,
    margin: float = DEFAULT_MARGIN,
    arm: str = "targeted",
    measure: str = "nll",
    k: int | None = None,
) -> pd.DataFrame:
    """Return a verdict for each query of a randomised trial.

    *Attributable*: the one-sided p of the effect is at most ``alpha``. *Not attributable*: the
    upper end of the 95 % interval lies within ±``margin``, so that an effect as large as the margin
    is ruled out (one-sided equivalence, at 2.5 %). *Undecided*: neither. The smallest p of a query
    is 1 / C(M, M/2), 1/252 with 10 models and 1/6 with 4: with fewer than 6 models no query can be
    attributable at 5 %.

    The verdict is about the training algorithm averaged over assignments with half of the other
    units out, not about the one set of weights that drew the query. Each verdict errs at ``alpha``
    on its own; adjust with `untrain.evaluation.randomisation.holm` to claim several at once.

    Parameters
    ----------
    effects : DataFrame
        As `untrain.evaluation.effects.trial_effects` returns it.
    alpha : float
        Level, between 0 and 1.
    margin : float
        Equivalence margin in units of the measure, above 0; fixed before the results are seen.
    arm, measure : str
        Whose effect decides; ``family`` gives the positive control, a random arm the false
        positives.
    k : int, optional
        The primary size of the forget set; the smallest if left out.

    Returns
    -------
    DataFrame
        prompt_id, verdict, reason (a sentence with the numbers).
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    if not margin > 0:
        raise InputError(f"the equivalence margin is {margin}; it must be above 0, such as 0.05")
    queries = effects[
        (effects["design"] == "randomised")
        & (effects["arm"] == arm)
        & (effects["measure"] == measure)
        & (effects["prompt_id"] != "")
    ]
    queries = queries[queries["k"] == (queries["k"].min() if k is None else k)]
    numbers = zip(queries["estimate"], queries["high"], queries["p_value"], strict=True)
    judged = [_judge(*row, alpha=alpha, margin=margin) for row in numbers]
    rows = [(p, *verdict) for p, verdict in zip(queries["prompt_id"], judged, strict=True)]
    return pd.DataFrame(rows, columns=["prompt_id", "verdict", "reason"])


def _judge(
    estimate: float, high: float, p_value: float, alpha: float, margin: float
) -> tuple[str, str]:
    found = f"effect {estimate:+.3f}, p = {p_value:.4f}"
    if p_value <= alpha:
        small = f", though smaller than the margin of {margin:g}" if high < margin else ""
        return ATTRIBUTABLE, f"{found}: at most the level of {alpha:g}{small}"
    if math.isnan(high):
        return UNDECIDED, f"{found}: with so few models the interval has no upper end"
    if abs(high) < margin:
        return NOT_ATTRIBUTABLE, f"{found}: at most {high:+.3f}, inside the margin of ±{margin:g}"
    if high <= -margin:
        return UNDECIDED, f"{found}: without the images the query is likelier, at most {high:+.3f}"
    return UNDECIDED, f"{found}: may be as large as {high:+.3f}, outside the margin of ±{margin:g}"

"""The effect of removing a set of images on the pictures of one prompt."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from untrain.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from untrain.runs.results import RunResults


@dataclass(frozen=True)
class Effect:
    """What the removal of a set of images does to the pictures of a prompt.

    Attributes
    ----------
    prompt_id, arm : str
    k : int or None
        Images of the set; None where the design removes sets of all sizes together.
    effect : float
        How much worse models without the set are than models with it, in ``unit``.
    low, high : float
        Its 95 % interval; NaN where it has no end.
    p_value : float
        One-sided: how often a re-drawn random assignment gives an effect this large.
    unit : str
    alpha : float
        The level of the run's tests.
    doubt : str
        Why the run cannot be trusted; empty if nothing speaks against it.
    """

    prompt_id: str
    arm: str
    k: int | None
    effect: float
    low: float
    high: float
    p_value: float
    unit: str
    alpha: float = 0.05
    doubt: str = ""

    @property
    def words(self) -> str:
        """What it means, as the end of a sentence, with its numbers."""
        from untrain.report.words import Estimate, effect_in_words

        return effect_in_words(Estimate.of(self, self.unit, self.alpha))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the effect in words, and whose it is."""
        from untrain.core.notebook import line_html
        from untrain.report.arms import arm_words

        removed = arm_words(self.arm, math.nan if self.k is None else self.k)
        return line_html(self.doubt) + line_html(
            f"{self.prompt_id}, without {removed}: {self.words}."
        )


def effect_of(
    results: RunResults, prompt_id: str, arm: str | None = None, k: int | None = None
) -> Effect:
    """Return the effect of a prompt's own set: see `untrain.Result.effect`."""
    from untrain.evaluation.measurement import primary
    from untrain.report.headline import headline
    from untrain.report.tables.effects import designs

    prompts, effects = results.prompts, results.effects
    roles = dict(zip(prompts["prompt_id"], prompts["role"], strict=True))
    check_known("prompt", prompt_id, roles)
    own = effects[effects["design"] == designs(effects)[0]]
    own = own[(own["prompt_id"] == prompt_id) & (own["measure"] == primary(effects))]
    arm = arm or ("family" if roles[prompt_id] == "control" else "targeted")
    check_known(f"effect on {prompt_id} of the arm", arm, own["arm"])
    sizes = own[own["arm"] == arm].sort_values("k")
    if k is not None:
        check_known(f"set of {arm} for {prompt_id} of size", k, sizes["k"].dropna().astype(int))
        sizes = sizes[sizes["k"] == k]
    row = sizes.iloc[0]
    return Effect(
        prompt_id=prompt_id,
        arm=arm,
        k=None if math.isnan(row["k"]) else int(row["k"]),
        effect=float(row["effect"]),
        low=float(row["low"]),
        high=float(row["high"]),
        p_value=float(row["p_value"]),
        unit=results.unit,
        alpha=results.alpha,
        doubt=" ".join(headline(results)[:1]),
    )


def check_known(what: str, name: object, known: Iterable[object]) -> None:
    """Raise `InputError` unless ``name`` is among the ``known``."""
    names = list(dict.fromkeys(str(each) for each in known))
    if str(name) not in names:
        raise InputError(f"the run has no {what} '{name}'{did_you_mean(str(name), names)}")

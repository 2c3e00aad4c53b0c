"""Effects of the study's own design: one model before the removal, one after."""

from __future__ import annotations

import pandas as pd

from untrain.core.notes import Note
from untrain.core.tables import EFFECTS
from untrain.core.vocabulary import SAMPLER, Arm, Baseline, Design
from untrain.evaluation.effects import Effects
from untrain.evaluation.outcomes import complete, outcomes, over_prompts

_ARMS = {"targeted": Arm.TARGETED, "random": Arm.RANDOM_UNIFORM, "reseed": Baseline.RESEED}


def before_after_effects(measures: pd.DataFrame, draws: int = 2000, seed: int = 0) -> Effects:
    """Return the effects of the study's own design, cross-fitted and as the study measured them.

    Design ``before-after``: the models ``targeted``, ``random`` and ``reseed`` minus ``full``, all
    of which are other models than A. Design ``before-after-naive``: the same models, and ``full``,
    minus A; for ``full``, nothing was removed, so its figure is not an effect. Tests are Wilcoxon
    signed-rank tests over prompts and intervals are percentile bootstraps over prompts: prompts
    share the two models, so both are **conditional on this pair of models** and blind to its luck.

    Parameters
    ----------
    measures : DataFrame
        model_id (full, targeted, random, reseed; A for the naive rows), prompt_id, generation,
        measure, value.
    draws : int
        Bootstrap draws.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Effects
        As `untrain.evaluation.effects.trial_effects`; arm is ``targeted``, ``random_uniform``,
        ``reseed`` or ``full``; k, null_sd and n_sets are missing, and of a single query p and
        interval too.
    """
    records: list[dict[str, object]] = []
    notes: list[Note] = []
    for measure, table in outcomes(measures).items():
        found, left_out = complete(table, [Baseline.FULL, *_ARMS], measure)
        notes += left_out
        for design, base, compared in (
            (Design.BEFORE_AFTER, Baseline.FULL.value, _ARMS),
            (Design.BEFORE_AFTER_NAIVE, SAMPLER, {**_ARMS, "full": Baseline.FULL}),
        ):
            if base not in found:
                continue
            for model, arm in compared.items():
                key = {"design": design, "arm": arm, "measure": measure}
                change = (found[model] - found[base]).dropna()
                records += over_prompts(change, key, seed, draws)
    return Effects(EFFECTS.of(records), tuple(notes))

"""Effects of the study's own design: one model before the removal, one after."""

from __future__ import annotations

import pandas as pd

from untrain.evaluation.outcomes import COLUMNS, SAMPLER, complete, outcomes, over_prompts


def before_after_effects(measures: pd.DataFrame, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return the effects of the study's own design, cross-fitted and as the study measured them.

    Design ``before-after``: the models ``targeted``, ``random`` and ``reseed`` minus ``full``, all
    of which are other models than A. Design ``before-after-naive``: the same models, and ``full``,
    minus A; what ``full`` shows there is due to nothing that was removed. Tests are Wilcoxon
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
    DataFrame
        As `trial_effects`; arm is ``targeted``, ``random_uniform``, ``reseed`` or ``full``; k is
        0, a query alone has no p and no interval, null_sd is NaN and n_units counts prompts.
    """
    arms = {"targeted": "targeted", "random": "random_uniform", "reseed": "reseed"}
    records: list[dict[str, object]] = []
    warnings: list[str] = []
    for measure, table in outcomes(measures).items():
        found = complete(table, ["full", *arms], measure, warnings)
        for design, base, compared in (
            ("before-after", "full", arms),
            ("before-after-naive", SAMPLER, {**arms, "full": "full"}),
        ):
            if base not in found:
                continue
            for model, arm in compared.items():
                key = {"design": design, "arm": arm, "measure": measure, "k": 0}
                change = (found[model] - found[base]).dropna()
                records += over_prompts(change, key, seed, draws)
    effects = pd.DataFrame(records, columns=COLUMNS)
    effects.attrs["warnings"] = warnings
    return effects

"""The answer of a finished run, in sentences."""

from __future__ import annotations

import math

import pandas as pd

from untrain.core.tables import EFFECTS
from untrain.core.vocabulary import Design
from untrain.evaluation.measurement import BITS, amount, primary
from untrain.report.arms import arm_words, ranking_of_arm
from untrain.report.headline import headline
from untrain.report.notes import NOTHING_REMOVED
from untrain.report.ranking import ranking_name
from untrain.report.tables.differences import difference_sentence, rankings_sentences
from untrain.report.tables.effects import (
    designs,
    is_overall,
    overall_table,
    single_effects,
    split_controls,
    verdict_counts,
)
from untrain.report.words import number, p_value, uncertainty
from untrain.runs.results import DEFAULT_ALPHA, RunResults, rows

GIVEN = (
    NOTHING_REMOVED.text,
    "What follows shows which training images are nearest to each picture and which pictures look "
    "like copies; whether any of those images mattered is not known.",
)
"""The answer of a run without a model."""


def answer(run: RunResults) -> str:
    """Return what a run found, in plain words with its uncertainty."""
    return " ".join(answer_sentences(run))


def answer_sentences(run: RunResults) -> list[str]:
    """Return the answer of a run as sentences: the finding, then what to compare it with.

    Of a run that cannot be trusted the first ones say so; where its verdicts are withheld there are
    no others.
    """
    doubtful = headline(run)
    if run.withheld:
        return doubtful
    if run.given:
        return [*doubtful, *GIVEN]
    found = effect_sentences(run.effects, run.verdicts, run.unit, run.alpha)
    return doubtful + found + _rankings(run)


def _rankings(run: RunResults) -> list[str]:
    """Return how the rankings compare whose first images were removed; nothing of only one."""
    sentences = rankings_sentences(run.effects, run.unit, ranking_name(run))
    for arm, own in run.further_verdicts.groupby("arm", sort=False) if sentences else ():
        counts = ", ".join(f"{n} {name}" for name, n in verdict_counts(own).items())
        sentences.append(
            f"By the sets of {ranking_of_arm(str(arm))}, of {len(own)} prompts: {counts}."
        )
    if sentences:
        sentences.insert(0, f"The images found for a prompt are those of {ranking_name(run)}.")
    return sentences


def effect_sentences(
    effects: pd.DataFrame,
    verdicts: pd.DataFrame | None = None,
    unit: str = BITS,
    alpha: float = DEFAULT_ALPHA,
) -> list[str]:
    """Return effects and verdicts as sentences.

    Parameters
    ----------
    effects : DataFrame
        The run's ``results/effects.parquet``.
    verdicts : DataFrame, optional
        The run's ``results/verdicts.parquet``; adds sentences that count them.
    unit : str
        Of the measure that the answer is about.
    alpha : float
        The level of the run's tests.
    """
    table = overall_table(effects)
    measured = table[table["effect"].notna()]
    if measured.empty:
        return ["This run measured no overall effect, so it has no answer."]
    main = measured.iloc[0]
    others = table[(table["arm"] != main["arm"]) & (table["k"].isna() | (table["k"] == main["k"]))]
    sentences = [
        _first_sentence(main, others, _together(effects), unit, alpha),
        difference_sentence(effects),
        _control_sentence(measured, main),
        _naive_sentence(main, others),
    ]
    if designs(effects)[0] == "before-after":
        sentences.append(
            "This rests on a single pair of models: chance differences between the two are not "
            "accounted for."
        )
    if verdicts is not None and len(verdicts):
        sentences += _verdict_sentences(effects, verdicts, alpha)
    return [sentence for sentence in sentences if sentence]


def _together(effects: pd.DataFrame) -> bool:
    """Tell whether all prompts' sets were removed as one: there are fewer sets than prompts."""
    effects = effects.reindex(columns=EFFECTS.names)
    own = effects[
        (effects["design"] == "randomised")
        & (effects["arm"] == "targeted")
        & (effects["measure"] == primary(effects))
    ]
    own = own[own["k"] == own["k"].min()]
    overall = is_overall(own)
    return bool((own.loc[overall, "n_sets"] < (~overall).sum()).any())


def _first_sentence(
    main: pd.Series, others: pd.DataFrame, together: bool, unit: str, alpha: float
) -> str:
    effect = amount(number(main["effect"]), unit)
    ends = uncertainty(main["low"], main["high"], main["p_value"])
    # Without a p, an interval above zero says the same.
    worse = main["p_value"] <= alpha or (math.isnan(main["p_value"]) and main["low"] > 0)
    words, whose, each = arm_words(main["arm"], main["k"]), "its", ""
    if together:
        words = words.replace("for a prompt", "for each prompt, of all prompts together,")
        whose, each = "a prompt’s", " for each"
    start = f"Models trained without {words} are "
    if worse:
        parts = [f"{start}{effect} worse at {whose} pictures{ends}"]
    else:
        parts = [f"{start}not measurably worse at {whose} pictures: {effect}{ends}"]
    for row in rows(others[others["effect"].notna() & (others["arm"] != "family")]):
        p = f" ({p_value(row.p_value)})" if p_value(row.p_value) else ""
        parts.append(f"without {arm_words(row.arm, row.k)}{each}, {number(row.effect)}{p}")
    return "; ".join(parts) + "."


def _control_sentence(measured: pd.DataFrame, main: pd.Series) -> str:
    control = measured[(measured["arm"] == "family") & (main["arm"] != "family")]
    if control.empty:
        return ""
    row = control.iloc[0]
    p = f" ({p_value(row['p_value'])})" if p_value(row["p_value"]) else ""
    return f"Positive control: without {arm_words('family')}, {number(row['effect'])}{p}."


def _naive_sentence(main: pd.Series, others: pd.DataFrame) -> str:
    """Report the naive figures, and say if removing nothing gives nearly as much."""
    if math.isnan(main["naive"]):
        return ""
    start = (
        "The naive comparison, with the model that drew the pictures, gives "
        f"{number(main['naive'])}"
    )
    idle = others[others["arm"].isin(["none", "full"]) & others["naive"].notna()]
    if idle.empty:
        return f"{start}."
    words = {
        "none": "for models that lost none of its images",
        "full": "for one trained on everything",
    }
    beside = " and ".join(f"{number(r.naive)} {words[r.arm]}" for r in rows(idle))
    share = idle["naive"].min() / main["naive"] if main["naive"] > 0 else 0.0
    why = ": nearly all of it comes from changing the model" if share > 0.8 else ""
    return f"{start}, and {beside}{why}."


def _verdict_sentences(effects: pd.DataFrame, verdicts: pd.DataFrame, alpha: float) -> list[str]:
    queries, controls = split_controls(effects, verdicts)
    sentences = []
    if len(queries):
        counts = ", ".join(f"{n} {name}" for name, n in verdict_counts(queries).items())
        sentences.append(f"Of {len(queries)} prompts: {counts}.")
        sentences += _holm_sentence(queries, alpha)
    if len(controls):
        found = verdict_counts(controls)["attributable"]
        sentences.append(f"Positive controls attributable: {found} of {len(controls)}.")
    random = single_effects(effects, Design.RANDOMISED)
    random = random[random["arm"].str.startswith("random") & random["p_value"].notna()]
    if len(random):
        wrong = int((random["p_value"] <= alpha).sum())
        whose = "Prompts that random removals would also have labelled attributable"
        start = whose if _together(effects) else "Random sets that the same test calls attributable"
        sentences.append(f"{start}: {wrong} of {len(random)}.")
    return sentences


def _holm_sentence(queries: pd.DataFrame, alpha: float) -> list[str]:
    """Say how many verdicts hold together; with few models no p is small enough for many."""
    adjusted = queries.get("p_holm", pd.Series(dtype=float)).dropna()
    if len(adjusted) < 2:
        return []
    kept = int((adjusted <= alpha).sum())
    why = "" if kept else f" (smallest adjusted {p_value(adjusted.min())})"
    what = f"After Holm’s correction over {len(adjusted)} prompts"
    return [f"{what}, {kept} remain attributable{why}."]

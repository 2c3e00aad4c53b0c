"""A finished run as one plain answer."""

from __future__ import annotations

import math

import pandas as pd

from untrain.evaluation.measurement import BITS, amount, primary
from untrain.report.tables.differences import beyond_sentence
from untrain.report.tables.tables import (
    EFFECTS,
    GIVEN,
    LEVEL,
    arm_words,
    designs,
    overall_table,
    split_controls,
    verdict_counts,
)
from untrain.report.words import number, p_value, uncertainty
from untrain.runs.results import Run, rows


def said(run: Run) -> list[str]:
    """Return the answer of a run as sentences, the first by itself."""
    if run.given:
        return list(GIVEN)
    return answer_sentences(run.effects, run.verdicts, run.unit)


def answer(effects: pd.DataFrame, verdicts: pd.DataFrame | None = None, unit: str = BITS) -> str:
    """Return what the run found, in plain words with its uncertainty.

    Parameters
    ----------
    effects : DataFrame
        The run's ``results/effects.parquet``.
    verdicts : DataFrame, optional
        The run's ``results/verdicts.parquet``; adds a sentence that counts them.
    unit : str
        Of the measure that the answer is about.
    """
    return " ".join(answer_sentences(effects, verdicts, unit))


def answer_sentences(
    effects: pd.DataFrame, verdicts: pd.DataFrame | None = None, unit: str = BITS
) -> list[str]:
    """Return `answer` as sentences: the finding, then what to hold it against."""
    table = overall_table(effects)
    measured = table[table["effect"].notna()]
    if measured.empty:
        return ["This run measured no overall effect, so it has no answer."]
    main = measured.iloc[0]
    others = table[(table["arm"] != main["arm"]) & (table["k"].isna() | (table["k"] == main["k"]))]
    sentences = [
        _first_sentence(main, others, _together(effects), unit),
        beyond_sentence(effects),
        _control_sentence(measured, main),
        _naive_sentence(main, others),
    ]
    if designs(effects)[0] == "before-after":
        sentences.append("This rests on one pair of models and says nothing about its luck.")
    if verdicts is not None and len(verdicts):
        sentences += _verdict_sentences(effects, verdicts)
    return [sentence for sentence in sentences if sentence]


def _together(effects: pd.DataFrame) -> bool:
    """Tell whether the sets of all prompts left as one: fewer sets than prompts have an effect."""
    effects = effects.reindex(columns=list(EFFECTS))
    own = effects[
        (effects["design"] == "randomised")
        & (effects["arm"] == "targeted")
        & (effects["measure"] == primary(effects))
    ]
    own = own[own["k"] == own["k"].min()]
    overall = own["prompt_id"] == ""
    return bool((own.loc[overall, "n_units"] < (~overall).sum()).any())


def _first_sentence(main: pd.Series, others: pd.DataFrame, together: bool, unit: str) -> str:
    effect, ends = (
        amount(number(main["effect"]), unit),
        uncertainty(main["low"], main["high"], main["p"]),
    )
    # Without a p, an interval above zero says the same.
    worse = main["p"] <= 0.05 or (math.isnan(main["p"]) and main["low"] > 0)
    words, whose, each = arm_words(main["arm"], main["k"]), "its", ""
    if together:
        words = words.replace("for a prompt", "for each prompt, of all prompts together,")
        whose, each = "a prompt’s", " for each"
    start = f"Models trained without {words} are "
    if worse:
        parts = [f"{start}{effect} worse at {whose} pictures{ends}"]
    else:
        start += f"not measurably worse at {whose} pictures: "
        parts = [f"{start}{effect}{ends}"]
    for row in rows(others[others["effect"].notna() & (others["arm"] != "family")]):
        p = f" ({p_value(row.p)})" if p_value(row.p) else ""
        parts.append(f"without {arm_words(row.arm, row.k)}{each}, {number(row.effect)}{p}")
    return "; ".join(parts) + "."


def _control_sentence(measured: pd.DataFrame, main: pd.Series) -> str:
    rows = measured[(measured["arm"] == "family") & (main["arm"] != "family")]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    p = f" ({p_value(row['p'])})" if p_value(row["p"]) else ""
    return f"As a positive control, without {arm_words('family')}: {number(row['effect'])}{p}."


def _naive_sentence(main: pd.Series, others: pd.DataFrame) -> str:
    """Set the naive figures beside the answer, and say where idle removals do as much."""
    if math.isnan(main["naive"]):
        return ""
    start = (
        f"The naive figure, against the model that drew the pictures, says {number(main['naive'])}"
    )
    idle = others[others["arm"].isin(["none", "full"]) & others["naive"].notna()]
    if idle.empty:
        return f"{start}."
    words = {"none": "models that lost none of its images", "full": "one trained on everything"}
    beside = " and ".join(f"{number(r.naive)} for {words[r.arm]}" for r in rows(idle))
    share = idle["naive"].min() / main["naive"] if main["naive"] > 0 else 0.0
    why = ": nearly all of it is the change of model" if share > 0.8 else ""
    return f"{start}, and {beside}{why}."


def _verdict_sentences(effects: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    queries, controls = split_controls(effects, verdicts)
    sentences = []
    if len(queries):
        counts = ", ".join(f"{n} {name}" for name, n in verdict_counts(queries).items())
        sentences.append(f"Of {len(queries)} prompts: {counts}.")
        sentences += _holm_sentence(queries)
    if len(controls):
        found = verdict_counts(controls)["attributable"]
        sentences.append(f"Positive controls attributable: {found} of {len(controls)}.")
    random = effects[
        (effects["design"] == "randomised")
        & effects["arm"].str.startswith("random")
        & (effects["measure"] == primary(effects))
        & (effects["prompt_id"] != "")
        & effects["p_value"].notna()
    ]
    if len(random):
        wrong = int((random["p_value"] <= LEVEL).sum())
        whose = "Prompts of which, without the random sets of all, as much would be said"
        start = whose if _together(effects) else "Random sets that would be called so"
        sentences.append(f"{start}: {wrong} of {len(random)}.")
    return sentences


def _holm_sentence(queries: pd.DataFrame) -> list[str]:
    """Say how many verdicts hold together; with few models no p is small enough for many."""
    adjusted = queries.get("p_holm", pd.Series(dtype=float)).dropna()
    if len(adjusted) < 2:
        return []
    kept = int((adjusted <= LEVEL).sum())
    why = "" if kept else f" (smallest adjusted {p_value(adjusted.min())})"
    return [f"After Holm over {len(adjusted)} prompts, {kept} stay attributable{why}."]

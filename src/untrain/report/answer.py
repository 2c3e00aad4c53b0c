"""The answer of a finished run, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from untrain.core.tables import EFFECTS
from untrain.core.vocabulary import SAMPLER, Arm, Design, Verdict
from untrain.evaluation.measurement import BITS, primary
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
from untrain.report.words import (
    NOTHING,
    Estimate,
    effect_in_words,
    in_numbers,
    number,
    p_value,
    plainly,
)
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
    models = int((run.models["model_id"] != SAMPLER).sum())
    found = effect_sentences(
        run.effects, run.verdicts, run.unit, run.alpha, models=models, equivalent=run.equivalent
    )
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
    models: int = 0,
    equivalent: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """Return effects and verdicts as sentences: the finding in plain words, then its numbers.

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
    models : int
        How many models the trial compares, which limits how small a p can be; 0 if not known.
    equivalent : sequence of dict
        As `untrain.evaluation.equivalent.equivalent_table` returns it, of a run with a bank.
    """
    table = overall_table(effects)
    measured = table[table["effect"].notna()]
    if measured.empty:
        return ["This run measured no overall effect, so it has no answer."]
    main = measured.iloc[0]
    others = table[(table["arm"] != main["arm"]) & (table["k"].isna() | (table["k"] == main["k"]))]
    sentences = [
        _first_sentence(main, others, _together(effects), unit, alpha),
        _numbers_sentence(main, others, unit, alpha),
        _equivalent_sentence(main, equivalent),
        difference_sentence(effects),
        _control_sentence(measured, main, unit, alpha),
        _naive_sentence(main, others),
    ]
    if designs(effects)[0] == "before-after":
        sentences.append(
            "This rests on a single pair of models: chance differences between the two are not "
            "accounted for."
        )
    if verdicts is not None and len(verdicts):
        sentences += _verdict_sentences(effects, verdicts, alpha, models)
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
    """Return what the run found, in words that need no explanation."""
    words, whose = arm_words(main["arm"], main["k"]), "its pictures"
    if together:
        words = words.replace("for a prompt", "for each prompt, of all prompts together,")
        whose = "a prompt’s pictures"
    found = Estimate.of(main, unit, alpha)
    said = plainly(found, whose)
    start = f"For models trained without {words}, {said}"
    random = others[(others["arm"] == Arm.RANDOM_UNIFORM) & others["effect"].notna()]
    if random.empty:
        return f"{start}."
    row = random.iloc[0]
    beside = arm_words(row["arm"], row["k"]) + (" for each" if together else "")
    control = Estimate.of(row, unit, alpha)
    if control.direction == found.direction == NOTHING:
        return f"{start}, nor for models trained without {beside}."
    return f"{start}; without {beside}, {plainly(control, whose)}."


def _numbers_sentence(main: pd.Series, others: pd.DataFrame, unit: str, alpha: float) -> str:
    """Return the numbers of the first sentence, and of the controls beside it."""
    parts = [
        f"In numbers: without {arm_words(main['arm'], main['k'])}, {_numbers(main, unit, alpha)}"
    ]
    for _, row in others[others["effect"].notna() & (others["arm"] != Arm.FAMILY)].iterrows():
        parts.append(f"without {arm_words(row['arm'], row['k'])}, {_numbers(row, unit, alpha)}")
    return "; ".join(parts) + "."


def _numbers(row: pd.Series, unit: str, alpha: float) -> str:
    return in_numbers(Estimate.of(row, unit, alpha))


def _equivalent_sentence(main: pd.Series, equivalent: Sequence[Mapping[str, Any]]) -> str:
    """Say how many random images do as much; nothing where no bank of models measured it."""
    for row in equivalent:
        same = row["arm"] == main["arm"] and (row["k"] is None or row["k"] == main["k"])
        if same:
            return f"To do as much with random images, this many must go at once: {row['words']}."
    return ""


def _control_sentence(measured: pd.DataFrame, main: pd.Series, unit: str, alpha: float) -> str:
    control = measured[(measured["arm"] == Arm.FAMILY) & (main["arm"] != Arm.FAMILY)]
    if control.empty:
        return ""
    said = effect_in_words(Estimate.of(control.iloc[0], unit, alpha), "its pictures")
    return f"Positive control: without {arm_words(Arm.FAMILY)}, {said}."


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


def _verdict_sentences(
    effects: pd.DataFrame, verdicts: pd.DataFrame, alpha: float, models: int
) -> list[str]:
    queries, controls = split_controls(effects, verdicts)
    sentences = []
    if len(queries):
        sentences += [count_sentence(queries, alpha), *stricter_sentences(queries, alpha, models)]
    if len(controls):
        found = verdict_counts(controls)[Verdict.ATTRIBUTABLE]
        sentences.append(f"Positive controls attributable: {found} of {len(controls)}.")
    return [*sentences, *random_sentences(effects, alpha)]


def count_sentence(queries: pd.DataFrame, alpha: float = DEFAULT_ALPHA) -> str:
    """Count the verdicts on queries: the count that a run is known by."""
    counts = ", ".join(f"{n} {name}" for name, n in verdict_counts(queries).items())
    return f"Of {len(queries)} prompts: {counts}; each by itself at the {_percent(alpha)} level."


def stricter_sentences(
    queries: pd.DataFrame, alpha: float = DEFAULT_ALPHA, models: int = 0
) -> list[str]:
    """Say how many verdicts may be claimed together: a stricter count, not another finding.

    With few models no p can be small enough for many prompts, whatever the effects are.
    """
    adjusted = queries.get("p_holm", pd.Series(dtype=float)).dropna()
    if len(adjusted) < 2:
        return []
    kept = int((adjusted <= alpha).sum())
    found = [
        f"A stricter count keeps the {_percent(alpha)} for all {len(adjusted)} prompts together "
        f"instead of for each (Holm’s correction): by it, {kept} of {len(adjusted)} stay "
        f"attributable (smallest adjusted {p_value(adjusted.min())})."
    ]
    least = 1 / math.comb(models, models // 2) if models else 0.0
    if kept == 0 and least * len(adjusted) > alpha:
        found.append(
            f"That says nothing against the effects: with {models} models no prompt’s p can be "
            f"below {least:.2g}, too large for {len(adjusted)} prompts whatever the effects are. "
            "More models would lower it."
        )
    return found


def random_sentences(effects: pd.DataFrame, alpha: float = DEFAULT_ALPHA) -> list[str]:
    """Count the single random sets that the test of the verdicts calls attributable, and why."""
    random = single_effects(effects, Design.RANDOMISED)
    random = random[random["arm"].str.startswith("random")]
    tested = random[random["p_value"].notna()]
    if tested.empty:
        return []
    wrong = int((tested["p_value"] <= alpha).sum())
    what = "prompts by random sets" if _together(effects) else "single random sets"
    found = [
        f"The same test on {len(tested)} {what}, which should not matter, calls {wrong} "
        f"attributable; by chance up to {alpha * len(tested):.1f} are to be expected."
    ]
    if untested := len(random) - len(tested):
        sets = "one more set was" if untested == 1 else f"{untested} more sets were"
        found.append(
            f"{sets.capitalize()} left out of the same models as the images found, or of exactly "
            "the others, and cannot be tested apart from them."
        )
    return found


def _percent(alpha: float) -> str:
    return f"{100 * alpha:g}\N{NO-BREAK SPACE}%"

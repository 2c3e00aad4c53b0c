"""A finished run as tables and as one plain answer."""

from __future__ import annotations

import math

import pandas as pd

from untrain.evaluation.units import BITS, amount, primary
from untrain.report.folder import COLUMNS, Run, rows
from untrain.report.words import bare_p, interval, number, p_value, size, uncertainty

VERDICTS = ("attributable", "undecided", "not attributable")

ARMS = {
    "targeted": "the {k} images found for a prompt",
    "family": "the true family of each control prompt",
    "random_uniform": "{k} random ones",
    "random_candidate": "{k} random ones of those retrieved",
    "least_similar": "the {k} least similar of those retrieved",
    "ids": "the {k} images listed",
    "none": "none of its images",
    "reseed": "any, but with another seed",
    "full": "any",
}
"""Each arm as the end of "models trained without …"; the order is that of every table."""

GIVEN = (
    "No counterfactual was made: the pictures were given, and there is no model to train without "
    "any image.",
    "What follows says which training images are nearest to each picture, and whether one looks "
    "like a copy; whether any of them mattered is not known.",
)
"""The answer of a run without a model."""

FEW_PROMPTS = 10
LEVEL = 0.05
EFFECTS = COLUMNS["results/effects.parquet"]

STANDING = (
    "The autoencoder and the tokenizer are frozen, shared by all models, and saw the removed "
    "images; what those images taught them is not part of the effects."
)
"""The warning that holds for every run of the generator `dalle`; others have their own, or none."""


def designs(effects: pd.DataFrame) -> tuple[str, str]:
    """Return the design that the answer rests on and its naive counterpart."""
    if (effects["design"] == "before-after").any():
        return "before-after", "before-after-naive"
    return "randomised", "naive"


def arm_order(arm: str) -> tuple[int, str]:
    """Sort key of an arm: what was chosen first, then its controls, then what we do not know."""
    return (list(ARMS).index(arm) if arm in ARMS else len(ARMS), arm)


def arm_label(arm: str) -> str:
    """Return an arm's name for tables."""
    return {"none": "nothing of its own", "full": "nothing", "reseed": "nothing, other seed"}.get(
        arm, arm.replace("_", " ")
    )


def arm_words(arm: str, k: float = math.nan) -> str:
    """Return an arm as the end of "models trained without …"."""
    size = "" if math.isnan(k) else f"{k:g}"
    words = ARMS.get(arm, f"the {{k}} images of arm “{arm_label(arm)}”")
    return " ".join(words.format(k=size).split())


def overall_table(effects: pd.DataFrame, measure: str = "") -> pd.DataFrame:
    """Return the overall effects, one row an arm and size, the naive figures beside them.

    Parameters
    ----------
    effects : DataFrame
        The run's ``results/effects.parquet``.
    measure : str
        Which measure; if left out the one that the answer is about, of which larger is worse.

    Returns
    -------
    DataFrame
        ``arm, k, effect, low, high, p, two_sided_p, null_sd, n_units, naive, naive_low,
        naive_high, naive_p``; NaN where a figure does not exist, as the k of a before-after design.
    """
    effects = effects.reindex(columns=list(EFFECTS))
    wanted = measure or primary(effects)
    overall = effects[(effects["prompt_id"].fillna("") == "") & (effects["measure"] == wanted)]
    overall = overall.assign(k=overall["k"].astype(float).where(overall["k"] > 0))
    overall = overall.rename(columns={"estimate": "effect", "p_value": "p"})
    chosen, naive = designs(effects)
    left = overall[overall["design"] == chosen].drop(columns=["design", "prompt_id", "measure"])
    right = overall.loc[overall["design"] == naive, ["arm", "k", "effect", "low", "high", "p"]]
    right.columns = pd.Index(["arm", "k", "naive", "naive_low", "naive_high", "naive_p"])
    table = left.merge(right, on=["arm", "k"], how="outer")
    table = table.assign(order=table["arm"].map(arm_order)).sort_values(["order", "k"])
    ends = ["effect", "low", "high", "p", "two_sided_p", "null_sd", "n_units", *right.columns[2:]]
    return table[["arm", "k", *ends]].reset_index(drop=True)


def other_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the overall effects on the other measures: `overall_table` with ``measure``."""
    parts = [overall_table(effects).iloc[:0].assign(measure="")]
    for measure in sorted(set(effects["measure"]) - {primary(effects), ""}):
        parts.append(overall_table(effects, measure).assign(measure=measure))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def prompt_table(run: Run) -> pd.DataFrame:
    """Return one row a prompt, the strongest effect first, controls last.

    Columns ``prompt_id, prompt, family, role, arm, effect, low, high, p, naive, verdict, reason,
    p_holm``.
    The effect is that of the prompt's own images: the targeted set at its primary (smallest) size,
    or the whole family of a control prompt.
    """
    table = run.prompts[list(COLUMNS["prompts.csv"])].copy()
    chosen, naive = designs(run.effects)
    own = own_rows(run.effects, chosen)
    columns = {"effect": "estimate", "low": "low", "high": "high", "p": "p_value", "arm": "arm"}
    for column, source in columns.items():
        table[column] = table["prompt_id"].map(own[source])
    table["arm"] = table["arm"].fillna("")
    table["naive"] = table["prompt_id"].map(own_rows(run.effects, naive)["estimate"])
    control = table["role"] == "control"
    # In the before-after design nothing of a control's own is removed.
    table.loc[control & (table["arm"] != "family"), [*columns.keys() - {"arm"}, "naive"]] = math.nan
    verdicts = run.verdicts.drop_duplicates("prompt_id").set_index("prompt_id")
    table["verdict"] = table["prompt_id"].map(_spelt(verdicts["verdict"])).fillna("")
    table["reason"] = table["prompt_id"].map(verdicts["reason"]).fillna("")
    table["p_holm"] = table["prompt_id"].map(verdicts["p_holm"])
    table = table.assign(control=control)
    table = table.sort_values(["control", "effect"], ascending=[True, False], kind="stable")
    return table.drop(columns="control").reset_index(drop=True)


def own_rows(effects: pd.DataFrame, design: str) -> pd.DataFrame:
    """Return each prompt's effect of its own images on the primary measure, by prompt_id."""
    rows = effects[
        (effects["design"] == design)
        & (effects["prompt_id"] != "")
        & (effects["measure"] == primary(effects))
    ]
    rows = rows.assign(order=rows["arm"].map(arm_order)).sort_values(["order", "k"])
    return rows.drop_duplicates("prompt_id").set_index("prompt_id")


def _spelt(verdicts: pd.Series) -> pd.Series:
    return verdicts.astype(str).str.replace(r"[-_]", " ", regex=True)


def verdict_counts(verdicts: pd.DataFrame) -> dict[str, int]:
    """Return how many prompts have each verdict, in the order of `VERDICTS`; others follow."""
    counts = {str(name): int(n) for name, n in _spelt(verdicts["verdict"]).value_counts().items()}
    if not counts:
        return {}
    return {name: counts.pop(name, 0) for name in VERDICTS} | dict(sorted(counts.items()))


def split_controls(
    effects: pd.DataFrame, verdicts: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the verdicts of the queries and of the positive controls (those with a family arm)."""
    own = own_rows(effects, designs(effects)[0])["arm"]
    control = verdicts["prompt_id"].map(own) == "family"
    return verdicts[~control], verdicts[control]


# The answer -------------------------------------------------------------------------------------


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


def warnings(run: Run) -> list[str]:
    """Return what a reader must know before believing the run; the gravest first."""
    quality = run.meta.get("quality")
    told = [str(text) for text in run.meta.get("warnings") or []]
    weak = [text for text in told if text.startswith("The generator is weak")]
    if run.given:
        return [GIVEN[0], *weak, *(text for text in told if text not in weak)]
    if not isinstance(quality, dict):
        weak.append("The generator's quality was not tested: look at the pictures first.")
    elif not quality.get("passed", False) and not weak:
        weak.append(
            "The generator is weak: it did not pass the quality gate. What training images do to "
            "pictures that do not show what was asked for means little."
        )
    found = weak + [text for text in told if text not in weak]
    queries = int((run.prompts["role"] != "control").sum())
    if queries < FEW_PROMPTS and not run.given:
        found.append(f"Few prompts ({queries}): an overall figure may not carry over to others.")
    return [*found, *standing(run)]


def standing(run: Run) -> list[str]:
    """Return what holds for every run of this generator: its frozen parts."""
    said = run.generator.get("frozen", STANDING)
    return [str(said)] if said else []


# Rows of text, for the page and for Markdown -----------------------------------------------------


def overall_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `overall_table` as text: arm, k, effect, interval, p, naive, its interval."""
    return [
        (
            *(arm_label(r.arm), size(r.k), number(r.effect, 3), interval(r.low, r.high, 3)),
            *(bare_p(r.p), number(r.naive, 3), interval(r.naive_low, r.naive_high, 3)),
        )
        for r in rows(table)
    ]


def other_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `other_table` as text: measure, arm, k, effect, interval, two-sided p.

    Two-sided, because of a similarity less is worse.
    """
    return [
        (
            *(r.measure.replace("_", " "), arm_label(r.arm), size(r.k)),
            *(number(r.effect), interval(r.low, r.high), bare_p(r.two_sided_p)),
        )
        for r in rows(table[table["effect"].notna()])
    ]


def prompt_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `prompt_table` as text: prompt, effect, interval, p, naive, verdict."""
    return [
        (
            *(r.prompt + " (control)" * (r.role == "control"), number(r.effect, 3)),
            *(interval(r.low, r.high, 3), _with_holm(r.p, r.p_holm)),
            *(number(r.naive, 3), r.verdict or "—"),
        )
        for r in rows(table)
    ]


def _with_holm(p: float, holm: float) -> str:
    return bare_p(p) + ("" if math.isnan(holm) else f" ({bare_p(holm)})")


PLACES = ("First", "Second", "Third")


def nearest(run: Run) -> list[tuple[str, ...]]:
    """Return each prompt with the training images that the run's ranking puts first, three ids."""
    method = (run.config.get("ranking") or {}).get("method")
    chosen = run.ranking[run.ranking["rank"] <= len(PLACES)]
    chosen = chosen[chosen["method"] == method] if method else chosen
    found = dict(list(chosen.sort_values("rank").groupby("prompt_id")["image_id"]))
    lines = []
    for prompt in rows(run.prompts):
        ids = [str(image_id) for image_id in found.get(prompt.prompt_id, [])][: len(PLACES)]
        lines.append((str(prompt.prompt), *ids, *[""] * (len(PLACES) - len(ids))))
    return lines

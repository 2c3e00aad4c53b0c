"""A finished run as tables, and what a reader must know before believing them."""

from __future__ import annotations

import math

import pandas as pd

from untrain.evaluation.measurement import primary
from untrain.report.words import bare_p, interval, number, size
from untrain.runs.results import COLUMNS, Run, rows

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


def warnings(run: Run) -> list[str]:
    """Return what a reader must know before believing the run; the gravest first."""
    quality = run.meta.get("quality")
    notes = run.meta.get("warnings") or []
    told = [str(note["text"]) for note in notes]
    weak = [str(note["text"]) for note in notes if note["code"] == "generator-weak"]
    if run.given:
        return [GIVEN[0], *weak, *(text for text in told if text not in weak)]
    if not isinstance(quality, dict):
        weak.append("The generator's quality was not tested: look at the pictures first.")
    elif not quality.get("passed", False) and not weak:
        weak.append(
            "The generator is weak: it did not pass the quality gate. What training images do to "
            "pictures that do not show what was asked for means little."
        )
    found = weak + _failed_control(run) + [text for text in told if text not in weak]
    queries = int((run.prompts["role"] != "control").sum())
    if queries < FEW_PROMPTS and not run.given:
        found.append(f"Few prompts ({queries}): an overall figure may not carry over to others.")
    return [*found, *standing(run)]


def _failed_control(run: Run) -> list[str]:
    """Warn where the removal of images that are known to matter did nothing that can be seen."""
    table = overall_table(run.effects)
    control = table[(table["arm"] == "family") & table["p"].notna()]
    if control.empty or control.iloc[0]["p"] <= LEVEL:
        return []
    return [
        f"The positive control failed: without {arm_words('family')} the effect is "
        f"{number(control.iloc[0]['effect'])}. A trial that does not see this sees nothing: do not "
        "read its other figures."
    ]


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

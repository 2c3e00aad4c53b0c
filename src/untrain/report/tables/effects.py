"""The effects and verdicts of a run as tables: numbers, and the same as text."""

from __future__ import annotations

import math

import pandas as pd

from untrain.core.tables import EFFECTS, PROMPTS
from untrain.core.vocabulary import Design, Verdict
from untrain.evaluation.measurement import primary
from untrain.report.arms import VERDICTS, arm_label, arm_order
from untrain.report.ranking import main_ranking
from untrain.report.words import bare_p, interval, number, size
from untrain.runs.results import RunResults, rows

GROUPS = {"seen": "on training captions", "new": "on new prompts"}


def designs(effects: pd.DataFrame) -> tuple[str, str]:
    """Return the design that the answer rests on and its naive counterpart."""
    if (effects["design"] == Design.BEFORE_AFTER).any():
        return Design.BEFORE_AFTER, Design.BEFORE_AFTER_NAIVE
    return Design.RANDOMISED, Design.NAIVE


def is_overall(table: pd.DataFrame) -> pd.Series:
    """Tell which rows of effects or measures are about all prompts together."""
    return table["prompt_id"].isna()


def single_effects(effects: pd.DataFrame, design: str = "") -> pd.DataFrame:
    """Return the rows on single prompts, on the primary measure; by default the answer's design."""
    return effects[
        (effects["design"] == (design or designs(effects)[0]))
        & ~is_overall(effects)
        & (effects["measure"] == primary(effects))
    ]


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
        ``arm, k, effect, low, high, p_value, two_sided_p, null_sd, n_sets, naive, naive_low,
        naive_high, naive_p_value``; NaN where a figure does not exist, as the k of a before-after
        design.
    """
    effects = effects.reindex(columns=EFFECTS.names)
    wanted = measure or primary(effects)
    overall = effects[is_overall(effects) & (effects["measure"] == wanted)]
    chosen, naive = designs(effects)
    left = overall[overall["design"] == chosen].drop(columns=["design", "prompt_id", "measure"])
    numbers = ["effect", "low", "high", "p_value"]
    right = overall.loc[overall["design"] == naive, ["arm", "k", *numbers]]
    right.columns = pd.Index(["arm", "k", "naive", "naive_low", "naive_high", "naive_p_value"])
    table = left.merge(right, on=["arm", "k"], how="outer")
    table = table.assign(order=table["arm"].map(arm_order)).sort_values(["order", "k"])
    ends = [*numbers, "two_sided_p", "null_sd", "n_sets", *right.columns[2:]]
    return table[["arm", "k", *ends]].reset_index(drop=True)


def other_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the overall effects on the other measures: `overall_table` with ``measure``."""
    parts = [overall_table(effects).iloc[:0].assign(measure="")]
    for measure in sorted(set(effects["measure"]) - {primary(effects), ""}):
        parts.append(overall_table(effects, measure).assign(measure=measure))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def prompt_table(run: RunResults) -> pd.DataFrame:
    """Return one row a prompt, the strongest effect first, controls last.

    Columns ``prompt_id, prompt, family, role, arm, effect, low, high, p_value, naive, verdict,
    reason, p_holm``.
    The effect is that of the prompt's own images: the targeted set at its primary (smallest) size,
    or the whole family of a control prompt.
    """
    table = run.prompts[PROMPTS.names].copy()
    chosen, naive = designs(run.effects)
    own = own_rows(run.effects, chosen)
    numbers = ["effect", "low", "high", "p_value"]
    for column in [*numbers, "arm"]:
        table[column] = table["prompt_id"].map(own[column])
    table["arm"] = table["arm"].fillna("")
    table["naive"] = table["prompt_id"].map(own_rows(run.effects, naive)["effect"])
    control = table["role"] == "control"
    # In the before-after design nothing of a control's own is removed.
    table.loc[control & (table["arm"] != "family"), [*numbers, "naive"]] = math.nan
    verdicts = run.verdicts.drop_duplicates("prompt_id").set_index("prompt_id")
    table["verdict"] = table["prompt_id"].map(_spelt(verdicts["verdict"])).fillna("")
    table["reason"] = table["prompt_id"].map(verdicts["reason"]).fillna("")
    table["p_holm"] = table["prompt_id"].map(verdicts["p_holm"])
    table = table.assign(control=control)
    table = table.sort_values(["control", "effect"], ascending=[True, False], kind="stable")
    return table.drop(columns="control").reset_index(drop=True)


def own_rows(effects: pd.DataFrame, design: str) -> pd.DataFrame:
    """Return each prompt's effect of its own images on the primary measure, by prompt_id."""
    rows = single_effects(effects, design)
    rows = rows.assign(order=rows["arm"].map(arm_order)).sort_values(["order", "k"])
    return rows.drop_duplicates("prompt_id").set_index("prompt_id")


def _spelt(verdicts: pd.Series) -> pd.Series:
    return verdicts.astype(str).str.replace(r"[-_]", " ", regex=True)


def verdict_counts(verdicts: pd.DataFrame) -> dict[str, int]:
    """Return how many prompts have each verdict, in the order of `VERDICTS`; others follow.

    Where they are withheld, how many are.
    """
    counts = {str(name): int(n) for name, n in _spelt(verdicts["verdict"]).value_counts().items()}
    if not counts or set(counts) == {Verdict.WITHHELD}:
        return counts
    return {name: counts.pop(name, 0) for name in VERDICTS} | dict(sorted(counts.items()))


def split_controls(
    effects: pd.DataFrame, verdicts: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the verdicts of the queries and of the positive controls (those with a family arm)."""
    own = own_rows(effects, designs(effects)[0])["arm"]
    control = verdicts["prompt_id"].map(own) == "family"
    return verdicts[~control], verdicts[control]


# Rows of text, for the page and for Markdown -----------------------------------------------------


def overall_rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `overall_table` as text: arm, k, effect, interval, p, naive, its interval."""
    return [
        (
            *(arm_label(r.arm), size(r.k), number(r.effect, 3), interval(r.low, r.high, 3)),
            *(bare_p(r.p_value), number(r.naive, 3), interval(r.naive_low, r.naive_high, 3)),
        )
        for r in rows(table)
    ]


def group_rows(groups: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return effects by group as rows of the table of overall effects.

    Parameters
    ----------
    groups : DataFrame
        The run's ``results/groups.parquet``; empty where there is only one group of prompts.
    """
    found = []
    for group, words in GROUPS.items():
        for arm, *cells in overall_rows(overall_table(groups[groups["group"] == group])):
            found.append((f"{arm}, {words}", *cells))
    return found


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
            *(interval(r.low, r.high, 3), _with_holm(r.p_value, r.p_holm)),
            *(number(r.naive, 3), r.verdict or "—"),
        )
        for r in rows(table)
    ]


def _with_holm(p: float, holm: float) -> str:
    return bare_p(p) + ("" if math.isnan(holm) else f" ({bare_p(holm)})")


PLACES = ("First", "Second", "Third")


def nearest(run: RunResults) -> list[tuple[str, ...]]:
    """Return each prompt with the training images that the run's ranking puts first, three ids."""
    chosen = main_ranking(run)
    found = {str(p): list(ids) for p, ids in chosen.groupby("prompt_id")["image_id"]}
    lines = []
    for prompt in rows(run.prompts):
        ids = found.get(prompt.prompt_id, [])[: len(PLACES)]
        lines.append((str(prompt.prompt), *map(str, ids), *[""] * (len(PLACES) - len(ids))))
    return lines

"""Effects: how much worse (or different) is a query in models trained without a forget set?

Outcomes are read from models B only; the queries were drawn from model A, under which they are
likelier than under any other model by construction. The naive figure, measured against A, is
computed beside it to show what that does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from untrain.counterfactual.design import Assignment, redraw
from untrain.errors import InputError
from untrain.evaluation.randomisation import (
    Inference,
    can_enumerate,
    every_half,
    randomisation_test,
    with_observed,
)
from untrain.files import rng

SAMPLER = "A"
DECISIVE = ("targeted", "family")  # arms expected to move their own query by far the most
COLUMNS = [
    *("design", "arm", "prompt_id", "measure", "estimate", "low", "high", "p_value"),
    *("k", "two_sided_p", "null_sd", "n_units"),
]


@dataclass(frozen=True)
class _Contrast:
    """A sum of main effects: of one arm's increments up to k, on one prompt ("" = on all)."""

    arm: str
    k: int
    prompt_id: str
    rows: tuple[int, ...]  # units
    queries: tuple[str, ...]  # the prompt whose outcome each unit is held against; "" = the mean
    weights: tuple[float, ...]
    n_increments: int

    def decisive(self, units: pd.DataFrame, query: str) -> list[int]:
        """Return the rows of the query's targeted or family units, if they are of other arms."""
        same = (units["prompt_id"] == query) & units["arm"].isin(DECISIVE)
        return list(units.index[same & (units["arm"] != self.arm)]) if query else []


def trial_effects(
    measures: pd.DataFrame,
    units: pd.DataFrame,
    assignment: Assignment,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the effects of a randomised removal trial, with exact inference.

    The effect of a unit on its query is the mean outcome in the models where it is out minus the
    mean where it is in, generations averaged; it is a main effect, averaged over the other units
    being half in and half out. Overall effects are means over prompts. For k beyond the smallest
    the effect is the sum of the main effects of all increments up to k, which is the effect of the
    whole nested set (see `untrain.counterfactual.forget_sets`). A unit without a prompt (a user's
    list) is held against every prompt, and overall against their mean.

    The control arms are adjusted for the targeted (or family) set of the same prompt, which moves
    the query most and is out in a random half of the models too; it was drawn independently, so
    that the test stays exact (see `randomisation_test`).

    A single unit on a single query is tested against all balanced halves of the models where they
    are at most 20,000, everything else against ``draws`` re-drawn assignments.

    Parameters
    ----------
    measures : DataFrame
        model_id, prompt_id, generation, measure, value. Measures without a prompt are left out.
    units : DataFrame
        One row a unit: forget_set_id, arm, prompt_id, k.
    assignment : Assignment
        The randomised assignment that the models were trained by.
    draws : int
        Number of re-drawn assignments.
    seed : int
        Seed of the re-drawing.

    Returns
    -------
    DataFrame
        design (``randomised``, or ``naive``: models without the unit, but with the query's targeted
        set where another is removed, minus model A; over prompts, where A was measured; its arm
        ``none`` is of models that have the query's targeted set), arm,
        prompt_id ("" = overall), measure, estimate (out − in),
        low, high (95 %; NaN where there is no finite limit), p_value (one-sided, for effects above
        zero: for similarities, where harm is negative, read two_sided_p), k, two_sided_p, null_sd,
        n_units. ``attrs["warnings"]`` lists queries that were left out.

    Raises
    ------
    InputError
        If models of the assignment were not measured, or nothing was.
    """
    outcomes = _outcomes(measures)
    by_id = units.set_index("forget_set_id").loc[list(assignment.unit_ids)].reset_index()
    null = redraw(assignment, rng("randomisation", seed), draws)
    records: list[dict[str, object]] = []
    warnings: list[str] = []
    for measure, table in outcomes.items():
        complete = _complete(table, assignment.model_ids, measure, warnings)
        for contrast in _contrasts(by_id, list(complete.index)):
            outcomes_b = complete[list(assignment.model_ids)]
            result = _test(contrast, outcomes_b, by_id, assignment, null)
            records.append(_record("randomised", contrast, measure, result))
        if SAMPLER in complete:
            records += _naive(by_id, complete.dropna(subset=[SAMPLER]), measure, assignment, seed)
    effects = pd.DataFrame(records, columns=COLUMNS)
    effects.attrs["warnings"] = warnings
    return effects


def _outcomes(measures: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return, for each measure, prompts × models, averaged over generations."""
    prompts = measures["prompt_id"].fillna("").astype(str)
    kept = measures.assign(prompt_id=prompts)[prompts != ""]
    if kept.empty:
        raise InputError("no measure of any prompt was found; measure the models of the bank first")
    tables = {}
    for measure, of_measure in kept.groupby("measure"):
        cells = of_measure.groupby(["prompt_id", "model_id"])["value"].agg(["mean", "count"])
        mean, count = cells["mean"].unstack("model_id"), cells["count"].unstack("model_id")
        # Means must be over the same pictures: a model that lacks some of them counts as missing.
        every = count.drop(columns=SAMPLER, errors="ignore").max(axis=1)
        tables[str(measure)] = mean.where(count.eq(every, axis=0))
    return tables


def _complete(
    table: pd.DataFrame, models: Sequence[str], measure: str, warnings: list[str]
) -> pd.DataFrame:
    """Return the prompts measured in all models; an effect over fewer would break the balance."""
    absent = [model for model in models if model not in table]
    if absent:
        raise InputError(
            f"measure {measure}: model {absent[0]} was not measured ({len(absent)} of "
            f"{len(models)} models missing); finish the bank and measure it again"
        )
    kept = table.dropna(subset=list(models))
    for prompt_id in table.index.difference(kept.index):
        warnings.append(f"{measure}: prompt {prompt_id} left out, not measured in every model")
    return kept


def _contrasts(units: pd.DataFrame, prompts: list[str]) -> Iterator[_Contrast]:
    """Yield the effects to estimate: each arm, each k, overall and each prompt."""
    for arm, of_arm in units.groupby("arm", sort=False):
        ks = sorted(of_arm["k"].unique())
        for k in ks:
            n_increments = sum(size <= k for size in ks)
            by_prompt: dict[str, dict[int, list[int]]] = {}
            for row, prompt_id, size in zip(
                of_arm.index, of_arm["prompt_id"], of_arm["k"], strict=True
            ):
                if size <= k:
                    by_prompt.setdefault(prompt_id, {}).setdefault(size, []).append(int(row))
            shared = by_prompt.pop("", None)
            whole = {
                p: by_prompt[p]
                for p in prompts
                if p in by_prompt and len(by_prompt[p]) == n_increments
            }
            if whole:
                yield _contrast(str(arm), int(k), "", whole)
            if shared:
                yield _contrast(str(arm), int(k), "", {"": shared})
                whole = dict.fromkeys(prompts, shared)
            for prompt_id, increments in whole.items():
                yield _contrast(str(arm), int(k), prompt_id, {prompt_id: increments})


def _contrast(
    arm: str, k: int, prompt_id: str, increments: dict[str, dict[int, list[int]]]
) -> _Contrast:
    """Sum over increments of the mean over prompts of the mean over draws."""
    rows: list[int] = []
    queries: list[str] = []
    weights: list[float] = []
    for query, of_query in increments.items():
        for draws in of_query.values():
            rows += draws
            queries += [query] * len(draws)
            weights += [1 / (len(increments) * len(draws))] * len(draws)
    n_increments = len(next(iter(increments.values())))
    return _Contrast(arm, k, prompt_id, tuple(rows), tuple(queries), tuple(weights), n_increments)


def _test(
    contrast: _Contrast,
    table: pd.DataFrame,
    units: pd.DataFrame,
    assignment: Assignment,
    redrawn: np.ndarray,
) -> Inference:
    rows = list(contrast.rows)
    y = np.stack([_query(table, query) for query in contrast.queries])
    given = [assignment.out[contrast.decisive(units, query)] for query in contrast.queries]
    out = assignment.out[rows]
    if len(rows) == 1 and can_enumerate(out.shape[1]):
        return randomisation_test(y, out, every_half(out.shape[1]), given=given)
    # Under a constant effect θ of the whole set each of its increments has θ / n. Units of one
    # query move that query together; splitting θ evenly where it is not even widens the interval.
    queries = np.array(contrast.queries)
    shift = np.empty(out.shape)
    for query in set(contrast.queries):
        same = queries == query
        shift[same] = out[same].sum(axis=0) / contrast.n_increments
    null = with_observed(out, redrawn[:, rows])
    return randomisation_test(y, out, null, np.array(contrast.weights), shift, given)


def _query(table: pd.DataFrame, query: str) -> np.ndarray:
    values = table.loc[query] if query else table.mean(axis=0)
    return values.to_numpy(np.float64)


def _record(design: str, contrast: _Contrast, measure: str, result: Inference) -> dict[str, object]:
    return {
        "design": design,
        "arm": contrast.arm,
        "prompt_id": contrast.prompt_id,
        "measure": measure,
        "estimate": result.estimate,
        "low": result.low if math.isfinite(result.low) else math.nan,
        "high": result.high if math.isfinite(result.high) else math.nan,
        "p_value": result.p_value,
        "k": contrast.k,
        "two_sided_p": result.two_sided_p,
        "null_sd": result.null_sd,
        "n_units": len(contrast.rows),
    }


def _naive(
    units: pd.DataFrame, table: pd.DataFrame, measure: str, assignment: Assignment, seed: int
) -> list[dict[str, object]]:
    """Return models without the whole set minus model A: what a naive study would report.

    Where a control is removed, only models that had the query's targeted set count: else the
    control would be credited with what the targeted set did. The arm ``none`` is of all models that
    had it: what another seed, and the removal of other prompts' images, do by themselves.
    """
    records: list[dict[str, object]] = []
    own = units["arm"].isin(DECISIVE) & (units["prompt_id"] != "")
    idle = {}
    for prompt_id, of_prompt in units[own].groupby("prompt_id", sort=False):
        query = str(prompt_id)
        had = ~assignment.out[of_prompt.index].any(axis=0)
        if had.any() and query in table.index:
            values = table.loc[query, list(assignment.model_ids)].to_numpy(np.float64)
            idle[query] = values[had].mean() - table.loc[query, SAMPLER]
    key: dict[str, object] = {"design": "naive", "arm": "none", "measure": measure, "k": 0}
    records += _over_prompts(pd.Series(idle, dtype=np.float64), key, seed)
    for contrast in _contrasts(units, list(table.index)):
        if contrast.prompt_id:
            continue
        rows, queries = np.array(contrast.rows), np.array(contrast.queries)
        changes = {}
        for query in dict.fromkeys(contrast.queries):
            without = assignment.out[rows[queries == query]].all(axis=0)
            without &= ~assignment.out[contrast.decisive(units, query)].any(axis=0)
            for prompt_id in [query] if query else list(table.index):
                values = table.loc[prompt_id, list(assignment.model_ids)].to_numpy(np.float64)
                if without.any():
                    changes[prompt_id] = values[without].mean() - table.loc[prompt_id, SAMPLER]
        key = {**key, "arm": contrast.arm, "k": contrast.k}
        records += _over_prompts(pd.Series(changes, dtype=np.float64), key, seed)
    return records


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
    for measure, table in _outcomes(measures).items():
        complete = _complete(table, ["full", *arms], measure, warnings)
        for design, base, compared in (
            ("before-after", "full", arms),
            ("before-after-naive", SAMPLER, {**arms, "full": "full"}),
        ):
            if base not in complete:
                continue
            for model, arm in compared.items():
                key = {"design": design, "arm": arm, "measure": measure, "k": 0}
                change = (complete[model] - complete[base]).dropna()
                records += _over_prompts(change, key, seed, draws)
    effects = pd.DataFrame(records, columns=COLUMNS)
    effects.attrs["warnings"] = warnings
    return effects


def _over_prompts(
    changes: pd.Series, key: dict[str, object], seed: int, draws: int = 2000
) -> list[dict[str, object]]:
    """Return the overall row (Wilcoxon, bootstrap over prompts) and a bare row for each prompt."""
    if changes.empty:
        return []
    values = changes.to_numpy(np.float64)
    generator = rng("bootstrap", seed)
    means = values[generator.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5]) if len(values) > 1 else (math.nan, math.nan)
    nothing = {"low": math.nan, "high": math.nan, "p_value": math.nan, "two_sided_p": math.nan}
    overall = {
        "prompt_id": "",
        "estimate": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "p_value": _wilcoxon(values, "greater"),
        "two_sided_p": _wilcoxon(values, "two-sided"),
        "n_units": len(values),
    }
    alone = [
        {"prompt_id": prompt_id, "estimate": float(value), **nothing, "n_units": 1}
        for prompt_id, value in changes.items()
    ]
    return [{**key, **row, "null_sd": math.nan} for row in [overall, *alone]]


def _wilcoxon(values: np.ndarray, alternative: str) -> float:
    """Wilcoxon signed-rank p over prompts (1945); 1 where nothing changed at all."""
    if not np.any(values):
        return 1.0
    return float(wilcoxon(values, alternative=alternative).pvalue)

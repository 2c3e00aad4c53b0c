"""Contrasts: which units an effect is made of, and the test of it by re-drawing the assignment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.counterfactual.design import Assignment
from untrain.evaluation.outcomes import DECISIVE
from untrain.evaluation.randomisation import (
    Inference,
    can_enumerate,
    every_half,
    randomisation_test,
    with_observed,
)


@dataclass(frozen=True)
class Contrast:
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


def contrasts(units: pd.DataFrame, prompts: list[str]) -> Iterator[Contrast]:
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
) -> Contrast:
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
    return Contrast(arm, k, prompt_id, tuple(rows), tuple(queries), tuple(weights), n_increments)


def infer(
    contrast: Contrast,
    table: pd.DataFrame,
    units: pd.DataFrame,
    assignment: Assignment,
    redrawn: np.ndarray,
    adjust: bool = True,
) -> Inference:
    """Test a contrast on outcomes (prompts × models of the assignment).

    With ``adjust`` the decisive sets of a control's prompt are taken out of its outcome first.
    """
    rows = list(contrast.rows)
    y = np.stack([_query(table, query) for query in contrast.queries])
    others = [contrast.decisive(units, query) if adjust else [] for query in contrast.queries]
    given = [assignment.out[found] for found in others]
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


def record(design: str, contrast: Contrast, measure: str, result: Inference) -> dict[str, object]:
    """Return one row of the table of effects; an end that no value can give is missing."""
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

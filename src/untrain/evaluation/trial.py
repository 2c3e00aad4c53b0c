"""Contrasts: which units an effect is made of, and the test of it by re-drawing the assignment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.core.files import rng
from untrain.counterfactual.design import Assignment, by_row, redraw
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
    rows: tuple[int, ...]  # units; one that stands for several prompts is there for each
    queries: tuple[str, ...]  # the prompt whose outcome each unit is held against; "" = the mean
    weights: tuple[float, ...]
    n_increments: int

    def decisive(self, units: pd.DataFrame, query: str) -> list[int]:
        """Return the rows of the query's targeted or family units, if they are of other arms."""
        same = (units["prompt_id"] == query) & units["arm"].isin(DECISIVE)
        return list(units.index[same & (units["arm"] != self.arm)]) if query else []

    def larger(self, units: pd.DataFrame, query: str) -> list[int]:
        """Return the rows of the query's increments beyond k, if the arm is a decisive one."""
        same = (units["prompt_id"] == query) & (units["arm"] == self.arm) & (units["k"] > self.k)
        return list(units.index[same]) if query and self.arm in DECISIVE else []


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


@dataclass(frozen=True, eq=False)
class Trial:
    """A randomised trial, with what its contrasts are tested against.

    Attributes
    ----------
    units : DataFrame
        forget_set_id, arm, prompt_id, k; the index gives the rows of the assignment.
    assignment : Assignment
    redrawn : ndarray of bool, shape (draws, units, models)
        Assignments that might have been drawn as well.
    """

    units: pd.DataFrame
    assignment: Assignment
    redrawn: np.ndarray

    @classmethod
    def of(cls, units: pd.DataFrame, assignment: Assignment, draws: int, seed: int) -> Trial:
        """Order the units as the assignment has them, and draw it again."""
        redrawn = redraw(assignment, rng("randomisation", seed), draws)
        return cls(by_row(units, assignment), assignment, redrawn)

    def effects(
        self,
        table: pd.DataFrame,
        measure: str,
        units: pd.DataFrame | None = None,
        adjust: bool = True,
        scales: pd.DataFrame | None = None,
    ) -> list[dict[str, object]]:
        """Return a row of the table of effects for each contrast.

        Parameters
        ----------
        table : DataFrame, shape (prompts, models of the assignment)
            Outcomes.
        measure : str
            What they are.
        units : DataFrame, optional
            Those of `Trial.units` to test; all if left out.
        adjust : bool
            Whether the decisive sets of a control's prompt are taken out of its outcome first.
        scales : DataFrame, optional
            As ``table``, from `untrain.evaluation.weighting.control_scales`: in the effects of
            controls models count by their noise.
        """
        return [
            record(contrast, measure, infer(contrast, table, self, adjust, scales))
            for contrast in contrasts(self.units if units is None else units, list(table.index))
        ]


def infer(
    contrast: Contrast,
    table: pd.DataFrame,
    trial: Trial,
    adjust: bool = True,
    scales: pd.DataFrame | None = None,
) -> Inference:
    """Test a contrast as `Trial.effects` says."""
    rows = list(contrast.rows)
    y = np.stack([_query(table, query) for query in contrast.queries])
    others = [_others(contrast, trial, query) if adjust else [] for query in contrast.queries]
    given = [trial.assignment.out[found] for found in others]
    out, weights = trial.assignment.out[rows], np.array(contrast.weights)
    scale = None
    if scales is not None and contrast.arm not in DECISIVE:
        scale = np.stack([_scale(scales, query) for query in contrast.queries])
    alone = len(set(rows)) == 1 and all(found == others[0] for found in others)
    if alone and can_enumerate(out.shape[1]):
        # What one unit does to several queries is, on average, what it does to their average.
        halves = every_half(out.shape[1])
        mean, of_mean = weights @ y, None if scale is None else (weights @ scale)[None]
        return randomisation_test(mean[None], out[:1], halves, given=given[:1], scale=of_mean)
    # Under a constant effect θ of the whole set each of its increments has θ / n. Units of one
    # query move that query together; splitting θ evenly where it is not even widens the interval.
    queries = np.array(contrast.queries)
    shift = np.empty(out.shape)
    for query in set(contrast.queries):
        same = queries == query
        shift[same] = out[same].sum(axis=0) / contrast.n_increments
    null = with_observed(out, trial.redrawn[:, rows])
    together = adjust and contrast.n_increments > 1 and _fits(contrast, trial)
    joint = np.unique(queries, return_inverse=True)[1] if together else None
    return randomisation_test(y, out, null, weights, shift, given, scale, joint)


def _others(contrast: Contrast, trial: Trial, query: str) -> list[int]:
    """Return the units that move the query most, beside those of the contrast."""
    larger = contrast.larger(trial.units, query) if _fits(contrast, trial) else []
    return [*contrast.decisive(trial.units, query), *larger]


def _fits(contrast: Contrast, trial: Trial) -> bool:
    """Tell whether a decisive arm's nested sets can be told apart with models to spare."""
    of_arm = trial.units["k"][trial.units["arm"] == contrast.arm]
    return contrast.arm in DECISIVE and 2 * of_arm.nunique() < len(trial.assignment.model_ids)


def _scale(scales: pd.DataFrame, query: str) -> np.ndarray:
    """Return the scale of a query's outcomes; those of the mean over queries all count alike."""
    return scales.loc[query].to_numpy(np.float64) if query else np.ones(scales.shape[1])


def _query(table: pd.DataFrame, query: str) -> np.ndarray:
    values = table.loc[query] if query else table.mean(axis=0)
    return values.to_numpy(np.float64)


def record(contrast: Contrast, measure: str, result: Inference) -> dict[str, object]:
    """Return one row of the table of effects; an end that no value can give is missing."""
    return {
        "design": "randomised",
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
        "n_units": len(set(contrast.rows)),
    }

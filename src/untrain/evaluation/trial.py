"""The trial: which forget sets make up an effect, and its test by re-drawing the assignment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from untrain.core.files import rng
from untrain.core.vocabulary import Design, is_decisive, is_targeted
from untrain.counterfactual.design import Assignment, aligned, redraw
from untrain.evaluation.least_squares import Adjustment
from untrain.evaluation.randomisation import (
    Inference,
    can_enumerate,
    every_half,
    randomisation_test,
    with_observed,
)


@dataclass(frozen=True)
class Contrast:
    """A sum of main effects: of one arm's increments up to k, on one prompt or on all.

    Attributes
    ----------
    arm : str
    k : int or None
        None where sets of all sizes count.
    prompt_id : str or None
        None: the mean over prompts.
    rows : tuple of int
        The forget sets, as rows of the assignment; a set of several prompts together is repeated
        for each.
    queries : tuple of (str or None)
        The prompt whose outcome each set is measured on; None is the mean over prompts.
    weights : tuple of float
        Of each set's effect in the sum.
    n_increments : int
        How many nested increments make up the whole set of size k.
    control : str, optional
        The arm that this one is compared with.
    portions : tuple of float
        What each forget set has, as a whole, of the effect of its increment: its part of the
        increment's images, over its own share that belongs there. Empty where that is 1.
    """

    arm: str
    k: int | None
    prompt_id: str | None
    rows: tuple[int, ...]
    queries: tuple[str | None, ...]
    weights: tuple[float, ...]
    n_increments: int
    control: str | None = None
    portions: tuple[float, ...] = ()

    def decisive(self, sets: pd.DataFrame, query: str | None) -> list[int]:
        """Return the rows of the query's targeted or family sets, if they belong to other arms."""
        if query is None:
            return []
        same = (sets["prompt_id"] == query) & sets["arm"].map(is_decisive).astype(bool)
        return self._others(sets[same & (sets["arm"] != self.arm)])

    def larger(self, sets: pd.DataFrame, query: str | None) -> list[int]:
        """Return the rows of the query's increments beyond k, if the arm is a decisive one."""
        if query is None or not is_decisive(self.arm):
            return []
        same = (sets["prompt_id"] == query) & (sets["arm"] == self.arm) & (sets["k"] > self.k)
        return self._others(sets[same])

    def _others(self, sets: pd.DataFrame) -> list[int]:
        """Return the rows of sets, each once, smaller sizes first, without those of the contrast.

        A forget set that rankings share is of several arms, and its images may be of several sizes.
        """
        rows = dict.fromkeys(sets.sort_values("k", kind="stable").index)
        return [row for row in rows if row not in self.rows]


@dataclass(frozen=True)
class Part:
    """A forget set as a part of an increment of one draw.

    Attributes
    ----------
    row : int
        Of the assignment.
    draw : int
    share : float
        How much of the forget set belongs to the increment, 0 to 1.
    portion : float
        How much of the increment it is, 0 to 1.
    """

    row: int
    draw: int
    share: float = 1.0
    portion: float = 1.0


Increments = dict[int, list[Part]]
"""For each nested size the forget sets that it is made of, in every draw."""


def contrasts(sets: pd.DataFrame, prompts: list[str]) -> Iterator[Contrast]:
    """Yield the effects to estimate: each arm, each k, overall and each prompt."""
    for arm, of_arm in sets.groupby("arm", sort=False):
        ks = sorted(of_arm["k"].unique())
        for k in ks:
            n_increments = sum(size <= k for size in ks)
            by_prompt = _by_prompt(of_arm[of_arm["k"] <= k])
            shared = by_prompt.pop(None, None)
            whole: dict[str | None, Increments] = {
                p: by_prompt[p]
                for p in prompts
                if p in by_prompt and len(by_prompt[p]) == n_increments
            }
            if whole:
                yield _contrast(str(arm), int(k), None, whole)
            if shared:
                yield _contrast(str(arm), int(k), None, {None: shared})
                whole = dict.fromkeys(prompts, shared)
            for prompt_id, increments in whole.items():
                yield _contrast(str(arm), int(k), prompt_id, {prompt_id: increments})


def _by_prompt(sets: pd.DataFrame) -> dict[str | None, Increments]:
    """Return the increments of each prompt; those of None are for no prompt."""
    found: dict[str | None, Increments] = {}
    parts = parts_of(sets)
    columns = [parts[name] for name in ("prompt_id", "k", "draw", "share", "portion")]
    for row, prompt_id, size, *part in zip(sets.index, *columns, strict=True):
        of_prompt = found.setdefault(None if pd.isna(prompt_id) else prompt_id, {})
        of_prompt.setdefault(size, []).append(Part(int(row), *part))
    return found


def parts_of(sets: pd.DataFrame) -> pd.DataFrame:
    """Return sets with columns draw, share and portion, see `Part`.

    Without a column ``draw`` each row is a draw, and without ``share`` a whole set.
    """
    if "share" not in sets:
        draw = sets["draw"] if "draw" in sets else np.arange(len(sets))
        return sets.assign(draw=draw, share=1.0, portion=1.0)
    whole = sets.groupby(["arm", "prompt_id", "draw", "k"], dropna=False)["images"].transform("sum")
    return sets.assign(portion=sets["images"] / whole)


def _contrast(
    arm: str, k: int, prompt_id: str | None, increments: dict[str | None, Increments]
) -> Contrast:
    """Sum over increments of the mean over prompts of the mean over draws."""
    weights: dict[tuple[str | None, int], float] = {}
    shares: dict[tuple[str | None, int], float] = {}
    portions: dict[tuple[str | None, int], float] = {}
    for query, of_query in increments.items():
        for parts in of_query.values():
            draws = len({part.draw for part in parts})
            for part in parts:
                key = (query, part.row)
                weight = part.share / (len(increments) * draws)
                weights[key] = weights.get(key, 0.0) + weight
                shares[key] = shares.get(key, 0.0) + part.share
                portions[key] = portions.get(key, 0.0) + part.portion
    n_increments = len(next(iter(increments.values())))
    portions = {key: portion / shares[key] for key, portion in portions.items()}
    whole = all(portion == 1 for portion in portions.values())
    return Contrast(
        arm,
        k,
        prompt_id,
        tuple(row for _, row in weights),
        tuple(query for query, _ in weights),
        tuple(weights.values()),
        n_increments,
        portions=() if whole else tuple(portions.values()),
    )


@dataclass(frozen=True, eq=False)
class Trial:
    """A randomised trial, with the assignments that its contrasts are tested against.

    Attributes
    ----------
    sets : DataFrame
        forget_set_id, arm, prompt_id, k; the index gives the rows of the assignment.
    assignment : Assignment
    redrawn : ndarray of bool, shape (draws, sets, models)
        Assignments that might equally have been drawn.
    """

    sets: pd.DataFrame
    assignment: Assignment
    redrawn: np.ndarray

    @cached_property
    def several_rankings(self) -> bool:
        """Whether the first images of several rankings were removed, an arm each."""
        return sum(map(is_targeted, self.sets["arm"].unique())) > 1

    @classmethod
    def of(cls, sets: pd.DataFrame, assignment: Assignment, draws: int, seed: int) -> Trial:
        """Order the sets as in the assignment, and re-draw it."""
        redrawn = redraw(assignment, rng("randomisation", seed), draws)
        return cls(aligned(sets, assignment), assignment, redrawn)

    def effects(
        self,
        table: pd.DataFrame,
        measure: str,
        sets: pd.DataFrame | None = None,
        adjust: bool = True,
    ) -> list[dict[str, object]]:
        """Return a row of the table of effects for each contrast.

        Parameters
        ----------
        table : DataFrame, shape (prompts, models of the assignment)
            Outcomes.
        measure : str
            What they are.
        sets : DataFrame, optional
            Those of `Trial.sets` to test; by default all.
        adjust : bool
            Whether a control's outcome is adjusted for the decisive sets of its prompt.
        """
        return [
            record(contrast, measure, infer(contrast, table, self, adjust))
            for contrast in contrasts(self.sets if sets is None else sets, list(table.index))
        ]

    def null(self, rows: Sequence[int]) -> np.ndarray:
        """Return the assignments of some sets, the observed first, (1 + draws, rows, models)."""
        chosen = list(rows)
        return with_observed(self.assignment.out[chosen], self.redrawn[:, chosen])


def infer(contrast: Contrast, table: pd.DataFrame, trial: Trial, adjust: bool = True) -> Inference:
    """Test a contrast as `Trial.effects` says."""
    rows = list(contrast.rows)
    y = np.stack([_outcome(table, query) for query in contrast.queries])
    fits = _fits(contrast, trial)
    others = [_others(contrast, trial, q, fits) if adjust else [] for q in contrast.queries]
    given = tuple(trial.assignment.out[found] for found in others)
    out, weights = trial.assignment.out[rows], np.array(contrast.weights)
    single = len(set(rows)) == 1 and all(found == others[0] for found in others)
    if single and can_enumerate(out.shape[1]):
        # The mean effect of one set on several queries is its effect on their mean.
        halves = every_half(out.shape[1])
        return randomisation_test(
            (weights @ y)[None], out[:1], halves, None, None, Adjustment(given[:1])
        )
    numbers = numbered(contrast.queries)
    # Under a constant effect θ of the whole set each of its increments has θ / n, and each part of
    # an increment its portion of that. Sets of one query affect it together; splitting θ evenly
    # where the effect is uneven widens the interval.
    of_increment = np.array(contrast.portions)[:, None] * out if contrast.portions else out
    shift = np.empty(out.shape)
    for number in np.unique(numbers):
        same = numbers == number
        shift[same] = of_increment[same].sum(axis=0) / contrast.n_increments
    several = len(rows) > len(np.unique(numbers))
    parts = contrast.n_increments > 1 or (bool(contrast.portions) and several)
    together = adjust and parts and fits
    adjustment = Adjustment(given, numbers if together else None)
    return randomisation_test(y, out, trial.null(rows), weights, shift, adjustment)


def numbered(queries: Sequence[str | None]) -> np.ndarray:
    """Return a number for each query, the same for the same one."""
    numbers = {query: number for number, query in enumerate(dict.fromkeys(queries))}
    return np.array([numbers[query] for query in queries])


def _others(contrast: Contrast, trial: Trial, query: str | None, fits: bool) -> list[int]:
    """Return the sets that affect the query most, besides those of the contrast.

    ``fits`` tells whether there are enough models for the arm's own larger ones.
    """
    larger = contrast.larger(trial.sets, query) if fits else []
    found = list(dict.fromkeys([*contrast.decisive(trial.sets, query), *larger]))
    if not trial.several_rankings:
        return found
    # Several rankings make many sets for a prompt: as many as leave half of the models free, the
    # first ranking's and smaller sizes first. The sets alone decide which, not how they turned out.
    own = sum(1 for other in contrast.queries if other == query)
    return found[: max(0, (len(trial.assignment.model_ids) - 1) // 2 - own)]


def _fits(contrast: Contrast, trial: Trial) -> bool:
    """Tell whether there are enough models to separate a decisive arm's nested sets."""
    of_arm = trial.sets[trial.sets["arm"] == contrast.arm]
    sizes = of_arm["k"].nunique()
    if trial.several_rankings:  # whose forget sets are parts of these
        rows = of_arm.index.to_series().groupby(of_arm["prompt_id"].to_numpy()).nunique()
        sizes = max(sizes, rows.max() if len(rows) else 0)
    return is_decisive(contrast.arm) and 2 * sizes < len(trial.assignment.model_ids)


def _outcome(table: pd.DataFrame, query: str | None) -> np.ndarray:
    """Return the outcome of a query in each model, or the mean over all."""
    values = table.mean(axis=0) if query is None else table.loc[query]
    return values.to_numpy(np.float64)


def record(
    contrast: Contrast, measure: str, result: Inference, design: Design = Design.RANDOMISED
) -> dict[str, object]:
    """Return one row of the table of effects; a limit that is not finite is missing."""
    return {
        "design": design,
        "arm": contrast.arm,
        "control": contrast.control,
        "prompt_id": contrast.prompt_id,
        "measure": measure,
        "effect": result.effect,
        "low": result.low if math.isfinite(result.low) else math.nan,
        "high": result.high if math.isfinite(result.high) else math.nan,
        "p_value": result.p_value,
        "k": contrast.k,
        "two_sided_p": result.two_sided_p,
        "null_sd": result.null_sd,
        "n_sets": len(set(contrast.rows)),
    }

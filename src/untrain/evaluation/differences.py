"""Differences inside a trial: between an arm and a control, and a larger set and a smaller one.

That one effect is significant and another is not does not make the two different (Gelman and Stern
2006, The difference between "significant" and "not significant" is not itself statistically
significant); these are the tests of the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from untrain.core.vocabulary import Design, is_decisive, is_targeted
from untrain.evaluation.least_squares import NOTHING_GIVEN, Adjustment
from untrain.evaluation.randomisation import randomisation_test
from untrain.evaluation.trial import Contrast, Trial, numbered, parts_of, record

Counts = dict[int, tuple[float, float]]
"""What a set is made of: rows of the assignment, how much of the effect of each counts, and how
much of its increment each is."""
NONE = (0.0, 0.0)


def compare_arms(trial: Trial, table: pd.DataFrame, measure: str) -> list[dict[str, object]]:
    """Return how much larger the effect of the targeted sets is than each control arm's, by size.

    Where several rankings have targeted sets, each is compared with the control arms, and with the
    rankings after it: which of them finds what matters more? What both have in common for a prompt
    cancels out. And the sets of both together (``targeted+targeted:dtrak``) are compared with each:
    does the other ranking find anything more?

    The sets of both arms that affect a query are fitted together. All are re-drawn at once, so the
    test is exact where neither arm has an effect. The interval is for the difference, by inversion
    as in `randomisation_test`. Two rankings whose sets are too many for a joint fit are compared by
    the difference of their unadjusted effects, which is as exact and less precise.

    Parameters
    ----------
    trial : Trial
    table : DataFrame, shape (prompts, models of the assignment)
        Outcomes.
    measure : str
        What they are.

    Returns
    -------
    list of dict
        Rows of the table of effects, with the design ``randomised-difference``, over all prompts
        that have sets of both arms, not the same ones; ``control`` is the other arm. None where
        there are too few models to separate the sets of a prompt from random ones.
    """
    arms = trial.sets.loc[trial.sets["prompt_id"].notna(), "arm"].unique()
    chosen = [str(arm) for arm in arms if is_targeted(arm)]
    controls = [str(arm) for arm in arms if not is_decisive(arm)]
    pairs: list[tuple[tuple[str, ...], str]]
    pairs = [((arm,), control) for arm in chosen for control in controls]
    for one, two in combinations(chosen, 2):
        pairs += [((one,), two), ((one, two), one), ((one, two), two)]
    found = []
    for compared, control in pairs:
        for k in _sizes(trial, compared[0]):
            own = {p: of for p, of in _union(trial, compared, k).items() if p in table.index}
            others = _nested(trial, control, k)
            both = {p: (own[p], others[p]) for p in own if p in others}
            if both:
                found += list(_difference(trial, table, measure, compared, control, k, both))
    return found


def _difference(
    trial: Trial,
    table: pd.DataFrame,
    measure: str,
    arms: tuple[str, ...],
    control: str,
    k: int,
    both: Mapping[str, tuple[Counts, Counts]],
) -> Iterator[dict[str, object]]:
    out, half = trial.assignment.out, trial.assignment.out.shape[1] / 2
    rows: list[int] = []
    queries: list[str] = []
    weights: list[float] = []
    beside: dict[str, list[int]] = {}
    further: dict[str, list[int]] = {}
    shift: list[np.ndarray] = []
    sizes: dict[str, int] = {}
    for query, (own, others) in both.items():
        more = {row: own.get(row, NONE)[0] - others.get(row, NONE)[0] for row in {**own, **others}}
        tested = [row for row, count in more.items() if count]
        larger = [*arms, control] if is_targeted(control) else arms
        beyond = [row for arm in larger for row in _beyond(trial, arm, query, k)]
        beside[query] = [row for row in dict.fromkeys([*more, *beyond]) if row not in tested]
        known = {*tested, *beside[query]}
        further[query] = [row for row in _rankings(trial, query) if row not in known]
        sizes[query] = len(known)
        rows += tested
        queries += [query] * len(tested)
        weights += [more[row] for row in tested]
        shift += [_moved(out, more, own, others)] * len(tested) if tested else []
    # Beside random sets few others affect a prompt; of two rankings each has several.
    fits = max(sizes.values()) < (half if is_targeted(control) else 2 * half - 1)
    if not rows or not (fits or is_targeted(control)):
        return
    if all(size + len(further[query]) < half for query, size in sizes.items()):
        beside = {query: [*beside[query], *further[query]] for query in both}
    given = tuple(out[beside[query]] for query in queries)
    n_queries = len(set(queries))
    result = randomisation_test(
        table.loc[queries].to_numpy(np.float64),
        out[rows],
        trial.null(rows),
        np.array(weights) / n_queries,
        np.stack(shift),
        Adjustment(given, numbered(queries)) if fits else NOTHING_GIVEN,
    )
    name = "+".join(arms)
    contrast = Contrast(name, k, None, tuple(rows), tuple(queries), (), 1, control)
    yield record(contrast, measure, result, Design.DIFFERENCE)


def _moved(out: np.ndarray, more: Mapping[int, float], own: Counts, others: Counts) -> np.ndarray:
    """Return what one unit of a difference adds to a query's outcome, (models,).

    It is the effect of what only the first set has, split by increments and in these by images; or,
    where it is all in the other set too, what that lacks because of what only the other has.
    """
    sign, side = (1, own) if any(count > 0 for count in more.values()) else (-1, others)
    chosen = {row: side[row][1] for row, count in more.items() if sign * count > 0}
    whole = sum(portion * sign * more[row] for row, portion in chosen.items())
    moved = np.array(list(chosen.values())) @ out[list(chosen)]
    return np.asarray(sign * moved / whole)


def compare_sizes(trial: Trial, table: pd.DataFrame, measure: str) -> list[dict[str, object]]:
    """Return how much larger the effect of each targeted set is than that of the next smaller one.

    The other increments of the prompt keep their assignment and are adjusted for: the null
    hypothesis is that this increment has no effect, whatever the others have.

    Parameters
    ----------
    trial, table, measure
        As for `compare_arms`.

    Returns
    -------
    list of dict
        Rows of the table of effects, with the design ``randomised-increment``; k is that of the
        larger set.
    """
    chosen = [str(arm) for arm in trial.sets["arm"].unique() if is_targeted(arm)]
    return [row for arm in chosen for row in _compare_sizes(trial, table, measure, arm)]


def _compare_sizes(
    trial: Trial, table: pd.DataFrame, measure: str, arm: str
) -> list[dict[str, object]]:
    sets = parts_of(trial.sets)
    own = sets[(sets["arm"] == arm) & sets["prompt_id"].isin(table.index)]
    out, found = trial.assignment.out, []
    for k in _sizes(trial, arm)[1:]:
        of_size = own[own["k"] == k]
        rows, queries = [int(row) for row in of_size.index], list(of_size["prompt_id"])
        beside = [
            list(dict.fromkeys(own.index[(own["prompt_id"] == query) & (own["k"] != k)]))
            for query in queries
        ]
        beside = [[row for row in given if row not in rows] for given in beside]
        if not beside or 2 + max(map(len, beside)) >= len(trial.assignment.model_ids):
            continue
        weights, shift = of_size["share"].to_numpy(np.float64), None
        n_queries = len(set(queries))
        if len(rows) > n_queries or (weights != 1).any():
            portions = of_size["portion"].to_numpy(np.float64)
            same = np.equal.outer(numbers := numbered(queries), numbers)
            shift = same @ (portions[:, None] * out[rows]) / (same @ (portions * weights))[:, None]
        result = randomisation_test(
            table.loc[queries].to_numpy(np.float64),
            out[rows],
            trial.null(rows),
            weights / n_queries,
            shift,
            Adjustment(tuple(out[given] for given in beside)),
        )
        contrast = Contrast(arm, k, None, tuple(rows), tuple(queries), (), 1)
        found.append(record(contrast, measure, result, Design.INCREMENT))
    return found


def _sizes(trial: Trial, arm: str) -> list[int]:
    return sorted(int(k) for k in trial.sets.loc[trial.sets["arm"] == arm, "k"].unique())


def _nested(trial: Trial, arm: str, k: int) -> dict[str, Counts]:
    """Return what each prompt's set of size k is made of, of prompts that have all increments.

    Each increment is the mean of its draws.
    """
    sets = parts_of(trial.sets)
    of_arm = sets[(sets["arm"] == arm) & (sets["k"] <= k) & sets["prompt_id"].notna()]
    sizes = of_arm["k"].nunique()
    found: dict[str, Counts] = {}
    for query, of_prompt in of_arm.groupby("prompt_id", sort=False):
        if of_prompt["k"].nunique() != sizes or k not in of_prompt["k"].to_numpy():
            continue
        draws = of_prompt.groupby("k")["draw"].transform("nunique")
        counts: Counts = {}
        for row, share, portion in zip(
            of_prompt.index, of_prompt["share"] / draws, of_prompt["portion"], strict=True
        ):
            known = counts.get(int(row), NONE)
            counts[int(row)] = (known[0] + share, known[1] + portion)
        found[str(query)] = counts
    return found


def _union(trial: Trial, arms: tuple[str, ...], k: int) -> dict[str, Counts]:
    """Return what each prompt's sets of several arms are made of together.

    A forget set that one of them has only a share of counts with the sum of shares, at most whole.
    """
    each = [_nested(trial, arm, k) for arm in arms]
    found: dict[str, Counts] = {}
    for query in each[0]:
        if all(query in of_arm for of_arm in each):
            counts: Counts = {}
            for of_arm in each:
                for row, (count, portion) in of_arm[query].items():
                    known = counts.get(row, NONE)
                    counts[row] = (min(1.0, known[0] + count), max(known[1], portion))
            found[query] = counts
    return found


def _rankings(trial: Trial, query: str) -> list[int]:
    """Return the rows of all targeted sets of a prompt, where several rankings have some."""
    if not trial.several_rankings:
        return []
    chosen = trial.sets["arm"].map(is_targeted).astype(bool)
    return list(dict.fromkeys(trial.sets.index[chosen & (trial.sets["prompt_id"] == query)]))


def _beyond(trial: Trial, arm: str, query: str, k: int) -> list[int]:
    """Return the rows of the prompt's increments beyond k of a targeted arm."""
    sets = trial.sets
    same = (sets["prompt_id"] == query) & (sets["arm"] == arm) & (sets["k"] > k)
    return list(sets.index[same])

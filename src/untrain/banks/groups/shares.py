"""The shares of groups: values of a bank of groups, with what attributors' scores say of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.banks.groups.bank import DRAW, EMPTY, FULL, ONE_OUT, GroupBank
from untrain.core import vocabulary
from untrain.core.bank_tables import SHARES
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.evaluation.agreement import agreement
from untrain.evaluation.lds import Estimate
from untrain.evaluation.measurement import is_bits, measure_of
from untrain.evaluation.shares import Game, Values, group_values
from untrain.evaluation.verdicts import holm
from untrain.runs.run import Run
from untrain.runs.shares import (
    HELD_OUT,
    NOT_SEPARABLE,
    NOTHING_LEARNT,
    OVERALL,
    PICTURE,
    PROMPT,
    SEPARABLE,
    THESE,
    UNIFORM,
    UNKNOWN,
    UNTRAINED,
    Shares,
)

LIMITED = ("shapley", "owen", "banzhaf", "last")
"""The values that have intervals."""


@dataclass(frozen=True)
class Item:
    """Something that a group may be worth something to.

    Attributes
    ----------
    scope : str
    prompt_id : str or None
    generation : int or None
    columns : ndarray of int
        Of the outcomes; more than one of a mean over prompts.
    fixed : bool
        Whether intervals are about these very columns, not about others of their kind.
    """

    scope: str
    prompt_id: str | None
    generation: int | None
    columns: np.ndarray
    fixed: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """Return what it is known by in tables."""
        return {
            "scope": self.scope,
            "prompt_id": self.prompt_id,
            "generation": self.generation,
        }


def shares_of(run: Run, bank: GroupBank, baseline: str = UNTRAINED) -> Shares:
    """Return what each group of a bank is worth to every picture, every prompt and overall.

    ``overall`` is the mean over the prompts that are queries, with intervals over prompts as well,
    ``these_prompts`` the same for these very prompts; controls have rows of their own only.

    Parameters
    ----------
    run : Run
    bank : GroupBank
    baseline : {'untrained', 'uniform'}
        What a model knows that has learnt nothing: what the untrained model does, or nothing, all
        codes being equally likely.

    Raises
    ------
    InputError
        The bank has too few models for its groups, or the run's model has no codes that could be
        equally likely.
    """
    worth, items = _worth(run, bank)
    kinds = bank.models["kind"].to_numpy(str)
    full, empty = (worth[kinds == kind][0] for kind in (FULL, EMPTY))
    if baseline == UNIFORM:
        empty = np.full_like(empty, -_uniform(run))
    elif baseline != UNTRAINED:
        raise InputError(f"the baseline is '{baseline}'; expected {UNTRAINED} or {UNIFORM}")
    drawn = kinds == DRAW
    game = Game(bank.kept[drawn], worth[drawn], full, empty)
    values = group_values(game)
    sizes, alpha = bank.groups.sizes, float(run.config.evaluation.alpha)
    alone = _leave_one_out(bank, worth, full)
    rows: list[dict[str, Any]] = []
    for item in items:
        learnt = float((full - empty)[item.columns].mean())
        rows += _rows(item, learnt, values, alone, bank.groups.names, sizes, alpha)
    table = SHARES.of(rows)
    return Shares(
        table,
        bank.groups.by,
        bank.groups.key,
        run.config.name,
        run.unit,
        len(run.catalog),
        int((run.prompts["role"] == vocabulary.Role.QUERY).sum()),
        models={kind: int((kinds == kind).sum()) for kind in (DRAW, FULL, EMPTY, ONE_OUT)},
        shares=tuple(sorted(set(bank.models["share"][drawn].astype(float)))),
        baseline=baseline,
        totals=pd.DataFrame([_total(item, full, empty, values) for item in items]),
        checks=_checks(table),
        notes=(*bank.groups.notes, *_notes(items, full, empty)),
    )


def _worth(run: Run, bank: GroupBank) -> tuple[np.ndarray, list[Item]]:
    """Return minus the measures, (models, columns), and what their columns are about.

    Columns are pictures, then prompts (means over their pictures), then the held-out pairs.
    """
    measure = measure_of(run.unit)
    order = bank.models["model_id"]
    table = bank.outcomes.copy()
    pictures = table[table["measure"] == measure].pivot_table(
        index="model_id", columns=["prompt_id", "generation"], values="value", sort=False
    )
    prompts = pictures.T.groupby(level="prompt_id", sort=False).mean().T
    parts = [pictures.reindex(order).to_numpy(), prompts.reindex(order).to_numpy()]
    held = table[table["measure"] == vocabulary.held_out(measure)].set_index("model_id")["value"]
    if len(held):
        parts.append(held.reindex(order).to_numpy()[:, None])
    found = -np.hstack([part.astype(np.float64) for part in parts])
    if np.isnan(found).any():
        name = order.iloc[int(np.isnan(found).any(axis=1).argmax())]
        raise InputError(
            f"not all pictures were measured in model {name}: run `untrain bank FILE --by "
            f"{bank.groups.by}` again"
        )
    asked = set(run.prompts["prompt_id"][run.prompts["role"] == vocabulary.Role.QUERY])
    first = pictures.shape[1]
    ids = list(prompts.columns)
    queries = np.array([first + i for i, name in enumerate(ids) if name in asked], np.int64)
    if not len(queries):
        raise InputError("there are only control prompts; shares need other prompts too")
    items = [
        Item(OVERALL, None, None, queries),
        Item(THESE, None, None, queries, fixed=True),
    ]
    if len(held):
        items.append(Item(HELD_OUT, None, None, np.array([found.shape[1] - 1])))
    items += [Item(PROMPT, str(n), None, np.array([first + i])) for i, n in enumerate(ids)]
    items += [
        Item(PICTURE, str(key[0]), int(key[1]), np.array([i]))
        for i, key in enumerate(pictures.columns.to_list())
    ]
    return found, items


def _uniform(run: Run) -> float:
    """Return the bits of a token that could be any code."""
    noise = run.generator.noise
    if not is_bits(run.unit) or noise.kind != "gumbel":
        raise InputError(
            f"the run is measured in {run.unit} and has no codes that could be equally likely: "
            f"choose the baseline {UNTRAINED}"
        )
    return math.log2(noise.shape[1])


def _leave_one_out(bank: GroupBank, worth: np.ndarray, full: np.ndarray) -> dict[int, np.ndarray]:
    """Return what was lost where one group left by itself, by its number, each (columns,)."""
    rows = bank.models[bank.models["kind"] == ONE_OUT]
    return {int(number): full - worth[row] for row, number in rows["draw"].items()}  # type: ignore[call-overload]


def _rows(
    item: Item,
    learnt: float,
    values: Mapping[str, Values],
    alone: Mapping[int, np.ndarray],
    names: tuple[str, ...],
    sizes: np.ndarray,
    alpha: float,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each group."""
    found = [
        {kind: values[kind].of(group, item.columns, item.fixed) for kind in LIMITED}
        for group in range(len(names))
    ]
    known = [_known(each["shapley"]) for each in found]
    p = np.array(
        [e["shapley"].p_value if k else math.nan for e, k in zip(found, known, strict=True)]
    )
    adjusted = holm(p)
    for group, estimates in enumerate(found):
        row: dict[str, Any] = {**item.key, "group": names[group], "images": int(sizes[group])}
        for kind, estimate in estimates.items():
            row |= _limits(kind, estimate, 1.0, known[group])
        row |= {"p_value": p[group], "p_holm": adjusted[group]}
        row["status"] = _status(learnt, adjusted[group], alpha)
        if learnt > 0:
            row |= _limits("share", estimates["shapley"], learnt, known[group])
        if group in alone:
            row["leave_one_out"] = float(alone[group][item.columns].mean())
        yield row


def _known(estimate: Estimate) -> bool:
    """Tell whether the models say how uncertain an estimate is."""
    return len(estimate.without) > 2 and estimate.standard_error > 0


def _limits(name: str, estimate: Estimate, unit: float, known: bool) -> dict[str, float]:
    low, high = estimate.interval() if known else (math.nan, math.nan)
    return {name: estimate.mean / unit, f"{name}_low": low / unit, f"{name}_high": high / unit}


def _status(learnt: float, p: float, alpha: float) -> str:
    if not learnt > 0:
        return NOTHING_LEARNT
    if math.isnan(p):
        return UNKNOWN
    return SEPARABLE if p <= alpha else NOT_SEPARABLE


def _total(
    item: Item, full: np.ndarray, empty: np.ndarray, values: Mapping[str, Values]
) -> dict[str, Any]:
    """Return the measures with everything and nothing, and what the values leave over."""
    columns = item.columns
    learnt = float((full - empty)[columns].mean())
    left = {
        f"{kind}_remainder": learnt - float(values[kind].by_query[:, columns].sum(axis=0).mean())
        for kind in ("banzhaf", "owen")
    }
    ends = {"full": -float(full[columns].mean()), "empty": -float(empty[columns].mean())}
    return {**item.key, **ends, "learnt": learnt, **left}


def _notes(items: list[Item], full: np.ndarray, empty: np.ndarray) -> list[Note]:
    """Return a note on prompts whose pictures are no likelier than untrained."""
    nothing = [
        item.prompt_id or item.scope
        for item in items
        if item.scope not in (PICTURE, THESE) and not (full - empty)[item.columns].mean() > 0
    ]
    if not nothing:
        return []
    text = (
        f"{len(nothing)} of the things asked about are no likelier to the model than to an "
        "untrained one, so there is nothing to share out"
    )
    return [Note("nothing-learnt", text, tuple(nothing))]


def _checks(table: pd.DataFrame) -> dict[str, Any]:
    """Return how the values of the bank agree with models that one group has left."""
    return {
        f"{kind}-leave_one_out": {
            "overall": agreement(rows[kind], rows["leave_one_out"]),
            "prompts": agreement(cells[kind], cells["leave_one_out"]),
        }
        for kind in ("last", "shapley")
        for rows in [table[table["scope"] == OVERALL]]
        for cells in [table[table["scope"] == PROMPT]]
        if rows["leave_one_out"].notna().any()
    }

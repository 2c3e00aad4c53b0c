"""Tables of `ladders.py`, in Markdown: the methods by budget, at one budget, by kind of set."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from untrain.core.vocabulary import Fidelity, Group

GOAL = 0.05
"""The share of a training that is looked at closely."""


def curve(table: pd.DataFrame, groups: Sequence[Group] = (Group.FORGET, Group.QUERY)) -> list[str]:
    """Return rho on forgotten images and queries over all sets, a row a method, in Markdown."""
    overall = table[table["kind"].isna()]
    budgets = sorted(overall[overall["budget"] < 1]["budget"].unique())
    lines = ["| method | " + " | ".join(f"{b:.1%}" for b in budgets) + " |"]
    lines.append("|---|" + "--:|" * len(budgets))
    rho = overall.set_index(["method", "group", "budget"])["rho"]
    for method in _order(overall):
        if not (overall[overall["method"] == method]["budget"] < 1).any():
            continue
        cells = [
            " / ".join(_number(rho.get((method, group.value, budget))) for group in groups)
            for budget in budgets
        ]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return lines


def at_goal(table: pd.DataFrame, own_prompt: pd.DataFrame, budget: float) -> list[str]:
    """Return all that is known of each method at one budget, in Markdown."""
    of_prompt = own_prompt[own_prompt["kind"].isna()].set_index(["method", "budget"])
    overall = table[table["kind"].isna()]
    overall = overall[(overall["budget"] == budget) | (overall["budget"] == 1)]
    lines = [
        "| method | forgotten images | all queries | the set's own prompt "
        "| retained: moved, of the twin's move | held out | spent | s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for method in _order(overall):
        own = overall[overall["method"] == method].set_index("group")
        cells = [_with_interval(own, group) for group in (Group.FORGET, Group.QUERY)]
        cells.append(_interval(of_prompt.loc[(method, own["budget"].iloc[0])]))
        cells += [_number(_of(own, group, "moved")) for group in (Group.RETAINED, Group.HELD_OUT)]
        first = own.iloc[0]
        cells += [f"{first['spent']:.1%}", _number(first["seconds"], ".1f")]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return lines


def by_kind(table: pd.DataFrame, budget: float) -> list[str]:
    """Return rho at one budget by the kind of set, in Markdown; nothing where there is one kind."""
    kinds = list(table["kind"].dropna().unique())
    if len(kinds) < 2:
        return []
    own = table[(table["budget"] == budget) | (table["budget"] == 1)]
    rho = own.set_index(["method", "kind", "group"])["rho"]
    lines = ["| method | " + " | ".join(f"{kind} sets" for kind in kinds) + " |"]
    lines.append("|---|" + "--:|" * len(kinds))
    for method in _order(own):
        cells = [
            " / ".join(
                _number(rho.get((method, kind, group.value)))
                for group in (Group.FORGET, Group.QUERY)
            )
            for kind in kinds
        ]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return lines


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of texts; all columns but the first are numbers."""
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]


def _order(table: pd.DataFrame) -> list[str]:
    """Return the methods, the best on forgotten images first."""
    forget = table[table["kind"].isna() & (table["group"] == Group.FORGET)]
    best = forget.groupby("method")["rho"].max().sort_values(ascending=False)
    return [str(name) for name in best.index]


def _of(own: pd.DataFrame, group: Group, column: str) -> float | None:
    return float(own.loc[group.value, column]) if group.value in own.index else None


def _with_interval(own: pd.DataFrame, group: Group) -> str:
    return _interval(own.loc[group.value]) if group.value in own.index else "–"


def _interval(row: pd.Series) -> str:
    """Return rho with its limits, and whether the method harms."""
    harms = " **harms**" if row["verdict"] == Fidelity.HARMS else ""
    limits = f" [{_number(row['low'])}, {_number(row['high'])}]" if row["low"] == row["low"] else ""
    return f"{_number(row['rho'])}{limits}{harms}"


def _number(value: float | None, form: str = ".2f") -> str:
    if value is None or value != value:
        return "–"
    return format(value, form) if abs(value) < 100 else f"{value:.0f}"

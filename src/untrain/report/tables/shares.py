"""The shares of groups as text: a page of Markdown, the terminal's table, the report's rows."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from rich.table import Table

from untrain.core.printing import escape
from untrain.core.text import markdown, markdown_prose, markdown_table
from untrain.evaluation.measurement import in_full
from untrain.report.words import interval, number
from untrain.runs.results import RunResults, rows
from untrain.runs.shares import (
    HELD_OUT,
    OVERALL,
    SEPARABLE,
    UNIFORM,
    Shares,
    known_shares,
    read_shares,
)

STATUS = {
    "separable": "",
    "not-separable": "not separable",
    "unknown": "uncertainty unknown",
    "nothing-learnt": "nothing learnt",
}
CHECKS = {
    "last-leave_one_out": "what a group adds where nearly all others are there, against models "
    "that it has left by itself",
    "shapley-leave_one_out": "Shapley values against models that the group has left by itself",
    "from_scores-shapley": "the estimate from scores against Shapley values",
    "from_scores-last": "the estimate from scores against what a group adds where nearly all "
    "others are there",
}
HEADS = (
    *("Group", "Images", "Share", "95 % interval", "for such prompts"),
    *("Shapley", "Banzhaf", "Lost if it leaves"),
)
WIDE = 140  # columns of a terminal that shows the whole table
NARROW = (0, 1, 2, 3, 4)  # the columns that others show, and the last where there is an estimate


def shares_markdown(shares: Shares) -> str:
    """Return the content of ``results/shares-<attribute>.md``."""
    parts = [
        f"# Shares of groups by {markdown(shares.by)} in {markdown(shares.name)}",
        how_to_read(shares),
    ]
    parts += [f"## {_title(scope, shares)}\n\n{_table(shares, scope)}" for scope in _scopes(shares)]
    parts.append("\n".join(f"- {markdown_prose(line)}" for line in facts(shares)))
    parts.append(f"![Shares of groups](figures/{figure_name(shares)}.svg)")
    return "\n\n".join(part for part in parts if part) + "\n"


def figure_name(shares: Shares) -> str:
    """Return the name of the figure's files."""
    return f"shares-{shares.key}"


def how_to_read(shares: Shares) -> str:
    """Return what the figures mean."""
    if not shares.models:
        return (
            f"No model was trained for this: what the scores of {shares.scores.get('method')} say "
            f"of the {_groups(shares)} groups of {shares.images:,} training images, summed over "
            "each group."
        )
    nothing = (
        "one to which all codes are equally likely"
        if shares.baseline == UNIFORM
        else "one that was not trained at all"
    )
    return (
        f"{shares.models['draw']} models were trained without random sets of the "
        f"{_groups(shares)} groups of {shares.images:,} training images. What a model learnt of a "
        f"picture is how much likelier it is to the model than to {nothing}, in "
        f"{in_full(shares.unit)}. A group's share is its Shapley value: what it adds, averaged "
        "over all orders in which groups could have been added; shares sum to 1. The first "
        "interval is for these pictures, the second for other prompts of the kind. It says what "
        "these models learnt, by this recipe, from these images; not who deserves what. A share "
        "that is not separable could as well be zero (Holm's correction for the number of groups)."
    )


def facts(shares: Shares) -> list[str]:
    """Return totals, remainders, agreements and notes, a sentence each."""
    found = []
    for scope in _scopes(shares):
        total = shares.total(scope)
        if total:
            found.append(
                f"{_title(scope, shares)}: {number(total['empty'], 3)} with nothing, "
                f"{number(total['full'], 3)} with everything: "
                f"{number(total['learnt'], 3)} {shares.unit} were learnt. Shapley values sum to "
                f"that; Banzhaf values leave a remainder of "
                f"{number(total['banzhaf_remainder'], 3)}, Owen's estimate of the Shapley values "
                f"one of {number(total['owen_remainder'], 3)}."
            )
    for name, words in CHECKS.items():
        if name in shares.checks:
            found += [
                f"{words[0].upper()}{words[1:]}, {where}: {_agreement(shares.checks[name][key])}."
                for key, where in (("overall", "overall"), ("prompts", "prompt by prompt"))
                if shares.checks[name][key]["n"]
            ]
    grey = _inseparable(shares)
    if grey:
        found.append(f"Not separable from zero: {', '.join(grey)}.")
    return found + [note.text for note in shares.notes]


def heads(shares: Shares) -> tuple[str, ...]:
    """Return the column heads."""
    more = (f"By {shares.scores['method']}",) if shares.scores else ()
    return (*HEADS, *more) if shares.models else ("Group", "Images", *more)


def text_rows(
    shares: Shares, scope: str = OVERALL, prompt_id: str | None = None
) -> list[list[str]]:
    """Return the rows of a scope, and of a prompt, as text, the largest value first."""
    if scope != OVERALL:
        return [_cells(line, shares) for line in rows(shares.of(scope, prompt_id))]
    such = {line.group: line for line in rows(shares.overall)}
    return [_cells(line, shares, such[line.group]) for line in rows(shares.shown)]


def _cells(line: Any, shares: Shares, such: Any = None) -> list[str]:
    cells = [line.group, f"{line.images:,}"]
    if shares.models:
        told = line.status == SEPARABLE
        share = _percent(line.share) if told or not STATUS[line.status] else STATUS[line.status]
        cells += [
            share,
            _percents(line.share_low, line.share_high),
            "—" if such is None else _percents(such.share_low, such.share_high),
            f"{number(line.shapley, 3)} ({interval(line.shapley_low, line.shapley_high, 3)})",
            f"{number(line.banzhaf, 3)} ({interval(line.banzhaf_low, line.banzhaf_high, 3)})",
            number(line.leave_one_out, 3),
        ]
    if shares.scores:
        cells.append(_percent(line.share_from_scores))
    return cells


def shares_table(
    shares: Shares, scope: str = OVERALL, prompt_id: str | None = None, width: int = WIDE
) -> Table:
    """Return the table for a terminal of that width; below `WIDE`, without values in units."""
    what = f"pictures of prompt {prompt_id}" if prompt_id else _title(scope, shares)
    title = f"{shares.name}, by {shares.by}: {what}"
    shown = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    columns = list(range(len(heads(shares))))
    if width < WIDE and shares.models:
        columns = [c for c in columns if c in NARROW or c >= len(HEADS)]
    for column in columns:
        head = escape(heads(shares)[column])
        shown.add_column(head, justify="right" if column else "left", no_wrap=bool(column))
    for cells in text_rows(shares, scope, prompt_id):
        shown.add_row(*(escape(cells[column]) for column in columns))
    return shown


def shares_texts(run: RunResults) -> list[dict[str, Any]]:
    """Return what the page shows of each attribute that shares were made by."""
    found = [read_shares(run.folder, key) for key in known_shares(run.folder)]
    return [
        {
            "by": shares.by,
            "key": shares.key,
            "figure": figure_name(shares),
            "how": how_to_read(shares),
            "heads": heads(shares),
            "rows": text_rows(shares),
            "facts": facts(shares),
        }
        for shares in found
    ]


def _table(shares: Shares, scope: str) -> str:
    lines = [list(heads(shares)), ["---", *["---:"] * (len(heads(shares)) - 1)]]
    lines += [[markdown(cell) for cell in cells] for cells in text_rows(shares, scope)]
    return markdown_table(lines)


def _scopes(shares: Shares) -> list[str]:
    return [s for s in (OVERALL, HELD_OUT) if (shares.table["scope"] == s).any()]


def _title(scope: str, shares: Shares) -> str:
    if scope == HELD_OUT:
        return "held-out pairs, which no model saw"
    return f"pictures of {shares.prompts} prompts"


def _groups(shares: Shares) -> int:
    return int(shares.table["group"].nunique())


def _inseparable(shares: Shares) -> list[str]:
    table: pd.DataFrame = shares.shown
    return list(table["group"][table["status"] == "not-separable"])


def _agreement(found: dict[str, Any]) -> str:
    parts = [
        f"{words} {number(found[key], digits)}"
        for key, words, digits in (
            ("pearson", "correlation", 2),
            ("spearman", "of ranks", 2),
            ("slope", "slope", 2),
            ("rmse", "off by", 3),
        )
        if found[key] is not None
    ]
    return f"{', '.join(parts)} (n = {found['n']})"


def _percent(value: float) -> str:
    return "—" if math.isnan(value) else f"{number(100 * value, 1)} %"


def _percents(low: float, high: float) -> str:
    if math.isnan(low):
        return "—"
    return f"{number(100 * low, 1)} to {number(100 * high, 1)} %"

"""What else a run folder may hold: verdicts, leaderboard, ladder of unlearning, shares of groups.

The words and rows are those of the report and of the terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from untrain.core.errors import UntrainError
from untrain.evaluation.measurement import spoken
from untrain.report.page.cards import own_words
from untrain.report.tables import effects as tables
from untrain.report.tables import leaderboard as board_words
from untrain.report.tables import shares as share_words
from untrain.report.tables import unlearning as ladder_words
from untrain.report.words import bare_p, interval, number
from untrain.runs.fidelity import has_fidelity, read_fidelity
from untrain.runs.leaderboard import has_leaderboard, read_leaderboard
from untrain.runs.results import RunResults, rows
from untrain.runs.shares import known_shares, read_shares

Maker = Callable[[Path], dict[str, Any] | None]

HEADS = ("Prompt", "Verdict", "Effect", "95 % interval", "p")
HOW_VERDICTS = (
    "Effect: how much worse models draw the prompt's pictures once its images were taken out, in "
    "{unit}; above zero, the pictures stood on them. A verdict says whether that is more than "
    "chance and more than the margin set beforehand; undecided is no no."
)


def sections_of(folder: Path, figures: list[str]) -> list[dict[str, Any]]:
    """Return the results of a run beside its verdicts that are there: tables with how to read them.

    Each has ``id``, ``title``, ``said`` (sentences), ``how``, ``tables`` (title, heads, rows),
    ``figure`` (a name, may be empty) and ``notes``.
    """
    makers: list[Callable[[Path], dict[str, Any] | None]] = [
        _leaderboard,
        _ladder,
        *(partial(_shares, key=key) for key in known_shares(folder)),
    ]
    there = []
    for make in makers:
        with suppress(UntrainError, KeyError, TypeError, ValueError, OSError):  # of another version
            section = make(folder)
            there += [section] if section else []
    for section in there:
        section["figure"] = section["figure"] if section["figure"] in figures else ""
    return there


def tally(run: RunResults) -> list[tuple[str, int]]:
    """Return how many prompts have each verdict; controls are left out."""
    queries, _ = tables.split_controls(run.effects, run.verdicts)
    return list(tables.verdict_counts(queries).items())


def verdict_section(run: RunResults) -> dict[str, Any] | None:
    """Return the verdicts of a run, the largest effect first; None where there are none."""
    table = tables.prompt_table(run)
    table = table[table["verdict"] != ""]
    if table.empty:
        return None
    lines = [
        (
            row.prompt,
            row.verdict + (" (control)" if row.role == "control" else ""),
            number(row.effect, 3),
            interval(row.low, row.high, 3),
            bare_p(row.p_value),
        )
        for row in rows(table)
    ]
    return {
        "how": HOW_VERDICTS.format(unit=spoken(run.unit)),
        "tables": [("", HEADS, lines)],
    }


def effect_words(row: Any, run: RunResults) -> str:
    """Return what the report says of a row of the table of prompts; "" where it says nothing."""
    said = own_words(row, run)
    return "" if run.withheld or not said["words"] else f"{said['words']} {said['figures']}."


def _leaderboard(folder: Path) -> dict[str, Any] | None:
    if not has_leaderboard(folder):
        return None
    board = read_leaderboard(folder)
    return {
        "id": "leaderboard",
        "title": "Leaderboard of attributors",
        "said": [],
        "how": board_words.how_to_read(board),
        "tables": [("", board_words.headings(board), board_words.text_rows(board))],
        "figure": "leaderboard",
        "notes": board_words.notes(board),
    }


def _ladder(folder: Path) -> dict[str, Any] | None:
    if not has_fidelity(folder):
        return None
    result = read_fidelity(folder)
    budget = ladder_words.cheap_budget(result)
    main = (
        f"At {ladder_words.share(budget)} of a retraining",
        ladder_words.HEADS,
        ladder_words.fidelity_rows(result, budget),
    )
    best = (
        "At each method’s best budget",
        ladder_words.BEST_HEADS,
        ladder_words.best_rows(result),
    )
    return {
        "id": "ladder",
        "title": "Forgetting without training again",
        "said": ladder_words.answer(result),
        "how": ladder_words.how_to_read(result),
        "tables": [main, best, *ladder_words.details(result)],
        "figure": "unlearning",
        "notes": ladder_words.notes(result),
    }


def _shares(folder: Path, key: str) -> dict[str, Any]:
    shares = read_shares(folder, key)
    return {
        "id": f"shares-{key}",
        "title": f"Shares of groups by {shares.by}",
        "said": [],
        "how": share_words.how_to_read(shares),
        "tables": [("", share_words.heads(shares), share_words.text_rows(shares))],
        "figure": share_words.figure_name(shares),
        "notes": share_words.facts(shares),
    }

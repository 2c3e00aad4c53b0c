"""Two runs as the page shows them: what differs, and pictures of the same prompt side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from untrain.api.result import Result
from untrain.core.errors import InputError
from untrain.evaluation.measurement import spoken
from untrain.report.arms import arm_label
from untrain.report.tables.compared_runs import compare_runs
from untrain.report.words import interval, number, size
from untrain.runs.results import rows
from untrain.serve.runs import picture_numbers

PROMPTS, PICTURES = 12, 4
"""Prompts whose pictures are shown, and pictures of each."""


def compared_parts(first: Path, second: Path) -> dict[str, Any]:
    """Return what the template of a comparison takes, as `untrain compare` computes it.

    Raises
    ------
    InputError
        One of the runs is not finished.
    """
    found = compare_runs(first, second)
    names = found.names
    return {
        "names": names,
        "units": " and ".join(spoken(unit) for unit in dict.fromkeys(found.units)),
        "notes": list(found.notes),
        "settings": [
            (row.setting, _shown(row.first), _shown(row.second)) for row in rows(found.settings)
        ],
        "effects": [
            (
                arm_label(row.arm) + ("" if math.isnan(row.k) else f", {size(row.k)} images"),
                _figure(row.effect, row.low, row.high),
                _figure(row.effect_2, row.low_2, row.high_2),
                _figure(row.difference, row.difference_low, row.difference_high),
            )
            for row in rows(found.effects)
        ],
        "verdicts": [
            (row.group, row.verdict, int(row.first), int(row.second))
            for row in rows(found.verdicts)
        ],
        "changed": [
            (row.prompt, row.first or "—", row.second or "—") for row in rows(found.changed)
        ],
        "prompts": _prompts(first, second),
    }


def _prompts(first: Path, second: Path) -> list[dict[str, Any]]:
    """Return the prompts that both runs drew, with the pictures of each."""
    drawn = [_drawn(folder) for folder in (first, second)]
    both = [text for text in drawn[0] if text in drawn[1]][:PROMPTS]
    return [
        {
            "text": text,
            "sides": [
                {
                    "run": folder.name,
                    "id": of[text],
                    "numbers": picture_numbers(folder, "A", of[text])[:PICTURES],
                }
                for folder, of in zip((first, second), drawn, strict=True)
            ],
        }
        for text in both
    ]


def _drawn(folder: Path) -> dict[str, str]:
    """Return the ids of the prompts of a run by their text."""
    try:
        table = Result(folder).prompts
    except InputError:
        return {}
    return dict(zip(table["prompt"].astype(str), table["prompt_id"].astype(str), strict=True))


def _figure(value: float, low: float, high: float) -> tuple[str, str]:
    if math.isnan(value):
        return "—", ""
    return number(value, 3), interval(low, high, 3)


def _shown(value: Any) -> str:
    return "—" if value is None else str(value)

"""What a bank of models adds to the page: equivalent random removal, and the leaderboard."""

from __future__ import annotations

from typing import Any

from untrain.core.files import read_json
from untrain.report.leaderboard import headings, how_to_read, notes, read_leaderboard, text_rows
from untrain.report.tables.tables import arm_label
from untrain.report.words import number
from untrain.runs.results import Run


def equivalent_rows(run: Run) -> list[tuple[str, str, str, str]]:
    """Return arm, images, effect and how many random images do as much; nothing without a bank."""
    path = run.folder / "results" / "equivalent.json"
    found = read_json(path) if path.is_file() else []
    return [
        (arm_label(row["arm"]), f"{row['removed']:.0f}", number(row["effect"], 3), row["words"])
        for row in found
    ]


def leaderboard_text(run: Run) -> dict[str, Any] | None:
    """Return table and notes of the leaderboard as text, or None where there is none."""
    if not (run.folder / "results" / "leaderboard.parquet").is_file():
        return None
    table = read_leaderboard(run.folder)
    return {
        "how": how_to_read(table),
        "heads": headings(table),
        "rows": text_rows(table),
        "notes": notes(table),
    }

"""Overall effects apart for prompts that are training captions and for new ones."""

from __future__ import annotations

import pandas as pd

from untrain.report.tables.tables import overall_rows, overall_table

WORDS = {"seen": "on training captions", "new": "on new prompts"}


def group_rows(groups: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return effects by group as rows of the table of overall effects.

    Parameters
    ----------
    groups : DataFrame
        The run's ``results/groups.parquet``; empty where there is one group of prompts alone.
    """
    found = []
    for group, words in WORDS.items():
        for arm, *cells in overall_rows(overall_table(groups[groups["group"] == group])):
            found.append((f"{arm}, {words}", *cells))
    return found

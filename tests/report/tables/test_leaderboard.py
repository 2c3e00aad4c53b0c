"""The leaderboard's figure and pages show what is in the table, and nothing that is not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.report.figures.leaderboard import leaderboard_figure, save_leaderboard
from untrain.report.tables.leaderboard import (
    leaderboard_markdown,
    leaderboard_table,
)
from untrain.runs.leaderboard import Leaderboard, read_leaderboard


def board() -> Leaderboard:
    last = np.nan, np.nan, 0.0, 0.0
    rows = [
        ("family", "oracle", 0.61, 0.5, 0.7, 0.2, 0.1, 0.3, 0.9, 0.7, 1.1, 1.0, np.nan, 0.0, 0.0),
        ("fusion", "ranking", 0.41, 0.3, 0.5, 0.0, 0.0, 0.0, 0.8, 0.6, 1.0, 0.9, 0.034, 1.2, 0.25),
        ("scores:$a|b.csv", "scores", 0.2, 0.1, 0.3, -0.21, -0.3, -0.1, 0.1, -0.1, 0.3, *last),
        (
            "random",
            "chance",
            0.01,
            -0.1,
            0.1,
            -0.4,
            -0.5,
            -0.3,
            0.0,
            -0.2,
            0.2,
            0.01,
            np.nan,
            0.0,
            0.0,
        ),
    ]
    columns = [
        *("name", "kind", "lds", "lds_low", "lds_high", "lead", "lead_low", "lead_high"),
        *("effect", "effect_low", "effect_high", "family_precision"),
        *("seconds_per_query", "seconds_once", "filled"),
    ]
    made = pd.DataFrame(rows, columns=columns)
    return Leaderboard(
        made,
        name="demo",
        k=10,
        models=64,
        queries=16,
        images=1660,
        candidates=1000,
        reference="fusion",
        unit="bits/token",
        notes=(Note("attributor-left-out", "study is left out: why", ("study",)),),
    )


def test_markdown_shows_every_row_and_every_note() -> None:
    text = leaderboard_markdown(board())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert lines[0].startswith("| attributor | LDS | over fusion | effect of top 10 |")
    cells = "0.41 [0.30, 0.50] | – | +0.800 [+0.600, +1.000] | 90% | 1.2 | 0.034 | 25%"
    assert lines[3] == f"| `fusion` | {cells} |"
    assert r"`scores:$a\|b.csv`" in lines[4]
    for words in ("64 models", "1,000 of 1,660", "- study is left out: why", "not an attributor"):
        assert words in text


def test_the_figure_is_whole_and_the_same_each_time() -> None:
    plot = leaderboard_figure(board())
    ElementTree.fromstring(plot.svg)
    assert plot.svg == leaderboard_figure(board()).svg
    for words in ("fusion", "family", "knows the true family", "at random", "scores:"):
        assert words in plot.svg


def test_the_terminal_shows_names_as_they_are() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    made = board()
    renamed = made.table.replace("fusion", "scores:[red].csv")
    console.print(leaderboard_table(replace(made, table=renamed)))
    assert "scores:[red].csv" in console.export_text()


def test_files_are_written_from_the_folder_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no leaderboard"):
        read_leaderboard(tmp_path)
    board().save(tmp_path)
    save_leaderboard(tmp_path)
    assert (tmp_path / "results" / "leaderboard.md").is_file()
    assert (tmp_path / "results" / "figures" / "leaderboard.svg").is_file()

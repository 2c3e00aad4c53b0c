"""The figures hold what the tables hold."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

from untrain.report.cards import strip
from untrain.report.figures import INLINE, figures
from untrain.report.folder import read_run


def test_figures_are_valid_svg_with_text_as_text(run: Path) -> None:
    for plot in figures(read_run(run)):
        ET.fromstring(plot.svg)
        inline = plot.inline.replace("xlink:href", "href")
        assert inline.startswith("<svg")
        assert "<text" in inline
        assert not any(colour in inline for colour in INLINE)
        assert plot.caption


def test_prompts_with_dollars_and_underscores_are_no_mathematics(run: Path) -> None:
    table = pd.read_csv(run / "prompts.csv")
    table["prompt"] = [r"$x^$ \frac{", "a_b $5 and $6", "100 % <i>", "&amp; é 漢"]
    table.to_csv(run / "prompts.csv", index=False)
    svg = figures(read_run(run))[1].svg
    assert "$5 and $6" in svg
    ET.fromstring(svg)


def test_many_prompts_are_drawn_without_labels(run: Path) -> None:
    path = run / "results" / "similarity_results.csv"
    row = "a_{0},0.5,0.4,0.6,0.{1},0.4,0.6\n"
    lines = [row.format(i, 40 + i % 10) for i in range(150)]
    path.write_text("Folder,Mean_1,Min_1,Max_1,Mean_2,Min_2,Max_2\n" + "".join(lines))
    plot = figures(read_run(run))[-1]
    assert plot.name == "reference-similarity"
    assert "a 17" not in plot.svg


def test_bars_of_all_cards_share_one_scale() -> None:
    table = pd.DataFrame(
        {"estimate": [0.5, -0.5, math.nan], "low": [0.0, -1.0, 0], "high": [1.0, math.nan, 0]}
    )
    zero, bars = strip(table)
    assert zero == 50
    assert bars[0] == {"at": 75, "start": 50, "stop": 100}
    assert bars[1] == {"at": 25, "start": 0, "stop": 100}
    assert bars[2]["at"] is None


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_bars_without_numbers(values: list[float]) -> None:
    zero, bars = strip(pd.DataFrame({"estimate": values, "low": values, "high": values}))
    assert zero == 0
    assert all(bar["at"] is None for bar in bars)

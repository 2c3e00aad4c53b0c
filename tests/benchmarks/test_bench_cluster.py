"""What a large catalogue takes, reckoned from what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster_on_paper import MEASURED, Figures, Machine, on_paper, paper

FIGURES = Figures(0.036, 0.0, 0.0036, 1000, 1e-7, 0.01, 0.0)


def test_a_hundred_million_by_hand() -> None:
    found = on_paper(10**8, FIGURES, Machine(cores=10, memory=100e9, disk=1e12, read=1e9), 10)
    assert found["core_hours"] == pytest.approx(1000)
    assert found["machines"] == 10
    assert found["hours"] == pytest.approx(10)
    assert found["feeders"] == pytest.approx(10)
    assert found["features"] == pytest.approx(0.2)
    assert found["holders"] == 1
    assert found["in_memory"] == 3  # 200 GB in 80 % of 100 GB
    assert found["exact"] == pytest.approx(10 / 30)
    assert found["from_disk"] == pytest.approx(200)
    assert found["approximate"] == pytest.approx(0.016)  # ten indexes, as many cores


def test_a_cluster_that_costs_more_takes_longer() -> None:
    dear = on_paper(10**8, replace(FIGURES, overhead=0.5))
    assert dear["core_hours"] == pytest.approx(1500)


def test_the_table_has_every_figure() -> None:
    lines = paper(MEASURED).splitlines()
    assert lines[0] == "| pictures | 1e+08 | 5e+09 |"
    assert all(line.count("|") == 4 for line in lines)

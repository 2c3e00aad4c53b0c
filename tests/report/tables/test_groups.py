"""Effects by group of prompts, and Holm, where a run has them; older runs have neither."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from untrain.report.answer import answer
from untrain.report.tables import effects as tables
from untrain.report.tables.effects import group_rows
from untrain.report.tables.markdown import markdown
from untrain.report.tables.terminal import answer_and_table
from untrain.runs.results import read_results


def with_groups(run: Path) -> Path:
    effects = pd.read_parquet(run / "results" / "effects.parquet")
    overall = effects[effects["prompt_id"].isna() & (effects["measure"] == "nll")]
    groups = [overall.assign(group="new"), overall.assign(group="seen", effect=0.125)]
    pd.concat(groups).to_parquet(run / "results" / "groups.parquet", index=False)
    return run


def test_groups_follow_the_overall_effects(run: Path) -> None:
    rows = group_rows(read_results(with_groups(run)).groups)
    assert [row[0] for row in rows][:2] == [
        "targeted, on training captions",
        "family, on training captions",
    ]
    assert rows[0][2] == "0.125" and len({len(row) for row in rows}) == 1
    text = markdown(read_results(run))
    assert "| targeted, on new prompts | 10 | 0.270 |" in text
    _, table = answer_and_table(run)
    assert table.row_count == len(rows) + 3


def test_a_run_without_groups_has_none(run: Path) -> None:
    assert group_rows(read_results(run).groups) == []


def test_holm_is_told_where_it_is_known(run: Path) -> None:
    path = run / "results" / "verdicts.parquet"
    assert "Holm" not in answer(read_results(run))
    verdicts = pd.read_parquet(path)
    verdicts.assign(p_holm=[0.03, 0.5, 0.9, 0.01]).to_parquet(path)
    data = read_results(run)
    text = answer(data)
    assert "(Holm’s correction): by it, 1 of 3 stay attributable" in text
    shown = dict(zip(verdicts["prompt_id"], [0.03, 0.5, 0.9, 0.01], strict=True))
    table = tables.prompt_table(data)
    assert dict(zip(table["prompt_id"], table["p_holm"], strict=True)) == shown
    assert "0.04 (0.03)" in {row[3] for row in tables.prompt_rows(table)}
    verdicts.assign(p_holm=[0.3, 0.5, 0.9, 0.01]).to_parquet(path)
    text = answer(read_results(run))
    assert "by it, 0 of 3 stay attributable (smallest adjusted p = 0.30)" in text

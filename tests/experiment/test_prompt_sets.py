"""The script that sets the study's Table 1 beside a run over several prompt sets."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.places import ROOT

SCRIPT = ROOT / "benchmarks" / "prompt_sets.py"


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(SCRIPT))


def test_a_set_that_is_all_prompts_has_the_effects_of_the_run(
    script: dict, micro_run: Path
) -> None:
    queries = (pd.read_csv(micro_run / "prompts.csv")["role"] == "query").sum()
    (one, every), _ = script["rows_of"](micro_run, int(queries), None, 200)
    assert one["set"] == "1" and every["set"] == "all"
    effects = pd.read_parquet(micro_run / "results" / "effects.parquet")
    overall = effects[
        (effects["design"] == "randomised")
        & effects["prompt_id"].isna()
        & (effects["arm"] == "targeted")
    ].set_index("measure")["effect"]
    for row in (one, every):
        assert row["nll_targeted_effect"] == pytest.approx(overall["nll"])
        cosine = row["reference_cosine_targeted_effect"]
        assert cosine == pytest.approx(overall["reference_cosine"])
        assert row["after"] - row["control"] == pytest.approx(cosine)


def test_sets_are_judged_together(script: dict, micro_run: Path) -> None:
    rows, naive = script["rows_of"](micro_run, 2, None, 200)
    assert [row["prompts"] for row in rows] == [2, 2, 4]
    raw = [row["nll_targeted_p"] for row in rows[:-1]]
    assert rows[0]["nll_targeted_p_holm"] >= raw[0]
    assert "| 2 | — | — |" in script["markdown"](rows)
    assert "on 1 degrees of freedom" in script["remarks"](rows, naive, 200)


def test_published_tables_are_read_without_their_summary_row(script: dict, tmp_path: Path) -> None:
    text = (
        "Folder,Mean_1,Min_1,Max_1,Mean_2,Min_2,Max_2\n"
        "a,0.5,0,1,0.4,0,1\nb,0.7,0,1,0.4,0,1\n,9,9,9,9,9,9\n"
    )
    (tmp_path / "similarity_results__3.csv").write_text(text, encoding="utf-8")
    found = script["published"](tmp_path)
    assert list(found.index) == ["3", "all"]
    for name in found.index:
        values = [0.6, 0.4, -0.2, 0.1]  # the changes are −0.1 and −0.3: s.e. 0.1414 / √2
        assert found.loc[name, ["before", "after", "change", "error"]].tolist() == pytest.approx(
            values
        )

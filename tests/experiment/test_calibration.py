"""The script that counts how often verdicts err, on a small run."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.places import ROOT
from untrain.runs.run import open_run
from untrain.runs.trial import read_trial

SCRIPT = ROOT / "benchmarks" / "calibrate_verdicts.py"


@pytest.fixture(scope="module")
def script() -> Iterator[dict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))  # it imports its neighbours
        yield runpy.run_path(str(SCRIPT))


def test_every_set_of_a_run_has_a_decision(script: dict, micro_run: Path) -> None:
    table = script["decisions"](micro_run)
    sets = pd.read_parquet(micro_run / "forget_sets.parquet")
    trial = read_trial(micro_run)
    own = trial.sets["arm"].isin(["targeted", "family"])
    halves = dict(zip(trial.sets["prompt_id"][own], trial.assignment.out[own], strict=True))
    told = [
        len(set(out ^ halves[prompt])) == 2
        for out, prompt in zip(
            trial.assignment.out[~own], trial.sets["prompt_id"][~own], strict=True
        )
    ]
    assert len(table) == own.sum() + sum(told)
    prompts = pd.read_csv(micro_run / "prompts.csv").set_index("prompt_id")["family"]
    catalog = open_run(micro_run).catalog
    family = dict(zip(catalog.ids, catalog.attributes["family"], strict=True))
    for row in table.itertuples():
        ids = sets[(sets["arm"] == row.arm) & (sets["prompt_id"] == row.prompt_id)]["image_id"]
        families = {family[image_id] for image_id in ids}
        assert row.touches == (prompts[row.prompt_id] in families)


def test_shares_count_runs_and_know_their_bounds(script: dict) -> None:
    rows = [
        ("a", "random_uniform", f"p{i}", "attributable" if i == 0 else "undecided", False)
        for i in range(20)
    ]
    rows += [("b", *row[1:3], "undecided", False) for row in rows]
    rows += [(run, "family", "c0", "attributable", True) for run in "ab"]
    columns = ["run", "arm", "prompt_id", "verdict", "touches"]
    found = {row["what"]: row for row in script["shares"](pd.DataFrame(rows, columns=columns))}
    false = found["random sets, called attributable"]
    assert (false["hits"], false["sets"], false["runs"]) == (1, 40, 2)
    assert false["low"] < 0.025 < false["high"]
    assert "the share, not the whole interval" in script["judged"](false)
    family = found["whole family, called attributable"]
    assert family["share"] == 1.0 and family["low"] == pytest.approx(0.025**0.5)  # 2 of 2 runs
    assert script["judged"](family | {"low": 0.9}) == "≥ 80 %: yes, the whole interval"
    assert "NO" in script["judged"](family | {"share": 0.5, "low": 0.4})


def test_the_report_is_whole(script: dict, micro_run: Path) -> None:
    table, trial = script["decisions"](micro_run), script["read_trial"](micro_run)
    effects = pd.read_parquet(micro_run / "results" / "effects.parquet")
    overall = script["holm_over"]({"micro": effects})
    text = script["report"](script["shares"](table), [trial], table, overall)
    for words in ("random sets, called attributable", "Fewer than 5 runs", "sd 0.", "| micro |"):
        assert words in text

"""What the report says of a ladder: tables, sentences, the curve, the page's section."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from tests.helpers.ladders import drawn_outcomes
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.report.figures.unlearning import _apart, save_unlearning, unlearning_figure
from untrain.report.page.write import write_report
from untrain.report.tables.unlearning import (
    answer,
    best_rows,
    cheap_budget,
    fidelity_markdown,
    fidelity_rows,
    kind_rows,
    notes,
)
from untrain.runs.fidelity import LadderResult, ladder_result, read_fidelity

METHODS = {
    **{("nothing", budget): (0.0, 0.0) for budget in (0.02, 0.05, 0.2)},
    **{("npo:beta=0.2", budget): (0.97, 0.02) for budget in (0.02, 0.05, 0.2)},
    **{("fine_tuning", budget): (2 * budget, 0.01) for budget in (0.02, 0.05, 0.2)},
    **{("salun", budget): (0.5, 0.02) for budget in (0.02, 0.05, 0.2)},
    **{("relabel", budget): (0.3, 0.02) for budget in (0.02, 0.05, 0.2)},
    **{("ascent", budget): (200 * budget, 0.5) for budget in (0.02, 0.05, 0.2)},
    **{("oracle_matching", budget): (1.0, 0.001) for budget in (0.02, 0.05, 0.2)},
}


@pytest.fixture(scope="module")
def outcomes() -> pd.DataFrame:
    return drawn_outcomes(METHODS, models=2, sets=4)


@pytest.fixture(scope="module")
def result(outcomes: pd.DataFrame) -> LadderResult:
    skipped = Note("ladder-skipped", "salun could not be done at 0.50%: too small", ("salun",))
    return ladder_result(outcomes, "shirts", "bits/token", 400, (skipped,))


def test_the_best_by_name_at_five_percent_and_who_harms(result: LadderResult) -> None:
    said = " ".join(answer(result))
    assert "At 5\N{NO-BREAK SPACE}% of a retraining npo:beta=0.2 comes nearest" in said
    assert "which is the goal of 0.9" in said
    assert "Worse than doing nothing at some budget: ascent (" in said
    assert "oracle" not in said.partition("Worse")[0]  # it knows the twin


def test_a_goal_that_nobody_reaches_is_said_to_be_missed(outcomes: pd.DataFrame) -> None:
    some = outcomes[~outcomes["method"].isin(["npo:beta=0.2", "oracle_matching"])]
    said = " ".join(answer(ladder_result(some, "shirts", "bits/token")))
    assert "salun comes nearest" in said and "short of the goal of 0.9" in said


def test_rows_are_sorted_by_rho_and_retrained_models_come_last(result: LadderResult) -> None:
    lines = fidelity_rows(result, cheap_budget(result))
    assert [line[0] for line in lines] == [
        *("oracle_matching", "npo:beta=0.2", "salun", "relabel", "fine_tuning", "nothing"),
        *("ascent", "other seed"),
    ]
    table = result.table
    npo = table[(table["method"] == "npo:beta=0.2") & (table["budget"] == 0.05)]
    row = npo[npo["kind"].isna() & (npo["group"] == "forget")].iloc[0]
    assert lines[1][1] == "5\N{NO-BREAK SPACE}%"
    assert lines[1][2].startswith(f"{row['rho']:.2f} [{row['low']:.2f}, ")
    assert lines[1][4] == "faithful" and lines[6][4] == "harms" and "< −10" in lines[6][2]
    harm = next(line for line in best_rows(result) if line[0] == "ascent")[-1]
    assert harm.startswith("forgotten images at 2")
    assert {line[1] for line in kind_rows(result, 0.05)} == {"targeted", "random"}


def test_a_method_that_diverged_is_said_to_have(outcomes: pd.DataFrame) -> None:
    broken = outcomes.copy()
    broken.loc[broken["method"] == "ascent", "value"] = math.nan
    found = ladder_result(broken, "shirts", "bits/token")
    ascent = next(line for line in fidelity_rows(found, 0.05) if line[0] == "ascent")
    assert ascent[4] == "diverged" and ascent[2] == "—"
    unlearning_figure(found)


def test_a_result_survives_its_folder(result: LadderResult, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no results of unlearning"):
        read_fidelity(tmp_path)
    result.save(tmp_path)
    read = read_fidelity(tmp_path)
    for name in ("table", "membership", "distances"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(result, name))
    assert (read.name, read.models, read.sets, read.images) == ("shirts", 2, 4, 400)
    assert read.notes == result.notes and read.seconds == 10.0
    assert len(pd.read_csv(tmp_path / "results" / "fidelity.csv")) == len(result.table)
    save_unlearning(tmp_path)
    text = (tmp_path / "results" / "fidelity.md").read_text()
    assert text == fidelity_markdown(result)
    assert "salun could not be done" in text and "| npo:beta=0.2 |" in text
    for form in ("svg", "png", "pdf"):
        assert (tmp_path / "results" / "figures" / f"unlearning.{form}").is_file()


def test_the_curve_names_every_method_once_a_panel_and_those_that_harm(
    result: LadderResult,
) -> None:
    svg = unlearning_figure(result).svg
    words = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert words.count("fine_tuning") == 2  # grey: not in the panels of what should stay
    assert words.count("npo:beta=0.2") == 4 and words.count("exact retraining") == 4
    assert words.count("ascent: harms") == 2 and "twin of another seed" in words
    assert "doing nothing" in words
    assert unlearning_figure(result).svg == svg


def test_names_are_moved_apart_and_stay_in_order_and_inside() -> None:
    assert _apart([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    found = np.array(_apart([0.98, 0.99, 1.0, 1.0], 0.06))
    np.testing.assert_allclose(np.diff(found), 0.06)
    assert found[-1] == pytest.approx(1.0)
    crowded = np.array(_apart([0.5] * 30, 0.1))
    assert crowded[0] >= -1e-9 and crowded[-1] <= 1 + 1e-9
    assert _apart([], 0.1) == []


def test_few_models_are_said_to_be_few(result: LadderResult, outcomes: pd.DataFrame) -> None:
    assert any("need at least 4, 5 and 8" in note for note in notes(result))
    one = ladder_result(outcomes[outcomes["model_id"] == "B00"], "shirts", "bits/token")
    assert any("There is one model" in note for note in notes(one))
    assert "other seed" not in fidelity_markdown(one)


@pytest.mark.slow
def test_the_page_and_the_summary_have_a_section(result: LadderResult, run: Path) -> None:
    before = write_report(run).read_text()
    assert 'id="unlearning"' not in before
    result.save(run)
    page = write_report(run).read_text()
    assert 'id="unlearning"' in page and 'href="#unlearning"' in page
    assert "comes nearest to exact retraining" in page and 'id="figure-unlearning"' in page
    summary = (run / "results" / "summary.md").read_text()
    assert "## Unlearning" in summary and "oracle\\_matching" in summary
    assert (run / "results" / "tables" / "unlearning.tex").is_file()

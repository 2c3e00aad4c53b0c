"""The tables and the answer say what the numbers say, whatever is missing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.reports import TRIAL, effects
from untrain.core.errors import InputError
from untrain.report.answer import effect_sentences
from untrain.report.notes import warnings
from untrain.report.tables import effects as tables
from untrain.report.tables.markdown import markdown
from untrain.report.words import p_value
from untrain.runs.results import read_results

NAN = math.nan


def answer(effects: pd.DataFrame, verdicts: pd.DataFrame | None = None, **more: Any) -> str:
    return " ".join(effect_sentences(effects, verdicts, **more))


def test_answer_gives_effect_interval_control_and_naive_figure() -> None:
    text = answer(TRIAL).replace("\N{NO-BREAK SPACE}", " ")
    assert text == (
        "For models trained without the 10 images found for a prompt, each token of its pictures "
        "is about 17 % less likely; without 10 random images, there is no difference that this "
        "run can tell. In numbers: without the 10 images found for a prompt, 0.27 bits/token, "
        "95 % interval 0.20–0.35, p = 0.0005; without 10 random images, between −0.020 and 0.080 "
        "bits/token, p = 0.26. The naive comparison, with the model that drew the pictures, gives "
        "1.31, and 1.09 for models that lost none of its images: nearly all of it comes from "
        "changing the model."
    )


def test_answer_does_not_claim_what_chance_could_do() -> None:
    text = answer(effects(("randomised", "targeted", None, "nll", -0.01, -0.1, 0.1, 0.6, 10)))
    assert "there is no difference that this run can tell" in text
    assert "between −0.10 and 0.10 bits/token" in text
    assert "naive" not in text


def test_the_level_of_the_run_decides_what_is_measurable_and_what_is_false() -> None:
    table = pd.concat(
        [TRIAL, effects(("randomised", "random_uniform", "p0", "nll", 0.1, 0, 1, 0.03, 10))]
    )
    table.loc[table["arm"] == "targeted", "p_value"] = 0.03
    judged = pd.DataFrame({"prompt_id": ["p0", "p1"], "verdict": "undecided", "p_holm": 0.03})
    strict, lax = (answer(table, judged, alpha=alpha) for alpha in (0.01, 0.05))
    assert "no difference" in strict.partition(";")[0] and "17" in lax.partition(";")[0]
    assert "by it, 0 of 2 stay" in strict and "by it, 2 of 2 stay" in lax
    assert "calls 0 attributable" in strict and "calls 1 attributable" in lax


def test_the_stricter_count_says_when_models_are_too_few_for_it() -> None:
    judged = pd.DataFrame({"prompt_id": list("abcd"), "verdict": "attributable", "p_holm": 0.06})
    text = answer(TRIAL, judged, models=8)
    assert "Of 4 prompts: 4 attributable" in text and "by it, 0 of 4 stay" in text
    assert "with 8 models no prompt’s p can be below 0.014" in text
    assert "can be below" not in answer(TRIAL, judged, models=12)


def test_a_random_set_that_cannot_be_tested_is_explained() -> None:
    judged = pd.DataFrame({"prompt_id": ["p0"], "verdict": "attributable"})
    sets = effects(
        ("randomised", "random_uniform", "p0", "nll", 0.1, 0, 1, 0.3, 10),
        ("randomised", "random_uniform", "p1", "nll", NAN, NAN, NAN, NAN, 10),
    )
    text = answer(pd.concat([TRIAL, sets]), judged)
    assert "The same test on 1 single random sets" in text
    assert "One more set was left out of the same models" in text


def test_random_images_that_do_as_much_are_named_where_a_bank_measured_them() -> None:
    known = {"arm": "targeted", "k": 10, "words": "1,200 (95 % interval: 900 to 1,500)"}
    assert "this many must go at once: 1,200" in answer(TRIAL, equivalent=[known])
    assert "at once" not in answer(TRIAL, equivalent=[{**known, "k": 100}])


def test_answer_without_effects_says_so() -> None:
    assert "no answer" in answer(effects())


def test_answer_of_before_after_names_its_limits_and_the_model_trained_on_everything() -> None:
    table = effects(
        ("before-after", "targeted", None, "nll", 0.2, 0.1, 0.3, 0.01, None),
        ("before-after", "random_uniform", None, "nll", 0.05, -0.1, 0.2, 0.4, None),
        ("before-after-naive", "targeted", None, "nll", 1.2, 1.1, 1.3, 0.01, None),
        ("before-after-naive", "full", None, "nll", 1.0, 0.9, 1.1, 0.01, None),
    )
    text = answer(table)
    assert "without the images found for a prompt, 0.20 bits/token" in text
    assert "1.00 for one trained on everything: nearly all of it comes from" in text
    assert "single pair of models" in text


def test_answer_counts_controls_apart() -> None:
    table = pd.concat(
        [
            TRIAL,
            effects(
                ("randomised", "targeted", "p0", "nll", 0.3, 0.1, 0.5, 0.01, 10),
                ("randomised", "family", "c0", "nll", 0.4, 0.1, 0.5, 0.01, 12),
            ),
        ]
    )
    verdicts = pd.DataFrame(
        {"prompt_id": ["p0", "c0"], "verdict": ["undecided", "attributable"], "reason": ["", ""]}
    )
    text = answer(table, verdicts)
    assert "Of 1 prompts: 0 attributable, 1 undecided, 0 not attributable; each by" in text
    assert "Positive controls attributable: 1 of 1." in text


def test_overall_table_sets_naive_beside_the_effect_and_orders_arms() -> None:
    table = tables.overall_table(TRIAL.iloc[::-1])
    assert list(table["arm"]) == ["targeted", "random_uniform", "none"]
    assert list(table["effect"].dropna()) == [0.267, 0.0271]
    assert list(table["naive"]) == [1.31, 1.12, 1.09]


def test_overall_table_without_naive_rows_has_nan() -> None:
    table = tables.overall_table(TRIAL.iloc[:2])
    assert table["naive"].isna().all()
    assert len(table) == 2


def test_the_primary_size_is_the_smallest() -> None:
    larger = TRIAL.assign(k=100, effect=9.0)
    assert "the 10 images" in answer(pd.concat([larger, TRIAL]))


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.2, 0.35, "0.20–0.35"),
        (-0.05, 0.1, "−0.050 to 0.10"),
        (0.2, math.inf, "0.20 or more"),
        (0.2, NAN, "0.20 or more"),
        (-math.inf, 0.2, "0.20 or less"),
        (NAN, NAN, "—"),
        (-math.inf, math.inf, "—"),
    ],
)
def test_intervals_with_open_ends(low: float, high: float, text: str) -> None:
    assert tables.interval(low, high) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0005, "p = 0.0005"), (0.004, "p = 0.004"), (0.26, "p = 0.26"), (1e-6, "p < 0.0001")],
)
def test_p_values(p: float, text: str) -> None:
    assert p_value(p) == text
    assert p_value(NAN) == ""


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6))
def test_numbers_can_be_read_back(value: float) -> None:
    text = tables.number(value)
    assert "-" not in text
    assert float(text.replace("−", "-")) == pytest.approx(value, abs=max(5e-5, abs(value) * 0.06))


def test_prompt_table_is_sorted_with_controls_last(run: Path) -> None:
    table = tables.prompt_table(read_results(run))
    assert list(table["role"]) == ["query"] * 3 + ["control"]
    assert table["effect"].iloc[:3].is_monotonic_decreasing
    assert table["arm"].iloc[-1] == "family"


def test_warnings_always_name_the_frozen_parts_and_put_a_weak_generator_first(run: Path) -> None:
    data = read_results(run)
    assert warnings(data)[-1].code == "frozen-parts"
    data.meta["quality"] = {"passed": False}  # as earlier versions wrote it
    assert warnings(data)[0].code == "generator-weak"
    text = "The generator is weak: told already."
    data.meta["warnings"].append({"code": "generator-weak", "text": text})
    weak = [note.text for note in warnings(data) if note.code == "generator-weak"]
    assert weak == ["The generator is weak: told already."]


def test_markdown_escapes_what_prompts_hold(run: Path) -> None:
    text = markdown(read_results(run))
    row = next(line for line in text.splitlines() if "handbag" in line)
    assert "handbag \\| with &lt;b&gt;gold&lt;/b&gt; buckle" in row
    assert row.replace("\\|", "").count("|") == 7


def test_a_folder_without_a_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json"):
        read_results(tmp_path)


def test_ids_that_look_like_numbers_stay_text(run: Path) -> None:
    table = "prompt_id,prompt,family,role\n007,nan,,query\n"
    (run / "prompts.csv").write_text(table)
    prompts = read_results(run).prompts
    assert prompts.iloc[0].drop("family").tolist() == ["007", "nan", "query"]
    assert prompts["family"].isna().all()


def test_a_failed_positive_control_is_the_first_thing_to_know(run: Path) -> None:
    path = run / "results" / "effects.parquet"
    table = pd.read_parquet(path)
    assert "control-failed" not in {note.code for note in warnings(read_results(run))}
    failed = (table["arm"] == "family") & table["prompt_id"].isna() & (table["measure"] == "nll")
    table.loc[failed, ["effect", "p_value"]] = [-0.025, 0.94]
    table.to_parquet(path)
    assert "control-failed" in {note.code for note in warnings(read_results(run))}

"""The tables as files say what the report says, to spreadsheets and to TeX."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrain.core.files import write_json
from untrain.core.text import tex
from untrain.report.tables import effects as tables
from untrain.report.tables.exports import ReportTable, latex, report_tables, save_tables
from untrain.runs.results import read_results

NAMES = {
    *("effects-by-arm", "other-measures", "effects-by-prompt", "effects-by-prompt-and-arm"),
    *("verdicts", "most-similar"),
}


def by_name(run: Path) -> dict[str, ReportTable]:
    return {table.name: table for table in report_tables(read_results(run))}


def test_every_table_is_written_as_csv_and_latex(run: Path) -> None:
    save_tables(read_results(run))
    written = {path.name for path in (run / "results" / "tables").iterdir()}
    assert written == {f"{name}.{ending}" for name in NAMES for ending in ("csv", "tex")}


def test_a_csv_gives_the_numbers_back(run: Path) -> None:
    save_tables(read_results(run))
    for name, table in by_name(run).items():
        path = run / "results" / "tables" / f"{name}.csv"
        text = {
            c: str for c in table.numbers if not pd.api.types.is_numeric_dtype(table.numbers[c])
        }
        found = pd.read_csv(
            path, dtype=text, keep_default_na=False, na_values=[""], float_precision="round_trip"
        )
        expected = table.numbers.reset_index(drop=True).replace("", np.nan)
        pd.testing.assert_frame_equal(
            found, expected, check_dtype=False, check_exact=True, check_column_type=False
        )


def test_latex_has_booktabs_and_as_many_cells_as_heads(run: Path) -> None:
    for table in by_name(run).values():
        text = latex(table)
        rules = [text.index(rf"\{rule}rule") for rule in ("top", "mid", "bottom")]
        assert r"\label{tab:" + table.name + "}" in text
        assert rules == sorted(rules) or "longtable" in text
        lines = [line for line in text.splitlines() if re.search(r"(?<!\\)&", line)]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(table.heads) - 1}


def test_latex_shows_the_words_of_the_page(run: Path) -> None:
    found = by_name(run)
    text = latex(found["effects-by-arm"])
    assert r"targeted & 10 & 0.270 & 0.200–0.350 & 0.0005 & 1.310 & 1.240–1.390 \\" in text
    assert r"$-$0.050 to 0.100" in text
    assert r"95 \% interval" in text
    prompts = latex(found["effects-by-prompt"])
    assert r"blue handbag \textbar{} with \textless{}b\textgreater{}gold" in prompts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 % of a_b & c#1 $5", r"50 \% of a\_b \& c\#1 \$5"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a~b^c", r"a\textasciitilde{}b\textasciicircum{}c"),
        ("−0.5 to ∞", r"$-$0.5 to $\infty$"),
        ("[-0.02, +0.1] p-value of x-3", r"{}[$-$0.02, +0.1] p-value of x-3"),
        ("a -- b", "a -{}- b"),
        ("two\nlines\tand\x00 more", "two lines and  more"),
    ],
)
def test_what_tex_acts_on_is_tex(text: str, expected: str) -> None:
    assert tex(text) == expected


@given(st.text())
def test_no_text_can_act_in_tex(text: str) -> None:
    bare = tex(text).replace("$-$", "").replace(r"$\infty$", "").replace("{}", "")
    known = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|dots)"
    bare = re.sub(known, "", re.sub(r"\\[&%$#_{}]", "", bare))
    assert not re.search(r"[\\&%$#_{}^<>|\"\n\r]", bare)


def test_a_long_table_breaks_over_pages_and_says_a_prompt_once() -> None:
    words = [(f"prompt {row // 5}", "1") for row in range(50)]
    table = ReportTable("long", "Many.", pd.DataFrame({"a": range(50)}), ("Prompt", "k"), words)
    text = latex(table)
    assert r"\begin{longtable}{p{0.36\linewidth}r}" in text
    assert text.count("prompt 3 &") == 1
    assert text.count("\n & 1 ") == 40


def test_similar_images_and_those_with_high_scores_are_tables_of_their_own(run: Path) -> None:
    assert "highest-scores" not in by_name(run)
    numbers = by_name(run)["most-similar"].numbers
    own = numbers[numbers["prompt_id"] == "p01"]
    assert set(own["method"]) == {"fusion"}
    assert list(own["image_id"]) == [f"p01-{rank:04d}" for rank in range(10)]
    assert own["caption"].iloc[0] == "a shirt <script>alert(1)</script> in red"
    path, config = run / "ranking.parquet", run / "config.yaml"
    pd.read_parquet(path).replace({"method": {"fusion": "leverage"}}).to_parquet(path)
    config.write_text(config.read_text().replace("fusion", "leverage"))
    assert "most-similar" not in by_name(run)
    scored = by_name(run)["highest-scores"].numbers
    assert list(scored["image_id"]) == list(numbers["image_id"])


def test_effects_of_every_arm_on_every_prompt(run: Path) -> None:
    data = read_results(run)
    numbers = by_name(run)["effects-by-prompt-and-arm"].numbers
    assert list(numbers["prompt_id"] + " " + numbers["arm"])[:3] == [
        *("c00 family", "p00 targeted", "p00 random_uniform"),
    ]
    own = tables.prompt_table(data).set_index("prompt_id")["effect"]
    mine = numbers[numbers["arm"] == "targeted"].set_index("prompt_id")["effect"]
    assert dict(mine) == {p: own[p] for p in ("p00", "p01", "p02")}


def test_what_a_bank_says_is_written_too(run: Path) -> None:
    row = {"arm": "targeted", "k": 10, "removed": 10.0, "effect": 0.5, "equivalent": 80.0}
    write_json(
        run / "results" / "equivalent.json", [{**row, "words": "80", "most": 500, "curve": []}]
    )
    table = by_name(run)["equivalent"]
    assert "curve" not in table.numbers
    assert r"targeted & 10 & 0.500 & 80 \\" in latex(table)


def test_a_run_without_verdicts_and_effects_has_no_such_tables(run: Path) -> None:
    path = run / "results" / "effects.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    (run / "results" / "verdicts.parquet").unlink()
    assert set(by_name(run)) == {"most-similar"}

"""What is said of the copy detector is what was measured, and wrong verdicts cost the threshold."""

from __future__ import annotations

import numpy as np
import pytest

import copies_tables
from untrain.report.edited import copy_sentence, finds
from untrain.search.copy_detector import KINDS, measured
from untrain.search.copy_detector.detector import MODES, no_copies, verdict_on
from untrain.search.copy_detector.measured import rates, rates_by_kind


def made(score: float, **more: object) -> dict:
    evidence = [score] * 8
    return {"colours": evidence, "refitted": evidence, "lost": False, "position": 1, **more}


def rows_of(best: list[float]) -> list[dict]:
    """Return rows of one edited photo that scores high, and of plain ones that score as given."""
    edited = [
        {"number": n, "kind": "mirrored", "label": "left to right", "own": made(5.0 + n / 9)}
        | {"others": [made(0.5)], "processor": 0.1}
        for n in range(8)
    ]
    plain = [
        {"number": n, "kind": "", "label": "", "own": None, "others": [made(score)]}
        | {"processor": 0.1}
        for n, score in enumerate(best)
    ]
    return edited + plain


def test_the_threshold_lets_so_many_pass_as_may_be_wrong() -> None:
    rows = rows_of(list(np.linspace(0, 3, 400)))
    models = copies_tables.fit(rows)
    called = [copies_tables.verdict(row["others"][0], models) for row in rows if not row["kind"]]
    assert called.count("copy") <= 1  # four of a thousand, of 400
    assert called.count("copy_or_variant") <= 16
    found = copies_tables.rates(rows, copies_tables.fit_halves(rows))
    (mirrored,) = found["recall"]
    assert (mirrored["found"], mirrored["n"]) == (8, 8)
    assert mirrored["low"] < 1 == mirrored["rate"]
    assert found["false_positives"]["n"] == 400


def test_the_page_in_the_documents_is_that_of_the_record() -> None:
    assert copies_tables.DOCS.read_text("utf-8") == copies_tables.page(measured())


@pytest.mark.parametrize("mode", MODES)
def test_the_record_is_whole(mode: str) -> None:
    table = rates(mode)
    assert set(table["kind"]) - {"combined"} <= set(KINDS)
    assert table["n"].gt(0).all()
    assert (table["low"].le(table["rate"]) & table["rate"].le(table["high"])).all()
    assert rates_by_kind(mode).set_index("kind").loc["mirrored", "lowest"] > 0.5
    assert measured()["modes"][mode]["false_positives"]["n"] >= 100
    assert f"among {measured()['images']:,}" in finds(mode)


def test_where_nothing_was_found_the_rates_are_told() -> None:
    none = no_copies()
    none.loc[0] = ["mine", "a", 0, "similar", "", 0.2, 0.3, 0.1, 1.0, 0.0, 1.0]
    said = copy_sentence(none, "thorough")
    assert said.startswith("No copy found, unaltered or edited; by its edges, a comes nearest.")
    assert finds("thorough") in said


def test_the_package_decides_as_the_tables_do() -> None:
    class Over:
        correlation = 0.9

        def evidence(self, colours: bool) -> np.ndarray:
            return np.array([5, 5, 5, 5, 0.5, 0.7, 1.0, 4] if colours else [1.0] * 8)

    row = {"colours": Over().evidence(True), "refitted": Over().evidence(False), "lost": False}
    told = copies_tables.verdict(row, measured()["models"])
    assert verdict_on(Over())[0] == told  # type: ignore[arg-type]

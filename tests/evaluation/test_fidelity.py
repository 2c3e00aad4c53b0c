"""Fidelity by paired twins: known numbers, invariances, intervals, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from tests.helpers.ladders import drawn_outcomes
from untrain.core.errors import InputError
from untrain.core.unlearning_tables import FIDELITY, LADDER_OUTCOMES
from untrain.core.vocabulary import Fidelity
from untrain.evaluation.fidelity import fidelity_table, rho_interval, verdict_of

METHODS = {
    ("nothing", 0.01): (0.0, 0.0),
    ("exact", 1.0): (1.0, 0.0),
    ("good", 0.05): (0.9, 0.1),
    ("ascent", 0.05): (4.0, 0.5),
}


def row(
    table: pd.DataFrame, method: str, group: str = "forget", kind: str | None = None
) -> pd.Series:
    found = table[(table["method"] == method) & (table["group"] == group)]
    found = found[found["kind"].isna() if kind is None else found["kind"] == kind]
    assert len(found) == 1
    return found.iloc[0]


def by_hand(outcomes: pd.DataFrame, method: str, group: str) -> float:
    wide = outcomes[outcomes["group"] == group].pivot_table(
        index=["model_id", "set_id", "item"], columns="method", values="value"
    )
    error = ((wide[method] - wide["twin"]) ** 2).sum()
    return float(1 - error / ((wide["full"] - wide["twin"]) ** 2).sum())


def test_figures_of_two_pairs_by_hand() -> None:
    start = ("B00", "s0", "targeted")
    rows = []
    for item, before, twin, found in (("a", 1.0, 2.0, 1.5), ("b", 2.0, 5.0, 6.0)):
        for method, budget, value in (("full", 0, before), ("twin", 1, twin), ("m", 0.1, found)):
            rows.append((*start, method, budget, budget, 1.0, "forget", item, value))
    found = row(fidelity_table(LADDER_OUTCOMES.of(rows)), "m")
    # Moves of the twin 1, 3; of the method 0.5, 4.
    assert found["rho"] == pytest.approx(1 - (0.25 + 1) / 10)
    assert found["reach"] == pytest.approx(12.5 / 10)
    assert found["across"] == pytest.approx(16.25 / 10 - 1.25**2)
    assert found["moved"] == pytest.approx(math.sqrt(16.25 / 10))
    assert found["shift"] == 2.25 and found["twin_shift"] == 2.0
    assert found["spent"] == 0.1 and found["seconds"] == 1.0
    assert math.isnan(found["low"]) and found["verdict"] == Fidelity.UNKNOWN
    assert found[["items", "models", "sets", "clusters"]].tolist() == [2, 1, 1, 1]


def test_the_twin_is_1_doing_nothing_0_and_going_too_far_harms() -> None:
    outcomes = drawn_outcomes(METHODS)
    table = fidelity_table(outcomes)
    exact, nothing, ascent = (row(table, name) for name in ("exact", "nothing", "ascent"))
    assert exact[["rho", "low", "high", "reach", "moved"]].tolist() == pytest.approx([1.0] * 5)
    assert exact["across"] == pytest.approx(0, abs=1e-12)
    assert exact["verdict"] == Fidelity.FAITHFUL
    assert nothing[["rho", "low", "high", "reach", "moved"]].tolist() == [0.0] * 5
    assert nothing["verdict"] == Fidelity.SAME
    assert ascent["rho"] < ascent["high"] < 0 and ascent["reach"] > 3
    assert ascent["verdict"] == Fidelity.HARMS
    for name in ("good", "ascent"):
        assert row(table, name)["rho"] == pytest.approx(by_hand(outcomes, name, "forget"))


def test_kinds_have_rows_of_their_own_and_the_table_fits_its_schema() -> None:
    outcomes = drawn_outcomes(METHODS)
    table = fidelity_table(outcomes)
    pd.testing.assert_frame_equal(FIDELITY.conform(table), table)
    assert set(table["kind"].dropna()) == {"targeted", "random"}
    of_kind = fidelity_table(outcomes[outcomes["kind"] == "targeted"])
    assert of_kind["kind"].isna().all()
    assert row(table, "good", kind="targeted")["rho"] == row(of_kind, "good")["rho"]
    assert row(table, "good")["clusters"] == 12 and row(of_kind, "good")["clusters"] == 6


def test_rho_is_made_of_reach_and_what_is_across() -> None:
    table = fidelity_table(drawn_outcomes(METHODS))
    whole = 1 - (1 - table["reach"]) ** 2 - table["across"]
    np.testing.assert_allclose(table["rho"], whole, atol=1e-9)
    np.testing.assert_allclose(
        table["moved"] ** 2, table["reach"] ** 2 + table["across"], atol=1e-9
    )


@settings(max_examples=4, deadline=None)
@given(st.floats(0.01, 100), st.floats(-10, 10), st.integers(0, 5))
def test_neither_unit_nor_order_of_rows_matters(scale: float, shift: float, seed: int) -> None:
    outcomes = drawn_outcomes({("good", 0.05): (0.7, 0.3)}, models=2, sets=2)
    other = outcomes.sample(frac=1, random_state=seed)
    other["value"] = other["value"] * scale + shift
    first, second = fidelity_table(outcomes), fidelity_table(other)
    free = ["rho", "low", "high", "reach", "across", "moved"]
    np.testing.assert_allclose(second[free], first[free], rtol=1e-6, atol=1e-6)
    pd.testing.assert_frame_equal(fidelity_table(outcomes.sample(frac=1, random_state=seed)), first)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 10)), min_size=1, max_size=9))
def test_limits_hold_rho_between_them_and_never_pass_1(sums: list[tuple[float, float]]) -> None:
    clusters = pd.DataFrame(sums, columns=["error", "base"])
    clusters["model_id"], clusters["set_id"] = "B00", [f"s{n}" for n in range(len(sums))]
    low, high = rho_interval(clusters)
    rho = 1 - clusters["error"].sum() / clusters["base"].sum()
    assert math.isnan(low) == math.isnan(high)
    if len(sums) == 1:
        assert math.isnan(low)
    if not math.isnan(low):
        assert low <= rho + 1e-9 and rho <= high + 1e-9 and high <= 1


def test_the_interval_of_one_model_is_the_jackknife_over_its_sets() -> None:
    error, base = np.array([1.0, 2.0, 4.0, 1.5]), np.array([5.0, 6.0, 7.0, 4.0])
    clusters = pd.DataFrame({"error": error, "base": base, "model_id": "B00"})
    clusters["set_id"] = [f"s{n}" for n in range(4)]
    logs = np.log((error.sum() - error) / (base.sum() - base))
    reach = student.ppf(0.975, 3) * math.sqrt(3 / 4 * ((logs - logs.mean()) ** 2).sum())
    ratio = error.sum() / base.sum()
    expected = (1 - ratio * math.exp(reach), 1 - ratio * math.exp(-reach))
    assert rho_interval(clusters) == pytest.approx(expected)
    # The same sets as models are as uncertain.
    turned = clusters.rename(columns={"model_id": "set_id", "set_id": "model_id"})
    assert rho_interval(turned) == pytest.approx(expected)


def test_models_that_share_their_luck_with_a_set_do_not_narrow_the_interval() -> None:
    one = pd.DataFrame({"error": [1.0, 2, 4, 1.5], "base": [5.0, 6, 7, 4], "model_id": "B00"})
    one["set_id"] = [f"s{n}" for n in range(4)]
    three = pd.concat([one.assign(model_id=f"B0{n}") for n in range(3)])
    assert rho_interval(three) == pytest.approx(rho_interval(one))


def test_everything_from_one_of_two_clusters_has_no_interval() -> None:
    clusters = pd.DataFrame({"error": [1.0, 0.0], "base": [2.0, 2.0], "model_id": "B00"})
    clusters["set_id"] = ["s0", "s1"]
    assert all(math.isnan(end) for end in rho_interval(clusters))


def test_a_model_that_gives_no_number_harms() -> None:
    outcomes = drawn_outcomes(METHODS)
    outcomes.loc[outcomes.index[outcomes["method"] == "good"][0], "value"] = math.nan
    outcomes.loc[outcomes.index[outcomes["method"] == "ascent"][0], "value"] = math.inf
    table = fidelity_table(outcomes)
    for name in ("good", "ascent"):
        found = row(table, name)
        assert math.isnan(found["rho"]) and found["diverged"] == 1
        assert found["verdict"] == Fidelity.HARMS
    assert math.isfinite(row(table, "good", "query")["rho"])


def test_a_twin_that_did_not_move_leaves_rho_undefined() -> None:
    outcomes = drawn_outcomes({("good", 0.05): (0.5, 0.1)}, models=1, sets=1)
    outcomes["value"] = 1.0
    found = row(fidelity_table(outcomes), "good")
    assert math.isnan(found["rho"]) and found["verdict"] == Fidelity.UNKNOWN
    assert found["twin_shift"] == 0.0


def test_other_seeds_predict_the_mean_of_their_twins_moves() -> None:
    outcomes = drawn_outcomes({("nothing", 0.01): (0.0, 0.0)}, models=3, sets=2)
    found = row(fidelity_table(outcomes), "other seed")
    wide = outcomes.pivot_table(
        index=["model_id", "set_id", "group", "item"], columns="method", values="value"
    )
    moves = (wide["twin"] - wide["full"]).xs("forget", level="group")
    total = moves.groupby(["set_id", "item"]).transform("sum")
    error = (((total - moves) / 2 - moves) ** 2).sum()
    assert found["rho"] == pytest.approx(1 - error / (moves**2).sum())
    assert found["spent"] == 1.0
    alone = fidelity_table(outcomes[outcomes["model_id"] == "B00"])
    assert "other seed" not in set(alone["method"])


def test_verdicts() -> None:
    assert verdict_of(0.95, 0.8, 0.99) == Fidelity.FAITHFUL
    assert verdict_of(0.6, 0.1, 0.8) == Fidelity.PARTIAL
    assert verdict_of(0.95, -0.1, 1.0) == Fidelity.SAME
    assert verdict_of(-2.0, -5.0, -0.1) == Fidelity.HARMS
    assert verdict_of(0.95, math.nan, math.nan) == Fidelity.UNKNOWN


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t[t["method"] != "twin"], "but not in the model 'twin'"),
        (lambda t: t[t["method"].isin(["full", "twin"])], "no method of unlearning"),
        (lambda t: pd.concat([t, t.tail(1)]), "was measured twice"),
        (lambda t: t.iloc[:-1], "7 of 8 held_out items"),
        (
            lambda t: t.assign(value=t["value"].where(t["method"] != "full", math.inf)),
            "not finite",
        ),
    ],
)
def test_what_is_refused(spoil: object, message: str) -> None:
    outcomes = drawn_outcomes({("good", 0.05): (0.5, 0.1)}, models=1, sets=1)
    with pytest.raises(InputError, match=message):
        fidelity_table(spoil(outcomes))  # type: ignore[operator]

"""Equivalent random removal on curves that are known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.evaluation.equivalent import equivalent_removal, equivalent_table, random_curve
from untrain.report.figures.equivalent import equivalent_figure

IMAGES = 1000
PROMPTS = [f"p{i:02d}" for i in range(12)]
SHARES = (0.01, 0.05, 0.1, 0.5)


def make_bank(curve: Any, noise: float = 0.0, models: int = 8, full: bool = True) -> Any:
    """A bank whose change in NLL is ``curve(images removed)``, and some noise."""
    names, shares, kept, rows = [], [], [], []
    draw = rng("test-bank", noise)
    for share in (*SHARES, *([0.0] if full else [])):
        for index in range(models if share else 1):
            names.append(f"share-{share}-{index:03d}" if share else "full")
            shares.append(share)
            row = np.ones(IMAGES, bool)
            row[: round(share * IMAGES)] = False
            kept.append(draw.permutation(row))
            luck = noise * draw.standard_normal((len(PROMPTS), 2)) if share else np.zeros((12, 2))
            for p, prompt_id in enumerate(PROMPTS):
                for g in range(2):
                    value = 4 + 0.1 * p + g + curve(share * IMAGES) + luck[p, g]
                    rows.append((names[-1], prompt_id, g, value))
    return SimpleNamespace(
        models=pd.DataFrame({"model_id": names, "share": shares}),
        kept=np.array(kept),
        outcomes=pd.DataFrame(rows, columns=["model_id", "prompt_id", "generation", "value"]),
    )


def effects(value: float, spread: float = 0.0) -> pd.Series:
    return pd.Series(value + spread * np.linspace(-1, 1, len(PROMPTS)), index=PROMPTS)


def linear(removed: float) -> float:
    return removed / 1000


@pytest.mark.parametrize("images", [3, 10, 30, 77, 400, 500])
def test_a_straight_line_is_solved(images: int) -> None:
    found = equivalent_removal(make_bank(linear), effects(images / 1000 - 1e-12), draws=20)
    assert found.images == pytest.approx(images, rel=1e-6)
    assert found.low == pytest.approx(images, rel=1e-6)
    assert found.in_words() == str(images)


def test_between_two_shares_it_is_linear() -> None:
    found = equivalent_removal(make_bank(lambda n: n**2 / 1e6), effects(0.13), draws=10)
    assert found.images == pytest.approx(100 + (0.13 - 0.01) / (0.25 - 0.01) * 400)


def test_beyond_the_largest_share_it_says_more_than() -> None:
    found = equivalent_removal(make_bank(linear), effects(0.6), draws=20)
    assert math.isinf(found.images)
    assert found.in_words() == "more than 500"
    some = equivalent_removal(make_bank(linear), effects(0.45, spread=0.3), draws=400)
    assert some.images == pytest.approx(450)
    assert some.in_words().endswith("to more than 500)")


@pytest.mark.parametrize("value", [0.0, -0.2])
def test_no_harm_is_no_image(value: float) -> None:
    assert equivalent_removal(make_bank(linear), effects(value), draws=10).images == 0


def test_a_curve_that_falls_is_made_monotone() -> None:
    """0.01 → 0.2, 0.05 → 0.1: pooled to 0.15 (isotonic regression by hand)."""
    known = {0: 0.0, 10: 0.2, 50: 0.1, 100: 0.25, 500: 1.0}
    bank = make_bank(lambda n: known[round(n)])
    assert equivalent_removal(bank, effects(0.15 - 1e-9), draws=5).images == pytest.approx(10)
    assert equivalent_removal(bank, effects(0.075), draws=5).images == pytest.approx(5)
    assert equivalent_removal(bank, effects(0.2), draws=5).images == pytest.approx(75)


def test_random_removal_that_helps_is_passed_over() -> None:
    known = {0: 0.0, 10: -0.1, 50: 0.0, 100: 0.1, 500: 0.5}
    bank = make_bank(lambda n: known[round(n)])
    assert equivalent_removal(bank, effects(0.05), draws=5).images == pytest.approx(75)


def test_the_interval_covers_and_widens_with_noise() -> None:
    quiet = equivalent_removal(make_bank(linear, 0.02), effects(0.2, 0.05), draws=300)
    loud = equivalent_removal(make_bank(linear, 0.1), effects(0.2, 0.05), draws=300)
    shared = equivalent_removal(make_bank(linear, 0.02), effects(0.2, 0.05), 0.1, draws=300)
    assert quiet.low < 200 < quiet.high
    assert quiet.high - quiet.low < loud.high - loud.low < shared.high - shared.low
    assert math.isfinite(quiet.high)
    nothing_known = equivalent_removal(make_bank(linear, 0.02), effects(0.2, 0.05), math.nan, 300)
    assert nothing_known == quiet


def test_it_is_the_same_every_time_and_whatever_the_order_of_rows() -> None:
    bank = make_bank(linear, 0.05)
    first = equivalent_removal(bank, effects(0.2), draws=50)
    bank.outcomes = bank.outcomes.sample(frac=1, random_state=1)
    assert equivalent_removal(bank, effects(0.2), draws=50) == first


def test_the_curve_has_a_row_a_share() -> None:
    curve = random_curve(make_bank(linear, 0.02), PROMPTS, draws=200)
    assert list(curve["share"]) == list(SHARES)
    assert list(curve["removed"]) == [10, 50, 100, 500]
    assert curve["change"].to_numpy() == pytest.approx(np.array([0.01, 0.05, 0.1, 0.5]), abs=0.02)
    assert (curve["low"] < curve["change"]).all()
    assert (curve["change"] < curve["high"]).all()
    assert (curve["level"] == np.maximum.accumulate(curve["level"])).all()


def test_what_is_missing_is_said() -> None:
    with pytest.raises(InputError, match="several --share"):
        equivalent_removal(make_bank(linear, full=False), effects(0.1))
    with pytest.raises(InputError, match="prompt p99"):
        equivalent_removal(make_bank(linear), pd.Series({"p99": 0.1}))
    with pytest.raises(InputError, match="no effect"):
        equivalent_removal(make_bank(linear), pd.Series(dtype=float))


def make_effects() -> pd.DataFrame:
    rows = []
    arms = (("targeted", 10, 0.08), ("targeted", 40, 0.7), ("random_uniform", 10, 0.0))
    for design in ("randomised", "naive"):
        for arm, k, value in arms:
            for prompt_id in (None, *PROMPTS):
                rows.append((design, arm, prompt_id, "nll", value, 0.01, k))
    return pd.DataFrame(
        rows, columns=["design", "arm", "prompt_id", "measure", "effect", "null_sd", "k"]
    )


def make_sets() -> pd.DataFrame:
    rows = [(p, "targeted", 0, 10, f"{p}-{i}") for p in PROMPTS for i in range(10)]
    rows += [(p, "targeted", 0, 40, f"{p}-{i}") for p in PROMPTS for i in range(10, 40)]
    sets = pd.DataFrame(rows, columns=["prompt_id", "arm", "draw", "k", "image_id"])
    return sets.assign(forget_set_id=sets["prompt_id"] + "/k" + sets["k"].astype(str))


def test_the_table_has_a_row_for_each_chosen_arm_and_size() -> None:
    rows = equivalent_table(make_bank(linear, 0.01), make_effects(), make_sets(), draws=100)
    assert [(r["design"], r["arm"], r["k"], r["removed"]) for r in rows] == [
        ("randomised", "targeted", 10, 10.0),
        ("randomised", "targeted", 40, 40.0),
    ]
    small, large = rows
    assert small["equivalent"] == pytest.approx(80, rel=0.1)
    assert small["low"] < small["equivalent"] < small["high"]
    assert large["equivalent"] is None
    assert large["words"] == "more than 500"
    assert large["most"] == 500


def test_a_set_of_all_prompts_together_is_as_large_as_all_of_them() -> None:
    sets = make_sets()
    sets = sets.assign(forget_set_id="all/k" + sets["k"].astype(str))
    rows = equivalent_table(make_bank(linear, 0.01), make_effects(), sets, draws=50)
    assert [r["removed"] for r in rows] == [10.0 * len(PROMPTS), 40.0 * len(PROMPTS)]


def test_the_figure_says_the_numbers() -> None:
    rows = equivalent_table(make_bank(linear, 0.01), make_effects(), make_sets(), draws=50)
    plot = equivalent_figure(rows)
    assert plot.name == "equivalent"
    for words in ("images removed", "random images", "targeted, 40: more than 500 at random"):
        assert words in plot.svg
    assert plot.svg == equivalent_figure(rows).svg

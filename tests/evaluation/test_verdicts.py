import math

import numpy as np
import pandas as pd
import pytest

from untrain.core.errors import InputError
from untrain.evaluation.verdicts import DEFAULT_MARGIN, holm, verdicts


def effects(*rows: tuple) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["prompt_id", "effect", "high", "p_value"])
    table["low"] = 2 * table["effect"] - table["high"]
    return table.assign(design="randomised", arm="targeted", measure="nll", k=10)


def test_three_verdicts():
    table = effects(
        (None, 0.2, 0.3, 0.001),
        ("p1", 0.30, 0.40, 1 / 252),
        ("p2", 0.00, 0.03, 0.6),
        ("p3", 0.04, 0.20, 0.2),
        ("p4", 0.30, math.nan, 1 / 6),
        ("p5", -0.3, -0.20, 1.0),
        ("p6", 0.02, 0.04, 0.01),
        ("p7", -0.30, 0.03, 0.9),  # its upper end alone is inside the margin
    )
    found = verdicts(table, margin=0.05)
    assert list(found) == ["prompt_id", "verdict", "reason", "p_value", "p_holm"]
    assert dict(zip(found["prompt_id"], found["verdict"], strict=True)) == {
        "p1": "attributable",
        "p2": "not attributable",
        "p3": "undecided",
        "p4": "undecided",
        "p5": "undecided",
        "p6": "attributable",
        "p7": "undecided",
    }
    assert "smaller than the margin" in found["reason"].iloc[-2]


def test_only_the_asked_arm_measure_and_size_decide():
    table = effects(("p1", 0.3, 0.4, 0.01))
    others = [
        table.assign(arm="family"),
        table.assign(measure="ssim"),
        table.assign(k=100),
        table.assign(design="naive"),
    ]
    stacked = pd.concat([table, *(other.assign(p_value=1.0) for other in others)])
    assert verdicts(stacked)["verdict"].tolist() == ["attributable"]
    assert verdicts(stacked, k=100)["verdict"].tolist() == ["undecided"]
    assert verdicts(stacked, arm="family")["verdict"].tolist() == ["undecided"]


def test_levels_and_margins_out_of_range_are_refused():
    table = effects(("p1", 0.3, 0.4, 0.01))
    with pytest.raises(InputError, match="alpha"):
        verdicts(table, alpha=5)
    with pytest.raises(InputError, match="margin"):
        verdicts(table, margin=0)
    assert 0 < DEFAULT_MARGIN < 0.267


def test_holm_is_over_the_queries_of_the_arm_alone():
    table = effects((None, 0.3, 0.4, 0.0001), ("p1", 0.3, 0.4, 0.01), ("p2", 0.2, 0.3, 0.04))
    others = table.assign(arm="random_uniform", p_value=1e-6)
    found = verdicts(pd.concat([table, others])).set_index("prompt_id")
    assert found["p_value"].to_dict() == {"p1": 0.01, "p2": 0.04}
    assert found["p_holm"].to_dict() == pytest.approx({"p1": 0.02, "p2": 0.04})
    assert verdicts(table[:1]).empty


def test_holm_adjusts_as_published():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, math.nan, 0.7]), [1.0, math.nan, 1.0])
    assert holm([]).shape == (0,)


def test_an_effect_that_cannot_be_told_apart_is_undecided():
    judged = verdicts(effects(("p1", math.nan, math.nan, math.nan))).iloc[0]
    assert judged["verdict"] == "undecided"
    assert "nan" not in judged["reason"]

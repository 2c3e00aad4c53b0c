"""Whether a run can be trusted: doubts, and the verdicts that they withhold."""

from __future__ import annotations

import pandas as pd
import pytest

from untrain.core.tables import EFFECTS, VERDICTS
from untrain.core.vocabulary import Doubt, Gate
from untrain.evaluation.trust import doubts_about, withhold, withholds


def effects(p_of_controls: float) -> pd.DataFrame:
    rows = [
        {"arm": "family", "prompt_id": None, "p_value": p_of_controls},
        {"arm": "family", "prompt_id": "c0", "p_value": p_of_controls},
        {"arm": "targeted", "prompt_id": None, "p_value": 0.001},
        {"arm": "targeted", "prompt_id": "p0", "p_value": 0.01},
    ]
    table = pd.DataFrame(rows).assign(design="randomised", measure="nll", k=3)
    return table.reindex(columns=EFFECTS.names)


@pytest.mark.parametrize(
    ("verdict", "p_of_controls", "expected"),
    [
        (Gate.PASSED, 0.01, ()),
        (Gate.UNJUDGED, 0.01, ()),
        (Gate.FAILED, 0.01, (Doubt.WEAK,)),
        (Gate.CANNOT_DRAW, 0.01, (Doubt.CANNOT_DRAW,)),
        (Gate.PASSED, 0.2, (Doubt.CONTROL_UNSEEN,)),
        (Gate.FAILED, 0.2, (Doubt.CONTROL_UNSEEN, Doubt.WEAK)),
    ],
)
def test_doubts_come_from_the_gate_and_the_control(
    verdict: Gate, p_of_controls: float, expected: tuple[Doubt, ...]
) -> None:
    found = doubts_about({"verdict": verdict.value}, effects(p_of_controls), 0.05)
    assert found == expected
    assert withholds(found) == any(doubt != Doubt.WEAK for doubt in expected)


def test_without_a_gate_and_a_control_there_is_no_doubt() -> None:
    none = effects(0.9).query("arm != 'family'")
    assert doubts_about(None, none, 0.05) == doubts_about(None, EFFECTS.of([]), 0.05) == ()


def test_verdicts_of_queries_are_withheld_and_those_of_controls_stay() -> None:
    row = {"verdict": "attributable", "reason": "p = 0.01", "p_value": 0.01, "p_holm": 0.01}
    given = VERDICTS.conform(pd.DataFrame([{"prompt_id": p, **row} for p in ("p0", "c0")]))
    doubts = (Doubt.CONTROL_UNSEEN, Doubt.WEAK)
    found = VERDICTS.conform(withhold(given, effects(0.2), doubts))
    assert found["verdict"].tolist() == ["withheld", "attributable"]
    assert found["reason"].tolist() == ["control-failed", "p = 0.01"]
    assert found["p_holm"].tolist() == [0.01, 0.01]
    assert withhold(given, effects(0.01), (Doubt.WEAK,)) is given

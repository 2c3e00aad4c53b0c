"""The quality gate in words, with all that it may lack."""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.helpers.reports import QUALITY
from untrain.core.vocabulary import Gate
from untrain.report.quality import gate_facts, gate_line, gate_words, percent, verdict_of


def test_pictures_stand_beside_real_ones() -> None:
    facts = {term: text.replace("\N{NO-BREAK SPACE}", " ") for term, text in gate_facts(QUALITY)}
    assert facts["Quality gate"].startswith("passed: ")
    article = facts["Right article"]
    assert "91 % of 56 pictures (real ones: 94 %)" in article
    assert "interval 0.89–1.02" in article
    assert "56 of 64 (real ones: 97 %)" in article
    assert "84 % of 7,900 real pictures" in facts["Judge of article"]
    assert "90 % of the 83 %" in facts["Judge of article"]
    assert facts["Right colour"] == "not judged"
    assert "never sure enough" in facts["Judge of colour"]
    assert "Fréchet 0.41 (real from real: 0.093" in facts["Distance to real pictures"]


def test_where_there_are_no_attributes_prompts_are_told_apart() -> None:
    told = dict.fromkeys(("reach", "low", "high", "p", "bound", "right", "real_right"))
    told |= {"chance": 0.5, "prompts": 1, "pictures": 3, "photos": 10, "verdict": "cannot judge"}
    record = {"verdict": "cannot judge", "attributes": {}, "distance": None, "told": told}
    assert dict(gate_facts(record))["Told by prompt"].startswith("not judged: 1 prompts")
    figures = {"right": 0.52, "real_right": 0.97, "reach": 0.04, "low": -0.1, "high": 0.18}
    record["told"] = told | figures | {"p": 0.4, "prompts": 9}
    text = dict(gate_facts(record))["Told by prompt"].replace("\N{NO-BREAK SPACE}", " ")
    assert "in 52 % of pairs (by chance 50 %, real pictures 97 %)" in text
    assert "0.04 of the way" in text and "p = 0.40" in text


def test_a_judge_that_never_abstains_needs_no_shares() -> None:
    quality = deepcopy(QUALITY)
    quality["attributes"]["article"] |= {"answered": 1.0, "real_answered": 1.0, "low": None}
    quality["attributes"]["article"]["judge"] |= {"answered": 1.0}
    quality["distance"] = None
    facts = dict(gate_facts(quality))
    assert "answered for" not in facts["Right article"]
    assert "interval" not in facts["Right article"]
    assert "sure enough" not in facts["Judge of article"]
    assert "Distance to real pictures" not in facts


@pytest.mark.parametrize("verdict", Gate)
def test_every_verdict_says_what_it_means(verdict: Gate) -> None:
    assert gate_words({"verdict": verdict.value}).startswith(f"{verdict}: ")


def test_runs_without_or_with_an_earlier_gate() -> None:
    assert gate_facts(None) == [("Quality gate", "not tested")]
    assert gate_line(None) == ""
    before = {"article": 1.0, "colour": 0.9, "passed": True, "summary": "right article 100%"}
    assert verdict_of(before) == Gate.PASSED
    assert gate_line(before) == "passed: right article 100%"
    assert len(gate_facts(before)) == 1
    assert verdict_of({"passed": False}) == Gate.FAILED


def test_a_share_is_not_rounded_to_all_or_none() -> None:
    plain = [percent(share, sign=False) for share in (1.0, 0.9961, 0.5, 0.004, 0.0)]
    assert plain == ["100", "99.6", "50", "0.4", "0"]

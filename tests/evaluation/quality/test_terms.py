"""Colour names become basic terms where they are known, and stay where they are not."""

from __future__ import annotations

from untrain.evaluation.quality.terms import TERMS, article_names, colour_terms


def test_shades_become_the_eleven_basic_terms() -> None:
    assert len(TERMS) == 11
    names = ["Navy Blue", "navy  blue", "Burgundy", "Steel", "Grey", "Off White", "Red"]
    assert colour_terms(names) == ["blue", "blue", "red", "grey", "grey", "white", "red"]


def test_a_name_belongs_to_one_term() -> None:
    names = [name for term, shades in TERMS.items() for name in (term, *shades)]
    assert len(names) == len(set(names))


def test_other_names_stay_and_none_is_left_out() -> None:
    assert colour_terms(["petrol", "Multi", "NA", "nan"]) == ["petrol", "", "", ""]
    assert article_names(["Ties", "NA"]) == ["Ties", ""]

"""Text can be read: WCAG 2.1 asks for a contrast of 4.5 (AA), computed as it says (1.4.3)."""

from __future__ import annotations

import re

import pytest

from untrain.report.page.templates import read_asset

TEXT = ("ink", "quiet", "good", "bad")
GROUNDS = ("paper", "card", "wash")
BUTTON = {"light": "#ffffff", "dark": "#0f1418"}
"""Of the text on the blue button, see ``serve/static/style.css``."""


def colours(theme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", read_asset("report.css"), re.S)[:2]
    found = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", light))
    return found | (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", dark)) if theme == "dark" else {})


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(theme: str) -> None:
    known = colours(theme)
    found = {
        (text, ground): contrast(known[text], known[ground]) for text in TEXT for ground in GROUNDS
    }
    for ground in ("paper", "card"):  # a step that goes on, a state
        found["blue", ground] = contrast(known["blue"], known[ground])
    found["button", "blue"] = contrast(BUTTON[theme], known["blue"])
    assert {pair: round(value, 2) for pair, value in found.items() if value < 4.5} == {}
    # What is no text, such as the edge of a field, asks for 3 (1.4.11).
    assert contrast(known["faint"], known["paper"]) >= 3

"""Names of what was removed and of verdicts, in tables and in sentences, and their order."""

from __future__ import annotations

import math

VERDICTS = ("attributable", "undecided", "not attributable")

ARMS = {
    "targeted": "the {k} images found for a prompt",
    "family": "the true family of each control prompt",
    "random_uniform": "{k} random images",
    "random_candidate": "{k} random images among those retrieved",
    "least_similar": "the {k} least similar images among those retrieved",
    "ids": "the {k} images listed",
    "none": "none of its images",
    "reseed": "any image, but with another seed",
    "full": "any image",
}
"""Each arm as the end of "models trained without …"; the order is that of every table."""

LABELS = {"none": "nothing of its own", "full": "nothing", "reseed": "nothing, other seed"}
"""Names for tables of the arms whose own name does not say what was removed."""


def arm_order(arm: str) -> tuple[int, str]:
    """Sort key of an arm: chosen images first, then controls, then unknown arms by name."""
    return (list(ARMS).index(arm) if arm in ARMS else len(ARMS), arm)


def arm_label(arm: str) -> str:
    """Return an arm's name for tables."""
    return LABELS.get(arm, arm.replace("_", " "))


def arm_words(arm: str, k: float = math.nan) -> str:
    """Return an arm as the end of "models trained without …"."""
    size = "" if math.isnan(k) else f"{k:g}"
    words = ARMS.get(arm, f"the {{k}} images of arm “{arm_label(arm)}”")
    return " ".join(words.format(k=size).split())

"""Names of what was removed and of verdicts, in tables and in sentences, and their order."""

from __future__ import annotations

import math

from untrain.core.vocabulary import is_targeted

VERDICTS = ("attributable", "undecided", "not attributable")
"""The verdicts that are given; a run that cannot be trusted withholds them."""

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


def arm_order(arm: str) -> tuple[float, str]:
    """Sort key of an arm: chosen images first, then controls, then unknown arms by name."""
    if arm in ARMS:
        return (list(ARMS).index(arm), arm)
    return (0.5 if is_targeted(arm.partition("+")[0]) else len(ARMS), arm)


def arm_label(arm: str) -> str:
    """Return an arm's name for tables.

    Examples
    --------
    >>> arm_label("random_uniform"), arm_label("targeted:dtrak")
    ('random uniform', 'targeted by dtrak')
    """
    if "+" in arm:
        return " and ".join(map(arm_label, arm.split("+")))
    if is_targeted(arm) and ":" in arm:
        return f"targeted by {ranking_of_arm(arm)}"
    return LABELS.get(arm, arm.replace("_", " "))


def ranking_of_arm(arm: str) -> str:
    """Return the ranking that an arm such as ``targeted:dtrak`` names; "" of the first's."""
    return arm.partition(":")[2] if is_targeted(arm) else ""


def arm_words(arm: str, k: float = math.nan) -> str:
    """Return an arm as the end of "models trained without …"."""
    size = "" if math.isnan(k) else f"{k:g}"
    if "+" in arm:
        return " with ".join(arm_words(each, k) for each in arm.split("+"))
    words = ARMS.get(arm, f"the {{k}} images of arm “{arm_label(arm)}”")
    if name := ranking_of_arm(arm):
        words = f"the {{k}} images found for a prompt by {name}"
    return " ".join(words.format(k=size).split())

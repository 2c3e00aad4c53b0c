"""What the copy detector found, in words, with what was measured of it: nobody is reassured more.

`untrain.search.copy_detector.measured` has the rates; docs/results/copies.md says how they were
measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd

from untrain.search.copy_detector.measured import measured, rates_by_kind
from untrain.search.traced import EDITED, NEAR, UNSURE

WORDS = {
    "identical": "the same file",
    "same_pixels": "the same picture in another file",
    "cropped": "cropped",
    "padded": "put on a larger sheet",
    "mirrored": "mirrored",
    "rotated": "turned",
    "stretched": "stretched",
    "resized": "resized",
    "recoloured": "recoloured",
    "overlaid": "with something laid over it",
    "blurred": "blurred",
    "reencoded": "saved again",
    "combined": "cropped, mirrored and recoloured at once",
}
SHORT = {
    NEAR: "unaltered copy",
    EDITED: "edited copy",
    UNSURE: "copy or alike",
    "none": "no copy found",
}
SHOWN = ("reencoded", "cropped", "mirrored", "recoloured", "padded", "rotated", "overlaid")


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def edits(kinds: str) -> str:
    """Return what was done to a copy, from its column ``kinds``."""
    return listed([WORDS[kind] for kind in kinds.split()])


def percent(share: float) -> str:
    """Return a share as a whole percentage, 100 % only if it is all of it."""
    return f"{min(round(100 * share), 99) if share < 1 else 100} %"


def copy_sentence(copies: pd.DataFrame, mode: str) -> str:
    """Return what was found for one picture; where that is nothing, with what would be found."""
    none = copies.iloc[0]["verdict"] == "similar"
    return f"{copy_words(copies)} {finds(mode)}" if none else copy_words(copies)


def copy_words(copies: pd.DataFrame) -> str:
    """Return what was found for one picture: its rows of the table of `CopyDetector.find`."""
    first = copies.iloc[0]
    image = first["image_id"]
    if first["verdict"] == "similar":
        return f"No copy found, unaltered or edited; by its edges, {image} comes nearest."
    more = f" Also flagged: {', '.join(copies['image_id'].iloc[1:4])}." if len(copies) > 1 else ""
    if first["verdict"] == "copy":
        return f"Copy of {image}: {edits(first['kinds'])}.{more}"
    return (
        f"May be a copy of {image} ({edits(first['kinds'])}) or only alike: the same edges, but "
        "other colours or details, as another colour, print or photo of the same product has too; "
        f"look at both.{more}"
    )


@cache
def finds(mode: str) -> str:
    """Return how many copies of each kind are found, and how often something else is called one."""
    rates = rates_by_kind(mode).to_dict("records")
    if not rates:
        return "How many copies are found has not been measured."
    shown = []
    for row in (row for row in rates if row["kind"] in SHOWN):
        ends = dict.fromkeys([percent(row["lowest"]), percent(row["highest"])])
        span = "–".join(end.removesuffix(" %") for end in ends)
        shown.append(f"{WORDS[row['kind']]} {span} %")
    wrong, colours = (measured()["modes"][mode][k] for k in ("false_positives", "copy_or_variant"))
    return (
        f"Of edited photos whose original was among {measured()['images']:,}, this search names it "
        f"for: {', '.join(shown)} (by strength of the edit). Of {wrong['n']:,} photos without a "
        f"copy, {wrong['wrong']:,} were called one, and {colours['wrong']:,} a copy or variant."
    )


def short(verdict: str) -> str:
    """Return a verdict of `untrain.search.traced.Trace.summary` in three words."""
    return SHORT[verdict]


def plain(line: Any, copies: pd.DataFrame) -> str:
    """Return the one verdict on a picture in a sentence or two that need no statistics.

    Parameters
    ----------
    line : row of `untrain.search.traced.Trace.summary`
    copies : DataFrame
        The picture's rows of the table of `CopyDetector.find`; empty if it was not asked.
    """
    image = line.copy_of
    if line.verdict == NEAR:
        return f"A copy of {image}: the same picture, or very nearly."
    if line.verdict == EDITED:
        return f"A copy of {image}: {edits(copies.iloc[0]['kinds'])}."
    if line.verdict == UNSURE:
        return (
            f"May be a copy of {image} or only alike: look at both. Another photo, colour or print "
            "of the same product looks like that, too."
        )
    kind = "copy found, unaltered or edited" if len(copies) else "unaltered copy found"
    return f"No {kind}. Nearest: {line.image_id}."

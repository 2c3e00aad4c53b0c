"""Which images are taken out: what was found, as somebody corrected it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError, closest
from untrain.takedowns.finding import SIMILAR, Found
from untrain.takedowns.parts import TRAINING


def check_decisions(
    found: Found, catalog: Catalog, not_copies: Collection[str], also: Collection[str]
) -> None:
    """Refuse a decision about an image that there is nothing to decide about.

    Parameters
    ----------
    found : Found
    catalog : Catalog
        The training images.
    not_copies, also : collection of str
        Ids that somebody looked at: not theirs; theirs.

    Raises
    ------
    InputError
        An id is said to be both; one that is theirs is neither a training image nor looks like a
        copy; or one that is not theirs neither was found nor looks like a copy.
    """
    alike = {match.image_id for match in found.matches if match.verdict != SIMILAR}
    for image_id in also:
        if image_id in not_copies:
            raise InputError(f"{image_id} is said to be both theirs and not theirs: choose one")
        if image_id not in catalog.index and image_id not in alike:
            near = closest(image_id, catalog.ids) if len(catalog) < 100_000 else None
            hint = f" — did you mean '{near}'?" if near else ""
            raise InputError(f"--also {image_id}: no training image has this id{hint}")
    for image_id in not_copies:
        if image_id not in alike:
            raise InputError(
                f"--not-a-copy {image_id}: it was not found as a copy and does not look like one, "
                "so it is not counted anyway"
            )


def removed_ids(
    matches: Iterable[Mapping[str, Any]], decisions: Mapping[str, Collection[str]]
) -> list[str]:
    """Return the training images to take out: the copies found, as corrected by somebody."""
    matches = list(matches)
    ids = {m["image_id"] for m in matches if m["copy"] and m["part"] == TRAINING}
    elsewhere = {m["image_id"] for m in matches if m["part"] != TRAINING}
    return sorted((ids - set(decisions["not_copies"])) | (set(decisions["also"]) - elsewhere))

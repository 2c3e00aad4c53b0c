"""What a person decided about the matches of a takedown request, and what counts after that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

THEIRS, NOT_THEIRS = "theirs", "not theirs"


def decided(
    matches: Iterable[Mapping[str, Any]], decisions: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the matches as they count once somebody has looked at them.

    Parameters
    ----------
    matches : iterable of mapping
        As the record of a takedown has them: as they were found.
    decisions : mapping
        ``also`` and ``not_copies`` of the record: ids.

    Returns
    -------
    list of dict
        The matches in their order. ``copy`` is whether it counts now, ``decision`` what was
        decided (empty: nothing), and ``open`` whether it looks like a copy, is not counted, and
        nobody has decided.

    Examples
    --------
    >>> match = {"image_id": "7", "verdict": "copy_or_variant", "copy": False}
    >>> decided([match], {"also": ["7"], "not_copies": []})[0]["copy"]
    True
    """
    theirs, refused = set(decisions["also"]), set(decisions["not_copies"])
    found = []
    for match in matches:
        image_id = match["image_id"]
        decision = THEIRS if image_id in theirs else NOT_THEIRS if image_id in refused else ""
        copy = (match["copy"] or decision == THEIRS) and decision != NOT_THEIRS
        undecided = not copy and not decision and match["verdict"] != "similar"
        found.append({**match, "copy": copy, "decision": decision, "open": undecided})
    return found

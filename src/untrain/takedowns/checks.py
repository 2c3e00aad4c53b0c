"""What is checked of a removal when it is done; `untrain.takedowns.verify` does so again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from untrain.runs.run import Run
from untrain.takedowns.hashes import removed_by
from untrain.takedowns.removing import EXACT


def after_removal(run: Run, ids: Sequence[str], told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the checks of a removal: ``code``, ``passed`` (None: cannot be told) and numbers.

    ``record-lacks-them``: the new model's own record says that it was made without every one of
    the images. ``no-equal-content``: no image that stayed has the same bytes as one of them.
    ``other-model``: the new model's files are not those of the old. ``fewer-copies``: its pictures
    have no more near copies of them than before. ``forgets``: the images are worse by the new
    model, relative to images that stayed.
    """
    removal, after = told["removal"], told["after"]
    if "path" not in removal:
        return []
    gone, hashes = set(ids), set(told["ids"].values())
    kept = [i for i in run.catalog.ids if i not in gone]
    same = [i for i in kept if run.catalog.hashes[run.catalog.index[i]] in hashes]
    listed = set(removed_by(run.folder / removal["path"]))
    checks: list[dict[str, Any]] = [
        {
            "code": "record-lacks-them",
            "passed": gone <= listed,
            "exact": removal["how"] == EXACT,
            "removed": len(gone),
            "retained": len(kept),
        },
        {"code": "no-equal-content", "passed": not same, "images": same[:20]},
        {"code": "other-model", "passed": removal["files"] != told["run"]["model"]["files"]},
    ]
    drawn = after["drawn"]
    if drawn and "after" in drawn:
        before, now = (len(drawn[when]["pictures"]) for when in ("before", "after"))
        checks.append(
            {"code": "no-near-copies", "passed": now == 0, "before": before, "after": now}
        )
    surprise = after["surprise"]
    if surprise:
        means = surprise["means"]
        change = {g: means["after"][g] - means["before"][g] for g in means["after"]}
        checks.append({"code": "forgets", "passed": None, **change})
    return checks

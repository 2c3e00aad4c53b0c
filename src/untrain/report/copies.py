"""The copy test in words: which generated pictures look like copies, and whether all of them do."""

from __future__ import annotations

from typing import Any

from untrain.report.words import interval, p_value
from untrain.runs.results import Run

LEVEL = 0.05


def copy_words(meta: dict[str, Any]) -> str:
    """Return what the copy test of a run found, or nothing if there was none.

    Parameters
    ----------
    meta : dict
        The run's ``run.json``; its ``copies`` is the summary of `untrain.search.copies`.
    """
    found = meta.get("copies")
    if not isinstance(found, dict) or not found.get("queries"):
        return ""
    parts = [f"{found['near_copies']} of {found['queries']} generated pictures flagged"]
    rate = found.get("false_positive_rate")
    if rate is not None:
        low, high = found["false_positive_low"], found["false_positive_high"]
        ends = interval(100 * low, 100 * high, 1)
        parts.append(f"of held-out ones {100 * rate:.1f} % are (95 % interval {ends})")
    if found.get("auc") is not None:
        nearer = "nearer" if found["p"] <= LEVEL else "no nearer"
        parts.append(
            f"together they are {nearer} to training images than held-out ones "
            f"(AUC {found['auc']:.2f}, {p_value(found['p'])})"
        )
    return "; ".join(parts)


def copy_warnings(run: Run) -> list[str]:
    """Return a warning if pictures were flagged as near copies, and what flags are worth if little.

    They are where held-out pictures, which nothing can have copied, are flagged more often than
    the test was asked to allow, as those are that a coarse generator makes equal.
    """
    flagged = run.copies[run.copies["near_copy"].astype(bool)]
    if flagged.empty:
        return []
    names = [f"{p}/{g}" for p, g in zip(flagged["prompt_id"], flagged["generation"], strict=True)]
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return [
        f"{len(flagged)} of {len(run.copies)} generated pictures look like copies of a training "
        f"image ({shown}): look at the two side by side before you call it one."
        + _worth(run.meta.get("copies"))
    ]


def _worth(found: object) -> str:
    """Return a sentence about the flags if more held-out pictures have one than alpha allows."""
    if not isinstance(found, dict) or found.get("false_positive_rate") is None:
        return ""
    if found["false_positive_low"] <= found["alpha"]:
        return ""
    rate, alpha = 100 * found["false_positive_rate"], 100 * found["alpha"]
    return (
        f" Of held-out pictures, which it never saw, {rate:.0f} % look so too, where {alpha:g} % "
        "were to be expected: the flags of this run say little."
    )


def redaction_warnings(run: Run) -> list[str]:
    """Return what a page without training images may show of them all the same."""
    if run.copies.empty:
        return [
            "Training images are not shown. This run made no copy test, so a generated picture may "
            "show one all the same: look at them before you pass this page on."
        ]
    return [
        "Training images are not shown, nor generated pictures that look like copies of one. What "
        "other models drew again was not tested for copies."
    ]


def copied_from(run: Run) -> dict[tuple[str, str], str]:
    """Return the training image that each flagged picture looks like, by prompt and number."""
    flagged = run.copies[run.copies["near_copy"].astype(bool)]
    numbers = flagged["generation"].astype(int).astype(str)
    return dict(
        zip(zip(flagged["prompt_id"], numbers, strict=True), flagged["image_id"], strict=True)
    )

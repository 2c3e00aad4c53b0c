"""The copy test in words: which generated pictures look like copies, and whether all of them do."""

from __future__ import annotations

from untrain.core.notes import Note
from untrain.report.words import interval, p_value
from untrain.runs.results import RunResults


def copy_words(run: RunResults) -> str:
    """Return what the copy test of a run found, or nothing if there was none."""
    found = run.meta.get("copies")  # the summary of `untrain.search.copies`
    if not isinstance(found, dict) or not found.get("queries"):
        return ""
    parts = [f"{found['near_copies']} of {found['queries']} generated pictures flagged"]
    rate = found.get("false_positive_rate")
    if rate is not None:
        low, high = found["false_positive_low"], found["false_positive_high"]
        ends = interval(100 * low, 100 * high, 1)
        parts.append(f"of the held-out ones {100 * rate:.1f} % are (95 % interval {ends})")
    if found.get("auc") is not None:
        nearer = "nearer" if found["p_value"] <= run.alpha else "no nearer"
        parts.append(
            f"together they are {nearer} to training images than held-out ones "
            f"(AUC {found['auc']:.2f}, {p_value(found['p_value'])})"
        )
    return "; ".join(parts)


def copy_warnings(run: RunResults) -> list[Note]:
    """Warn of pictures flagged as near copies, and say if the flags of this run are worth little.

    They are if held-out pictures, which nothing can have copied, are flagged more often than the
    test allows, as happens where a coarse generator makes different pictures equal.
    """
    flagged = run.copies[run.copies["near_copy"].astype(bool)]
    if flagged.empty:
        return []
    names = [f"{p}/{g}" for p, g in zip(flagged["prompt_id"], flagged["generation"], strict=True)]
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    text = (
        f"{len(flagged)} of {len(run.copies)} generated pictures look like copies of a training "
        f"image ({shown}): compare the two side by side before you call one a copy."
    )
    return [Note("near-copies", text + _worth(run.meta.get("copies")), tuple(names))]


def _worth(found: object) -> str:
    """Return a sentence about the flags if more held-out pictures have one than alpha allows."""
    if not isinstance(found, dict) or found.get("false_positive_rate") is None:
        return ""
    if found["false_positive_low"] <= found["alpha"]:
        return ""
    rate, alpha = 100 * found["false_positive_rate"], 100 * found["alpha"]
    return (
        f" Of held-out pictures, which the model never saw, {rate:.0f} % are flagged too, where "
        f"{alpha:g} % are expected: the flags of this run say little."
    )


def redaction_warnings(run: RunResults) -> list[Note]:
    """Say what a page without training images may still show of them."""
    if run.copies.empty:
        text = (
            "Training images are not shown. This run made no copy test, so a generated picture may "
            "still show one: look at the pictures before you pass this page on."
        )
    else:
        text = (
            "Neither training images nor generated pictures that look like copies of one are "
            "shown. Pictures redrawn by other models were not tested for copies."
        )
    return [Note("page-redacted", text)]


def copied_from(run: RunResults) -> dict[tuple[str, str], str]:
    """Return the training image that each flagged picture looks like, by prompt and number."""
    flagged = run.copies[run.copies["near_copy"].astype(bool)]
    numbers = flagged["generation"].astype(int).astype(str)
    return dict(
        zip(zip(flagged["prompt_id"], numbers, strict=True), flagged["image_id"], strict=True)
    )

"""The checks of a removal in sentences, as the answer to a takedown request shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from untrain.report.takedown import Told


def check_rows(told: Told) -> list[dict[str, Any]]:
    """Return the checks of a removal: what was checked, the outcome, and whether it passed."""
    rows = []
    for place, check in enumerate(told.record["checks"]):
        says = _CHECKS[check["code"]](told, f"checks.{place}", check)
        rows.append({"what": says[0], "found": says[1], "passed": check["passed"]})
    return rows


def _lacks(told: Told, at: str, check: Mapping[str, Any]) -> tuple[str, Markup]:
    what = "The new model’s own list of what it was made without"
    if not check["passed"]:
        return what, Markup("Not all of the images are on it.")
    kept = told.count(f"{at}.retained", "image")
    if check["exact"]:
        return what, Markup("All {} are on it; it was trained on the other {}.").format(
            told.n(f"{at}.removed"), kept
        )
    return what, Markup(
        "All {} are on it. The model had been trained on them before it was changed."
    ).format(told.n(f"{at}.removed"))


def _content(told: Told, at: str, check: Mapping[str, Any]) -> tuple[str, Markup]:
    found = (
        "No image that stayed is the same file as one of them."
        if check["passed"]
        else ("Images that stayed are the same file as one of them: " + ", ".join(check["images"]))
    )
    return "Whether a further entry of the data holds one of them", escape(found)


def _other(told: Told, at: str, check: Mapping[str, Any]) -> tuple[str, Markup]:
    found = (
        "The files differ." if check["passed"] else "The files are the same: nothing was changed."
    )
    return "Whether the new model is another one than the old", Markup(found)


def _copies(told: Told, at: str, check: Mapping[str, Any]) -> tuple[str, Markup]:
    return (
        "Near copies among pictures drawn again, with the same words and the same chance",
        Markup("{} before, {} now.").format(told.n(f"{at}.before"), told.n(f"{at}.after")),
    )


def _forgets(told: Told, at: str, check: Mapping[str, Any]) -> tuple[str, Markup]:
    other = (
        f", of images that were never trained on {told.n(f'{at}.held_out', 'three')}"
        if "held_out" in check
        else ""
    )
    return (
        "How much more the new model is surprised by them (0: as before)",
        Markup("{}; of images that stayed {}").format(
            told.n(f"{at}.requested", "three"), told.n(f"{at}.retained", "three")
        )
        + Markup(other)
        + Markup("."),
    )


_CHECKS = {
    "record-lacks-them": _lacks,
    "no-equal-content": _content,
    "other-model": _other,
    "no-near-copies": _copies,
    "forgets": _forgets,
}

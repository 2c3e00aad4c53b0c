"""What the real trial takes and can find, in words for whoever never planned one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from untrain.evaluation.measurement import is_bits
from untrain.evaluation.power import MEASURED, POWER, models_for_equivalence, needed_models
from untrain.report.words import likelier


def plan_sentences(record: Mapping[str, Any]) -> list[str]:
    """Return what the real trial takes and can find, without the terms of a plan."""
    found = record["next"].get("figures")
    if not found or found["seconds"] is None:
        return []
    told = [
        f"It trains {found['models']} models, {found['workers']} at a time, on "
        f"{found['training_pairs']:,} pictures with their captions, your own and planted ones "
        f"({found['held_out']:,} more are held out, to compare with). That takes about "
        f"{_about(found['seconds'])} on this machine, as busy as it was just now, and "
        f"{found['bytes_on_disk'] / 1e6:,.0f} MB of disk.",
        f"It asks for {found['queries']} pictures and {found['controls']} planted ones, and leaves "
        f"out {found['removed_images']:,} different pictures, some at a time.",
    ]
    known = found["power"]
    if known and known["detectable_mean"] is not None and is_bits(known["unit"]):
        told.append(
            "If its models differ from each other as is expected here, it finds that leaving out "
            "the pictures found for a prompt makes each piece of the drawn pictures "
            f"{likelier(known['detectable_mean'])} or more, on average over its prompts. "
            f"{_would_be_found(known)}"
        )
        if known["margin"] and (known["not_attributable"] or 0) < POWER:
            told.append(
                "That it finds nothing for a prompt will not mean that the pictures did not "
                "matter: to show that takes about "
                f"{models_for_equivalence(known['margin'], known['noise']['sd'])} models."
            )
    return told


def _would_be_found(known: Mapping[str, Any]) -> str:
    """Return what ten images did in experiments of before, and whether it would be found."""
    parts = []
    for where, effect in MEASURED.items():
        told = "would be found"
        if effect < known["detectable_mean"]:
            needed = needed_models(effect, known["noise"]["sd"], known["queries"])
            told = f"takes about {needed:,} models"
        parts.append(f"on {where} it was {likelier(effect)}, which {told}")
    return f"In earlier experiments, with ten pictures left out, {'; '.join(parts)}."


def _about(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes >= 100:
        return f"{seconds / 3600:.1f} hours"
    return "a minute" if minutes == 1 else f"{minutes} minutes"

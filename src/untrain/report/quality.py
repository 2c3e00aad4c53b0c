"""The quality gate in words: what the pictures show, beside what the judge makes of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from untrain.core.vocabulary import Gate
from untrain.report.words import interval, number, p_value

PERCENT = "\N{NO-BREAK SPACE}%"
MEANINGS = {
    Gate.PASSED: "pictures show what was asked for nearly as often as real ones do",
    Gate.FAILED: "pictures often do not show what was asked for, or not clearly: what training "
    "images do to them means little",
    Gate.CANNOT_DRAW: "pictures have next to nothing to do with their prompts: there is nothing to "
    "attribute",
    Gate.UNJUDGED: "the judge is too often wrong about real pictures to say anything about "
    "generated ones; look at them",
}


def verdict_of(quality: Mapping[str, Any]) -> Gate:
    """Return the gate's verdict, also as earlier versions recorded it."""
    known = quality.get("verdict") or (Gate.PASSED if quality.get("passed") else Gate.FAILED)
    return Gate(known)


def gate_words(quality: Any) -> str:
    """Return the verdict and what it means, in a line."""
    if not isinstance(quality, Mapping):
        return "not tested"
    verdict = verdict_of(quality)
    return f"{verdict}: {MEANINGS[verdict]}"


def gate_line(quality: Any) -> str:
    """Return the verdict and its figures, in a line."""
    if not isinstance(quality, Mapping):
        return ""
    told = quality.get("summary")
    return f"{verdict_of(quality)}: {told}" if told else str(verdict_of(quality))


def gate_facts(quality: Any) -> list[tuple[str, str]]:
    """Return what the gate found, as terms and their values; the verdict first."""
    found = [("Quality gate", gate_words(quality))]
    if not isinstance(quality, Mapping):
        return found
    for name, each in (quality.get("attributes") or {}).items():
        found += [(f"Right {name}", _right(each)), (f"Judge of {name}", _judge(each.get("judge")))]
    if told := quality.get("told"):
        found.append(("Told by prompt", _told(told)))
    distance = quality.get("distance")
    return [*found, ("Distance to real pictures", _distance(distance))] if distance else found


def _told(told: Mapping[str, Any]) -> str:
    """Say how often a probe puts two pictures and their two prompts together."""
    if told["right"] is None:
        return f"not judged: {told['prompts']} prompts that can be compared"
    text = (
        f"two pictures and their two prompts are put together in {percent(told['right'])} of "
        f"pairs (by chance {percent(told['chance'])}, real pictures {percent(told['real_right'])})"
    )
    if told["reach"] is not None:
        ends = interval(told["low"], told["high"], 2)
        text += (
            f"; {number(told['reach'], 2)} of the way from chance to real ones, "
            f"95{PERCENT} interval {ends}, {p_value(told['p'])}"
        )
    return text + (
        f"; {told['pictures']} pictures of {told['prompts']} prompts, {told['photos']:,} real ones"
    )


def _right(each: Mapping[str, Any]) -> str:
    if each["right"] is None:
        return "not judged"
    counted = round(each["answered"] * each["pictures"])
    text = f"{percent(each['right'])} of {counted} pictures (real ones: "
    text += f"{percent(each['real_right'])})"
    if each["low"] is not None:
        ends = interval(each["low"], each["high"], 2)
        text += f"; ratio {number(each['ratio'], 2)}, 95{PERCENT} interval {ends}"
    if min(each["answered"], each["real_answered"]) < 1:
        text += (
            f"; answered for {counted} of {each['pictures']} (real ones: "
            f"{percent(each['real_answered'])})"
        )
    return text


def _judge(judge: Any) -> str:
    if not judge:
        return "none: no two names have enough pictures"
    text = (
        f"right for {percent(judge['accuracy'])} of {judge['photos']:,} real pictures that it had "
        f"not seen (95{PERCENT} interval {percent(judge['low'], False)}–{percent(judge['high'])}; "
        f"{judge['classes']} kinds)"
    )
    if judge["threshold"] is None:
        return text + "; never sure enough to answer"
    if judge["answered"] < 1:
        text += (
            f", and for {percent(judge['accuracy_answered'])} of the "
            f"{percent(judge['answered'])} that it is sure enough to answer for"
        )
    return text


def _distance(distance: Mapping[str, Any]) -> str:
    parts = [
        f"{name} {number(distance[key])} (real from real: {number(distance[f'{key}_floor'])}, "
        f"at most {number(distance[f'{key}_floor_high'])})"
        for name, key in (("Fréchet", "frechet"), ("kernel", "kernel"))
    ]
    return f"{'; '.join(parts)}; {distance['pictures']} pictures, {distance['photos']:,} real ones"


def percent(share: float, sign: bool = True) -> str:
    """Return a share in per cent: whole, or with a decimal where it would round to 0 or 100."""
    text = f"{100 * share:.0f}"
    if (text == "100" and share < 1) or (text == "0" and share > 0):
        text = f"{100 * share:.1f}"
    return text + (PERCENT if sign else "")

"""What a reader must know before trusting a run, most serious first."""

from __future__ import annotations

from collections.abc import Iterable

from untrain.core.notes import Note
from untrain.core.vocabulary import Doubt, Gate
from untrain.report.arms import arm_words
from untrain.report.quality import verdict_of
from untrain.report.tables.effects import overall_table
from untrain.report.words import number
from untrain.runs.results import RunResults

FEW_PROMPTS = 10

GRAVITY = {
    "nothing-removed": 0,
    "generator-cannot-draw": 1,
    "generator-weak": 1,
    "generator-untested": 1,
    "generator-unjudged": 1,
    "control-failed": 2,
    "few-prompts": 4,
    "near-copies": 5,
    "page-redacted": 6,
    "thumbnails-missing": 7,
    "pictures-left-out": 7,
    "frozen-parts": 9,
}
"""Place of a note by its code, most serious first."""
ELSEWHERE = 3
"""Place of every other note: what the stages of the run recorded, in their order."""

NOTHING_REMOVED = Note(
    "nothing-removed",
    "No counterfactual was made: the pictures were given, so there is no model to train without "
    "any image.",
)


def by_gravity(notes: Iterable[Note]) -> list[Note]:
    """Return notes in the order of `GRAVITY`, each once; equals keep their order."""
    return sorted(dict.fromkeys(notes), key=lambda note: GRAVITY.get(note.code, ELSEWHERE))


def warnings(run: RunResults) -> list[Note]:
    """Return what a reader must know before trusting the run, most serious first."""
    recorded = [Note.from_dict(record) for record in run.meta.get("warnings") or []]
    if run.given:
        return by_gravity([NOTHING_REMOVED, *recorded])
    found = [*recorded, *_generator(run, recorded), *_failed_control(run), *frozen_parts(run)]
    queries = int((run.prompts["role"] != "control").sum())
    if queries < FEW_PROMPTS:
        text = f"Few prompts ({queries}): an overall figure may not carry over to others."
        found.append(Note("few-prompts", text))
    return by_gravity(found)


def further_warnings(run: RunResults) -> list[Note]:
    """Return `warnings` without those that the answer begins with (`report.headline`)."""
    return [note for note in warnings(run) if note.code not in run.doubts]


def _generator(run: RunResults, recorded: Iterable[Note]) -> list[Note]:
    """Warn of a generator that was not tested or did not pass, unless its stage did so."""
    quality = run.meta.get("quality")
    if not isinstance(quality, dict):
        text = "The generator's quality was not tested: look at the pictures first."
        return [Note("generator-untested", text)]
    codes = {note.code for note in recorded}
    if verdict_of(quality) != Gate.FAILED or Doubt.WEAK in codes:
        return []
    text = (
        "The generator is weak: it did not pass the quality gate. What training images do to "
        "pictures that do not show what was asked for means little."
    )
    return [Note(Doubt.WEAK.value, text)]


def _failed_control(run: RunResults) -> list[Note]:
    """Warn if removing images that are known to matter had no visible effect."""
    if Doubt.CONTROL_UNSEEN not in run.doubts:
        return []
    table = overall_table(run.effects)
    control = table[(table["arm"] == "family") & table["p_value"].notna()]
    text = (
        f"The positive control failed: without {arm_words('family')} the effect is "
        f"{number(control.iloc[0]['effect'])}. A trial that misses this effect cannot detect "
        "smaller ones: do not read its other figures."
    )
    return [Note(Doubt.CONTROL_UNSEEN.value, text)]


def frozen_parts(run: RunResults) -> list[Note]:
    """Return what holds for every run of this generator: its frozen parts saw every image."""
    text = run.generator.get("frozen")
    return [Note("frozen-parts", str(text))] if text else []

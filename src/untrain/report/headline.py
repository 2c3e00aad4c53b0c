"""The first line of a run that cannot be trusted: it stands where the answer would."""

from __future__ import annotations

from collections.abc import Iterator

from untrain.core.vocabulary import Doubt, Gate
from untrain.evaluation.measurement import amount
from untrain.report.arms import arm_words
from untrain.report.quality import gate_line, verdict_of
from untrain.report.tables.effects import overall_table
from untrain.report.words import number, p_value
from untrain.runs.results import RunResults

WITHHELD = "Verdicts are withheld, and the effects in the tables below are no answer to anything."


def headline(run: RunResults) -> list[str]:
    """Return why a run cannot be trusted as sentences, most serious first; empty if it can.

    Where verdicts are withheld (`RunResults.withheld`) this is the whole answer.
    """
    found = list(_sentences(run))
    return [*found, WITHHELD] if run.withheld else found


def _sentences(run: RunResults) -> Iterator[str]:
    quality = run.meta.get("quality") or {}
    for doubt in run.doubts:
        if doubt == Doubt.CANNOT_DRAW:
            yield (
                "The model cannot draw, so this run says nothing about what its pictures depend "
                f"on: they have next to nothing to do with their prompts ({quality['summary']})."
            )
            yield "Train it longer, on more images or with a larger preset, and look at them first."
        elif doubt == Doubt.WEAK:
            told = gate_line(quality).removeprefix(f"{verdict_of(quality)}: ")
            inside = f" ({told})" if told and told != Gate.FAILED else ""
            yield (
                "The model is weak: its pictures often do not show what their prompts ask "
                f"for{inside}. What training images do to them means little."
            )
        elif doubt == Doubt.CONTROL_UNSEEN:
            yield _of_control(run)


def _of_control(run: RunResults) -> str:
    table = overall_table(run.effects)
    row = table[(table["arm"] == "family") & table["p_value"].notna()].iloc[0]
    effect = amount(number(row["effect"]), run.unit)
    return (
        "The positive control was not seen, so this run could not have seen anything smaller "
        f"either: without {arm_words('family')}, images that are known to matter, the effect is "
        f"{effect} ({p_value(row['p_value'])})."
    )

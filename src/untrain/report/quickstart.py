"""A first look at some data in words: what was seen, what it does not mean, what comes next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from untrain.core.vocabulary import SAMPLER, Arm
from untrain.evaluation.measurement import is_bits
from untrain.report.answer import answer_sentences
from untrain.report.arms import arm_words
from untrain.report.headline import headline
from untrain.report.notes import by_gravity, warnings
from untrain.report.tables.differences import difference_sentence
from untrain.report.tables.effects import overall_table, split_controls, verdict_counts
from untrain.report.words import Estimate, effect_in_words, number
from untrain.runs.results import RunResults

NO_CAPTIONS, TOO_FEW, NO_TIME, REFUSED = "no-captions", "too-few", "no-time", "refused"
RUNNING = "running"
"""Why there is no trial, or none yet."""

LATE = 1.2  # times the minutes that were asked for, from which on it took longer
MOST = 0.75  # share of the held-out pictures from which on the search is said to work
WARNINGS = 3  # shown, the most serious first


def time_words(record: Mapping[str, Any]) -> str:
    """Return how long it took, beside how long it might take."""
    trial, asked = record["trial"], f"{record['minutes']:g}"
    if trial["skipped"] == RUNNING:
        return "the trial is running"
    minutes = record["seconds"] / 60
    took = f"took {minutes:.0f} minutes" if minutes >= 1.5 else "took a minute"
    took = "took seconds" if minutes < 0.5 else took
    if minutes <= LATE * record["minutes"]:
        return f"{took} of the {asked} asked for"
    why = ", and the machine was busier than when it was timed" if not trial["skipped"] else ""
    return f"{took}; {asked} were asked for{why}"


def data_sentences(record: Mapping[str, Any]) -> list[str]:
    """Return what the pictures and captions are."""
    images, looked = record["images"], record["looked_at"]
    found = record["summary"]
    told = [f"{images:,} pictures can be used."]
    if looked < images:
        told.append(f"There was time to look at {looked:,} of them, drawn at random.")
    if record["captions"]:
        distinct, words = found["captions"]["distinct"], found["captions"]["words"]["median"]
        told.append(f"They have {distinct:,} different captions of about {words:.0f} words.")
    else:
        told.append("They have no captions.")
    blank = len(found["near_blank"]["ids"])
    if blank:
        told.append(f"{blank:,} {_are(blank)} nearly blank.")
    return told


def left_out(record: Mapping[str, Any]) -> list[str]:
    """Return what could not be used, in a sentence if there is anything."""
    parts = [f"{reason}, {told['count']:,}" for reason, told in record["skipped"].items()]
    return [f"Left out: {'; '.join(parts)}."] if parts else []


def copy_sentences(record: Mapping[str, Any]) -> list[str]:
    """Return how many pictures there are twice."""
    found = record["copies"]
    exact, near = found["exact"]["images"], found["near"]["images"]
    if not found["all"]["groups"]:
        return [
            "No copies were found that are the same file, or the same picture saved again or "
            "resized. Edited copies were not looked for.",
            _edited_copies(record),
        ]
    told = [
        f"{found['all']['images']:,} pictures are in {found['all']['groups']:,} groups of copies "
        f"({exact:,} byte-identical, {near:,} saved again or resized). Edited copies were not "
        "looked for."
    ]
    if found["different_captions"]:
        count = found["different_captions"]
        groups = "group has" if count == 1 else "groups have"
        told.append(f"{count:,} {groups} different captions for the same picture.")
    told += ["A run removes copies together.", _edited_copies(record)]
    return told


def _edited_copies(record: Mapping[str, Any]) -> str:
    return (
        "Pictures that were cropped, mirrored, recoloured or written over are found by "
        f"{_find_copies(record)}, which takes minutes for a thousand pictures."
    )


def _find_copies(record: Mapping[str, Any]) -> str:
    return f"untrain data duplicates {_quoted(record['data'])} --edited --sheet copies.png"


def search_sentences(record: Mapping[str, Any]) -> list[str]:
    """Return whether the search finds what it should."""
    found = record["search"]
    asked = len(found["asked"])
    told = []
    if found["near"] is not None:
        told.append(
            f"The search knows only what pictures look like. Of {asked} pictures hidden from it, "
            f"{found['better']} got neighbours whose captions are closer to theirs than random "
            f"captions are (similarity of words {number(found['near'], 2)}, random "
            f"{number(found['random'], 2)}; 1 is the same words)."
        )
        works = found["better"] >= MOST * asked
        told.append(
            "So likeness in looks goes with likeness in words here."
            if works
            else "So in these data likeness in looks says little about what captions say; an "
            "encoder that has learnt to see (--encoder) may do better."
        )
    else:
        told.append(
            f"{asked} pictures were hidden from the search. Without captions only your eyes can "
            "tell whether the neighbours below are the right ones."
        )
    tried = "; ".join(f"{e['label']}: {e['found']} of {e['of']}" for e in found["edited"])
    told.append(f"Edited pictures whose original came first: {tried}.")
    return told


def trial_sentences(record: Mapping[str, Any], run: RunResults | None) -> list[str]:
    """Return what the tiny trial found, or why there was none; the most important first."""
    trial = record["trial"]
    why = trial["skipped"]
    if why == NO_CAPTIONS:
        return [
            "No model was trained. Without captions a text-to-image model cannot be asked for "
            "anything, so what your pictures do to one cannot be measured.",
        ]
    if why == TOO_FEW:
        return [
            f"No model was trained: of fewer than {trial['fewest']} pictures too large a share "
            "would have to be left out at a time.",
        ]
    if why == NO_TIME:
        return [
            f"No model was trained: {trial['left']:.0f} seconds were left, and even the smallest "
            "trial takes longer on this machine as busy as it is now. Give it more --minutes.",
        ]
    if why == RUNNING:
        return [
            f"The trial is running: about {trial['takes']}, longer if the machine gets busier. "
            "Load this page again when it is done. If it was interrupted, the same command goes "
            "on from where it was.",
        ]
    if why == REFUSED or run is None:
        return [f"The trial stopped: {trial.get('why', 'its folder is gone')}"]
    if run.withheld:
        return [
            f"The trial is too small to say anything of your pictures. {answer_sentences(run)[0]}",
            *answer_sentences(run)[1:],
        ]
    told = [_control_sentence(run), *headline(run), *_own_sentences(run), _pictures_sentence(run)]
    return [sentence for sentence in told if sentence]


def _overall(run: RunResults) -> dict[str, pd.Series]:
    """Return the overall effects that were measured by arm, each of its first set size."""
    table = overall_table(run.effects)
    table = table[table["effect"].notna()].drop_duplicates("arm")
    return {str(row["arm"]): row for _, row in table.iterrows()}


def _effect(run: RunResults, row: pd.Series) -> str:
    return effect_in_words(Estimate.of(row, run.unit, run.alpha), "its pictures")


def _control_sentence(run: RunResults) -> str:
    """Return that the removal of planted pictures was seen."""
    own = _overall(run).get(Arm.FAMILY)
    if own is None:
        return "There was no positive control."
    return (
        "The trial sees what it should: odd pictures were planted under invented words, and for "
        f"models trained without those of a word, {_effect(run, own)}."
    )


def _own_sentences(run: RunResults) -> list[str]:
    """Return what the images found do, and what random ones do beside them."""
    known = _overall(run)
    own, random = known.get(Arm.TARGETED), known.get(Arm.RANDOM_UNIFORM)
    if own is None:
        return answer_sentences(run)[:1]
    removed = arm_words(own["arm"], own["k"])
    told = [f"For models trained without {removed}, {_effect(run, own)}."]
    if random is not None:
        told.append(
            f"To compare with: for models trained without {arm_words(random['arm'], random['k'])}, "
            f"{_effect(run, random)}. That is what to expect of any images, chosen by chance; only "
            f"what the images found do beyond it is theirs. {difference_sentence(run.effects)}"
        )
    return [each.strip() for each in told]


def _pictures_sentence(run: RunResults) -> str:
    """Return what the figures in brackets are."""
    if not is_bits(run.unit):
        return ""
    return (
        "In brackets: a model draws a picture piece by piece, and of each piece (token) says how "
        "likely it is. One bit less halves that. The interval is where the effect lies with 95 % "
        "confidence; p is how often chance would give as much if the images did not matter."
    )


def planted_sentence(record: Mapping[str, Any], run: RunResults | None) -> str:
    """Return of what pictures the trial consists; "" where there is none."""
    size, plant = record["trial"].get("size"), run and run.config["data"].get("plant")
    if run is None or not size or not plant:
        return ""
    planted, here = plant["items"] * plant["copies"], run.meta["catalog"]["images"]
    return (
        f"{size['images']:,} of your pictures took part, and {planted} planted ones. Of these "
        f"{size['images'] + planted:,} the models learnt from {here:,}; the others were held out, "
        "to compare with."
    )


def trial_warnings(run: RunResults | None) -> list[str]:
    """Return the most serious warnings of the trial."""
    return [note.text for note in by_gravity(warnings(run))[:WARNINGS]] if run else []


def verdict_line(run: RunResults | None) -> str:
    """Return how many prompts have each verdict."""
    if run is None or run.withheld or not len(run.verdicts):
        return ""
    queries, _ = split_controls(run.effects, run.verdicts)
    if not len(queries):
        return ""
    told = ", ".join(f"{n} {name}" for name, n in verdict_counts(queries).items())
    level = f"{100 * run.alpha:g}\N{NO-BREAK SPACE}%"
    kept = int((queries["p_holm"].dropna() <= run.alpha).sum())
    models = int((run.models["model_id"] != SAMPLER).sum())
    least = len(queries) / math.comb(models, models // 2)
    why = f" ({models} models are too few for any to be, whatever the effects are)"
    return (
        f"Of {len(queries)} prompts: {told}. Attributable: models without the images found for "
        f"this prompt are worse at its pictures, by more than chance gives in {level} of such "
        "tests. Not attributable: whatever effect there is, it is next to nothing. Undecided: the "
        "trial is too small to tell. Each prompt is judged by itself; by a stricter count, for "
        f"all {len(queries)} together, {kept} {'is' if kept == 1 else 'are'} attributable"
        f"{why if least > run.alpha else ''}."
    )


def not_meant(record: Mapping[str, Any], run: RunResults | None) -> list[str]:
    """Return what must not be read into the page."""
    told = [
        "Likeness is not influence: that a picture is near another says nothing about what a "
        "model learnt from it.",
    ]
    size = record["trial"].get("size")
    if run is not None and size:
        told += [
            f"The trial trained {size['models'] + 1} models of a few hundred thousand numbers on "
            f"{size['images']:,} pictures. It says nothing about Stable Diffusion or any other "
            "finished model, and little about a larger one trained on the same pictures.",
            "“Not measurably worse” is not “no influence”: with so few small models only large "
            "effects can be seen.",
            "Models as small as these, which saw few pictures many times, know them nearly by "
            "heart, so leaving some out changes much. “Thousands of times less likely” is no "
            "measure of what the same images do to a larger model.",
            "The prompts are captions drawn at random, so they ask for pictures that are in the "
            "data. Your own questions need your own prompts.",
        ]
    return told


def commands(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what to do next, as commands and what they are for."""
    data = _quoted(record["data"])
    told = []
    file = record["next"]["file"]
    if file:
        folder = _quoted(str(record["out"]))
        told += [
            (f"untrain plan {folder}/{file}", "after looking through prompts.txt beside it"),
            (f"untrain run {folder}/{file}", "the real trial; it resumes when it is stopped"),
        ]
    elif not record["captions"]:
        told.append(
            (
                f"untrain quickstart {data} --out again",
                "once each picture has its caption beside it: photo.jpg and photo.txt, or a table "
                "with the columns image and caption",
            )
        )
    told += [
        (f"untrain trace picture.png --catalog {data}", "which of them are most like a picture"),
        (f"untrain serve --catalog {data}", "the same in the browser"),
        (
            _find_copies(record),
            "all copies side by side, edited ones too (minutes for a thousand pictures)",
        ),
    ]
    return told


def _quoted(path: str) -> str:
    return f"'{path}'" if " " in path else path


def _are(count: int) -> str:
    return "is" if count == 1 else "are"

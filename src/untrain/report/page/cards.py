"""The cards of the page, one per prompt: its pictures, its training images, effects of removal."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.notes import Note
from untrain.core.vocabulary import Arm, Design
from untrain.report.arms import arm_label, arm_order
from untrain.report.model_pairs import images_of_sets, sides
from untrain.report.page.gallery import REFERENCE, Gallery
from untrain.report.page.influence import bars, own_images
from untrain.report.ranking import (
    LISTED,
    main_ranking,
    ranking_metrics,
    ranking_name,
    rankings_beside,
    rows_of,
)
from untrain.report.tables import effects as tables
from untrain.report.words import (
    Estimate,
    bare_p,
    briefly,
    in_numbers,
    interval,
    number,
    open_ends,
    plainly,
    tied,
)
from untrain.runs.results import RunResults, rows

TOP = 10
Card = dict[str, Any]


def prompt_cards(run: RunResults, gallery: Gallery, near: pd.DataFrame) -> list[Card]:
    """Return one card per prompt, the strongest effect first, controls last.

    Parameters
    ----------
    run : RunResults
    gallery : Gallery
        Gives the pictures, and remembers which were shown.
    near : DataFrame
        As `untrain.report.ranking.nearness_table` returns it.
    """
    arms = _arm_bars(run)
    ranking = main_ranking(run)
    by_prompt = {str(name): table for name, table in ranking.groupby("prompt_id")}
    beside = {name: _tops(rows_of(run, name)) for name in rankings_beside(run)}
    tops = _tops(ranking)
    shown = pd.concat([tops, *beside.values()])
    pairs = list(dict.fromkeys(zip(shown["prompt_id"], shown["image_id"], strict=True)))
    about = About(
        own={p: own_images(run, p, _text(f), gallery.families) for p, f in _families(run)},
        bars=bars(near, ranking_metrics(run), pairs),
        places=_places({ranking_name(run): tops, **beside}) if beside else {},
        candidates=_candidates(run) if not run.retrieval.empty else None,
    )
    order = {prompt_id: i for i, prompt_id in enumerate(run.prompts["prompt_id"])}
    aliases = _aliases(run.prompts["prompt_id"])
    cards = []
    for line in rows(tables.prompt_table(run)):
        found = by_prompt.get(line.prompt_id, ranking.iloc[:0]).head(LISTED)
        cards.append(
            {
                "id": line.prompt_id,
                "aliases": aliases[line.prompt_id],
                "prompt": line.prompt,
                "family": "" if pd.isna(line.family) else line.family,
                "control": line.role == "control",
                "verdict": line.verdict,
                "reason": line.reason,
                "order": order[line.prompt_id],
                "effect": line.effect if math.isfinite(line.effect) else None,
                **own_words(line, run),
                "arms": arms.get(line.prompt_id, []),
                **_pictures(run, gallery, line.prompt_id),
                "influential": _influential(gallery, line.prompt_id, found.head(TOP), about),
                "beside": [
                    {
                        "ranking": name,
                        "images": _influential(
                            gallery, line.prompt_id, top[top["prompt_id"] == line.prompt_id], about
                        ),
                    }
                    for name, top in beside.items()
                ],
                "others": [_listed(gallery, other) for other in rows(found.iloc[TOP:])],
            }
        )
    return cards


def _aliases(prompt_ids: pd.Series) -> dict[str, list[str]]:
    """Return other ids under which links find a prompt: p07 is also prompt-7.

    A bare number means the query of this number, not the control.
    """
    found: dict[str, list[str]] = {prompt_id: [] for prompt_id in prompt_ids}
    plain = [re.fullmatch(r"([a-z])0*(\d+)", prompt_id) for prompt_id in prompt_ids]
    names = Counter(f"{m[1]}{m[2]}" for m in plain if m)
    for match in plain:
        if match and names[match[1] + match[2]] == 1:
            found[match[0]].append(match[0])
            if match[1] == "p" and match[2] not in found:
                found[match[0]].append(f"prompt-{match[2]}")
    return found


def _pictures(run: RunResults, gallery: Gallery, prompt_id: str) -> Card:
    """Return the pictures generated for a prompt, and those redrawn by pairs of models."""
    numbers = gallery.numbers(prompt_id)
    copied = [gallery.copied.get((prompt_id, n), "") for n in numbers]
    for source in filter(None, copied):
        gallery.training(source)  # so that the large view can show it next to the copy
    again = []
    for side in sides(run, prompt_id):
        columns = [
            [gallery.drawn(prompt_id, n, model) for n in numbers]
            for model in (side.having, side.lacking)
        ]
        again.append({"side": side, "having": columns[0], "lacking": columns[1]})
    reference = gallery.has_reference(prompt_id)
    return {
        "drawn": [gallery.drawn(prompt_id, n) for n in numbers],
        "copied": copied,
        "reference": gallery.drawn(prompt_id, REFERENCE) if reference else None,
        "again": again,
    }


@dataclass(frozen=True)
class About:
    """What cards say of the training images of a prompt.

    Attributes
    ----------
    own : dict
        prompt_id → the images of its family.
    bars : dict
        As `untrain.report.page.influence.bars` returns them.
    places : dict
        (prompt_id, image_id) → its place in each of several rankings, where it is near the top;
        empty where only one is shown.
    candidates : set of (prompt_id, image_id), optional
        What the search found; None where that is not known.
    """

    own: dict[str, set[str]]
    bars: dict[Any, Any]
    places: dict[tuple[str, str], dict[str, int]]
    candidates: set[tuple[str, str]] | None


def _tops(ranking: pd.DataFrame) -> pd.DataFrame:
    return ranking.groupby("prompt_id").head(TOP)


def _families(run: RunResults) -> list[tuple[str, Any]]:
    return list(zip(run.prompts["prompt_id"], run.prompts["family"], strict=True))


def _text(family: Any) -> str:
    return "" if pd.isna(family) else str(family)


def _candidates(run: RunResults) -> set[tuple[str, str]]:
    return set(zip(run.retrieval["prompt_id"], run.retrieval["image_id"], strict=True))


def _places(tops: dict[str, pd.DataFrame]) -> dict[tuple[str, str], dict[str, int]]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, top in tops.items():
        for line in rows(top):
            found.setdefault((line.prompt_id, line.image_id), {})[name] = int(line.rank)
    return found


def _influential(gallery: Gallery, prompt_id: str, top: pd.DataFrame, about: About) -> list[Card]:
    """Return the training images that a ranking puts first for a prompt."""
    found = []
    for line in rows(top):
        pair = (prompt_id, line.image_id)
        others = {n: p for n, p in about.places.get(pair, {}).items() if n != line.method}
        found.append(
            {
                **_named(gallery, line),
                "shown": gallery.training(line.image_id),
                "family": line.image_id in about.own[prompt_id],
                "bars": about.bars.get(pair, []),
                "elsewhere": [f"{place} by {name}" for name, place in others.items()],
                "outside": about.candidates is not None and pair not in about.candidates,
            }
        )
    return found


def _listed(gallery: Gallery, line: Any) -> Card:
    """Return a candidate after the top, with its picture if there is one."""
    shown = gallery.training(line.image_id) if gallery.has_thumbnail(line.image_id) else None
    return {**_named(gallery, line), "shown": shown}


def _named(gallery: Gallery, line: Any) -> Card:
    return {
        "id": line.image_id,
        "caption": gallery.captions.get(line.image_id, ""),
        "score": number(line.score, 3),
        "place": f"{line.rank:.0f}",
    }


def own_words(line: Any, run: RunResults) -> dict[str, str]:
    """Return what the effect of a row of `prompt_table` means: ``words``, and its ``figures``."""
    if not math.isfinite(line.effect):
        return {"words": "", "figures": ""}
    what = "the images of its family" if line.arm == "family" else "the images found for it"
    own = Estimate.of(line, run.unit, run.alpha)
    return {"words": f"Without {what}, {plainly(own)}.", "figures": tied(in_numbers(own))}


def _arm_bars(run: RunResults) -> dict[str, list[dict[str, Any]]]:
    """Return, for each prompt, its effect by arm, placed on a scale that all cards share."""
    found = tables.single_effects(run.effects)
    found = found.assign(order=found["arm"].map(arm_order))
    found = found.sort_values(["order", "k"], kind="stable")
    controls = run.prompts.loc[run.prompts["role"] == "control", "prompt_id"]
    zero, bars = strip(found[["effect", "low", "high"]], ~found["prompt_id"].isin(controls))
    held = images_of_sets(run)
    cards: dict[str, list[dict[str, Any]]] = {}
    for line, bar in zip(rows(found), bars, strict=True):
        images = held.get((line.prompt_id, line.arm, line.k), line.k)
        entry = {
            "arm": arm_label(line.arm) + (f", {images:g}" if images > 0 else ""),
            "says": briefly(Estimate.of(line, run.unit, run.alpha)),
            "note": _why(line, images),
            "effect": number(line.effect, 3),
            "interval": interval(line.low, line.high, 3),
            "p_value": bare_p(line.p_value),
            "zero": zero,
            **bar,
        }
        cards.setdefault(line.prompt_id, []).append(entry)
    return cards


def _why(line: Any, images: float) -> str:
    """Explain a row of a card that would puzzle: no estimate, or fewer images than asked for."""
    if math.isnan(line.effect) and line.design == Design.RANDOMISED:
        return (
            f"{arm_label(line.arm).capitalize()}: — because these images were left out of exactly "
            "the models that had the images found, or of exactly those that had not, so the two "
            "effects cannot be told apart."
        )
    if line.arm == Arm.FAMILY and images < line.k:
        return (
            f"Family: all {images:g} images of this family that the training data holds were "
            f"removed. The size {line.k:g} in other tables is that of the largest family; this one "
            "is smaller, or some of its images are held out of training."
        )
    if images < line.k:
        return f"Only {images:g} images were left for {arm_label(line.arm)}, {line.k:g}."
    return ""


def strip(values: pd.DataFrame, scaled: pd.Series) -> tuple[float, list[dict[str, Any]]]:
    """Place intervals on one common scale from 0 to 100, for the small bars of the page.

    Parameters
    ----------
    values : DataFrame
        Columns ``effect, low, high``.
    scaled : Series of bool
        Which rows the scale must hold; others may be cut off at its edge. On the scale of a
        positive control of 3 bits, an effect of 0.1 would be invisible.

    Returns
    -------
    zero : float
        Position of zero.
    bars : list of dict
        ``at, start, stop``; an open end is at the edge; None if there is no effect.
        ``beyond``: whether the effect is off the scale, and drawn at its edge.
    """
    finite = (values[scaled.to_numpy()] if scaled.any() else values).to_numpy(float)
    finite = finite[np.isfinite(finite)]
    least, most = min([0.0, *finite]), max([0.0, *finite])

    def place(value: float) -> float:
        return round(float(np.clip((value - least) / ((most - least) or 1), 0, 1)) * 100, 2)

    bars: list[dict[str, Any]] = []
    for value, low, high in values[["effect", "low", "high"]].to_numpy(float):
        low, high = open_ends(low, high)
        ends = (value, value if math.isnan(low) else low, value if math.isnan(high) else high)
        places = map(place, ends) if math.isfinite(value) else (None, None, None)
        bar = dict(zip(("at", "start", "stop"), places, strict=True))
        bars.append({**bar, "beyond": bool(value < least or value > most)})
    return place(0.0), bars


def missing_pictures(cards: list[Card], gallery: Gallery) -> list[Note]:
    """Say which pictures the page could not show, and which it was told not to."""
    found = []
    shown = [image["shown"] for card in cards for image in card["influential"]]
    dropped = gallery.pictures.dropped
    missing = sum(not image.picture for image in shown) - dropped
    if gallery.training_images and missing > 0:
        text = (
            f"{missing} of {len(shown)} thumbnails of training images are not in the run folder; "
            "ids and captions are shown instead."
        )
        found.append(Note("thumbnails-missing", text))
    if dropped:
        text = f"{dropped} pictures are left out to keep this page small; see the run folder."
        found.append(Note("pictures-left-out", text))
    return found

"""The pictures of the page's first screens: three prompts large, then every prompt small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from untrain.report.model_pairs import chosen_sets, with_and_without
from untrain.report.page.cards import own_words
from untrain.report.page.gallery import Gallery
from untrain.report.ranking import main_ranking
from untrain.report.tables.effects import prompt_table
from untrain.report.words import Estimate, briefly
from untrain.runs.results import RunResults, rows

IMAGES = 10  # training images of an example
GIVEN = 3  # examples of a run whose pictures were given
PLACES: dict[int, tuple[tuple[int, str], ...]] = {
    1: ((0, "The only prompt"),),
    2: ((0, "The clearer of two prompts"), (1, "The less clear one")),
}
"""Which prompts are shown, by their place from the clearest, and what they are called."""
CAPTIONS = (
    ("The generated picture", "drawn by model A, which was trained on everything"),
    ("With the images", "drawn again by {}, retrained with them"),
    ("Without them", "drawn again by {}, retrained without them"),
)
Example = dict[str, Any]


def _places(count: int) -> tuple[tuple[int, str], ...]:
    """Return the prompts to open with: a typical one first, which neither flatters nor hides."""
    if count in PLACES or not count:
        return PLACES.get(count, ())
    return (
        ((count - 1) // 2, f"A typical prompt: the middle one of {count}"),
        (0, "The clearest prompt"),
        (count - 1, "The least clear prompt"),
    )


def trial_examples(run: RunResults, gallery: Gallery) -> list[Example]:
    """Return up to three prompts of a trial with their pictures, a typical one first.

    Clearer means a smaller p and, for equal p, a larger effect. Positive controls and prompts
    without a picture are left out.
    """
    table = prompt_table(run)
    table = table[(table["role"] != "control") & table["effect"].notna()]
    table = _with_pictures(table, gallery)
    table = table.sort_values(["p_value", "effect"], ascending=[True, False], kind="stable")
    lines = list(rows(table))
    sets, top = chosen_sets(run), _top(run)
    found = []
    for index, place in _places(len(lines)):
        line = lines[index]
        own = sets.get(line.prompt_id, [])
        ranked = top.get(line.prompt_id, [])
        images = [i for i in ranked if i in set(own)] + [i for i in own if i not in set(ranked)]
        shown = (images or ranked)[:IMAGES]
        found.append(
            _example(gallery, line, place, _heading(len(shown), len(own)), shown)
            | {"pictures": _trio(run, gallery, line.prompt_id), "verdict": line.verdict}
            | own_words(line, run)
        )
    return found


def _trio(run: RunResults, gallery: Gallery, prompt_id: str) -> list[dict[str, Any]]:
    """Return a prompt's picture by A, and from the same noise by models with and without."""
    number = _number(gallery, prompt_id)
    pair = with_and_without(run, prompt_id)
    shown = [gallery.drawn(prompt_id, number, large=True)]
    shown += [gallery.drawn(prompt_id, number, model, large=True) for model in pair]
    return [
        {"shown": each, "words": words, "more": more.format(model)}
        for each, (words, more), model in zip(shown, CAPTIONS, ("A", *pair), strict=False)
    ]


def _heading(shown: int, own: int) -> str:
    if not own:
        return "Nearest training images"
    if shown < own:
        return f"{shown} of the {own} training images found for it"
    return f"The {own} training images found for it" if own > 1 else "The training image found"


def every_prompt(run: RunResults, gallery: Gallery) -> list[dict[str, Any]]:
    """Return every prompt of a trial with one pair of pictures, the strongest effect first."""
    found = []
    for line in rows(prompt_table(run)):
        numbers = gallery.numbers(line.prompt_id)
        pair = with_and_without(run, line.prompt_id)
        shown = []
        if numbers and pair:
            number = _number(gallery, line.prompt_id)
            shown = [gallery.drawn(line.prompt_id, number, model) for model in pair]
        elif numbers:
            shown = [gallery.drawn(line.prompt_id, _number(gallery, line.prompt_id))]
        found.append(
            {
                "id": line.prompt_id,
                "prompt": line.prompt,
                "control": line.role == "control",
                "verdict": line.verdict,
                "pictures": list(zip(shown, ("with", "without"), strict=False)),
                "words": briefly(Estimate.of(line, run.unit, run.alpha)),
            }
        )
    return found


def given_examples(run: RunResults, gallery: Gallery) -> list[Example]:
    """Return up to three given pictures with their nearest training images, near copies first."""
    copied = {prompt_id for prompt_id, _ in gallery.copied}
    prompts = run.prompts.assign(plain=~run.prompts["prompt_id"].isin(copied))
    prompts = _with_pictures(prompts, gallery).sort_values("plain", kind="stable").head(GIVEN)
    top = _top(run)
    found = []
    for line in rows(prompts):
        number = _number(gallery, line.prompt_id, copies_first=True)
        shown = gallery.drawn(line.prompt_id, number, large=True)
        place = "Given picture" if line.plain else "Near copy"
        images = top.get(line.prompt_id, [])[:IMAGES]
        found.append(
            _example(gallery, line, place, "Nearest training images", images)
            | {"pictures": [{"shown": shown, "words": "The given picture", "more": ""}]}
            | {"verdict": "", "words": "", "figures": ""}
        )
    return found


def _with_pictures(prompts: pd.DataFrame, gallery: Gallery) -> pd.DataFrame:
    return prompts[[bool(gallery.numbers(p)) for p in prompts["prompt_id"]] or slice(0)]


def _example(
    gallery: Gallery, line: Any, place: str, heading: str, images: Sequence[str]
) -> Example:
    return {
        "id": line.prompt_id,
        "place": place,
        "prompt": line.prompt,
        "heading": heading,
        "images": [
            {"shown": gallery.training(i), "id": i, "caption": gallery.captions.get(i, "")}
            for i in images
        ],
    }


def _number(gallery: Gallery, prompt_id: str, copies_first: bool = False) -> str:
    """Return the number of the picture to show for a prompt: the first that may be shown."""
    numbers = gallery.numbers(prompt_id)
    copies = [n for n in numbers if (prompt_id, n) in gallery.copied]
    if copies_first and copies and gallery.training_images:
        return copies[0]
    plain = [n for n in numbers if n not in copies]
    return numbers[0] if gallery.training_images or not plain else plain[0]


def _top(run: RunResults) -> dict[str, list[str]]:
    """Return the candidates of each prompt, highest-ranked first."""
    ranking: pd.DataFrame = main_ranking(run)
    ranking = ranking[ranking["rank"].notna()]
    return {str(p): [str(i) for i in ids] for p, ids in ranking.groupby("prompt_id")["image_id"]}

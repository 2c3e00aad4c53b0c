"""The pictures that the page opens with: the clearest, a typical and the least clear prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from untrain.report.model_pairs import chosen_sets, with_and_without
from untrain.report.page.cards import effect_words
from untrain.report.page.gallery import Gallery, Shown
from untrain.report.ranking import main_ranking
from untrain.report.tables.effects import prompt_table
from untrain.runs.results import RunResults, rows

IMAGES = 5
GIVEN = 3  # examples of a run whose pictures were given
PLACES = {
    1: ("The only prompt",),
    2: ("Clearest", "Least clear"),
    3: ("Clearest", "Typical", "Least clear"),
}
Example = dict[str, Any]


def trial_examples(run: RunResults, gallery: Gallery) -> list[Example]:
    """Return up to three prompts of a trial with their pictures, the clearest first.

    Clearer means a smaller p and, for equal p, a larger effect. Positive controls and prompts
    without a picture are left out.
    """
    table = prompt_table(run)
    table = table[(table["role"] != "control") & table["effect"].notna()]
    table = _with_pictures(table, gallery)
    table = table.sort_values(["p_value", "effect"], ascending=[True, False], kind="stable")
    last = len(table) - 1
    chosen = table.iloc[sorted({0, last // 2, last})] if len(table) else table
    sets, top = chosen_sets(run), _top(run)
    found = []
    for place, line in zip(PLACES.get(len(chosen), ()), rows(chosen), strict=True):
        own = sets.get(line.prompt_id, [])
        ranked = top.get(line.prompt_id, [])
        images = [i for i in ranked if i in set(own)] + [i for i in own if i not in set(ranked)]
        number = _number(gallery, line.prompt_id)
        pair = with_and_without(run, line.prompt_id)
        pictures = [("drawn by A", gallery.drawn(line.prompt_id, number))]
        for words, model in zip(("with them", "without them"), pair, strict=False):
            pictures.append((words, gallery.drawn(line.prompt_id, number, model)))
        shown = (images or ranked)[:IMAGES]
        some = f"{len(shown)} of the" if len(shown) < len(own) else "The"
        heading = f"{some} {len(own)} training images found for it"
        heading = heading if own else "Nearest training images"
        found.append(
            _example(gallery, line, place, pictures, heading, shown)
            | {"verdict": line.verdict, "words": effect_words(line, run.unit)}
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
        pictures = [("given", gallery.drawn(line.prompt_id, number))]
        place = "Given picture" if line.plain else "Near copy"
        images = top.get(line.prompt_id, [])[:IMAGES]
        found.append(
            _example(gallery, line, place, pictures, "Nearest training images", images)
            | {"verdict": "", "words": ""}
        )
    return found


def _with_pictures(prompts: pd.DataFrame, gallery: Gallery) -> pd.DataFrame:
    return prompts[[bool(gallery.numbers(p)) for p in prompts["prompt_id"]] or slice(0)]


def _example(
    gallery: Gallery,
    line: Any,
    place: str,
    pictures: Sequence[tuple[str, Shown]],
    heading: str,
    images: Sequence[str],
) -> Example:
    return {
        "id": line.prompt_id,
        "place": place,
        "prompt": line.prompt,
        "pictures": list(pictures),
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

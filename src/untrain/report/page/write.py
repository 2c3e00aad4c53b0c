"""The report of a finished run: one HTML file that needs no network, tables and figures."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from untrain.core.errors import InputError
from untrain.core.files import write_text
from untrain.core.images import opened
from untrain.core.outside import read_bytes
from untrain.core.vocabulary import SAMPLER
from untrain.report.answer import answer_sentences, random_sentences, stricter_sentences
from untrain.report.arms import VERDICTS
from untrain.report.copies import copy_warnings, redaction_warnings
from untrain.report.figures import Plot, figures
from untrain.report.headline import headline
from untrain.report.notes import by_gravity, frozen_parts, further_warnings
from untrain.report.page.cards import missing_pictures, prompt_cards, strip
from untrain.report.page.embedded import EmbeddedPictures
from untrain.report.page.facts import details, explained, given_facts, trial_facts
from untrain.report.page.gallery import Gallery
from untrain.report.page.opening import every_prompt, given_examples, trial_examples
from untrain.report.page.picture_details import PictureDetails
from untrain.report.page.removals import removals
from untrain.report.page.strips import shares_with_pictures
from untrain.report.page.templates import read_asset, render_template
from untrain.report.ranking import metric_label, nearness_table, ranking_metrics, ranking_name
from untrain.report.tables import effects as tables
from untrain.report.tables.differences import difference_rows, equivalent_rows
from untrain.report.tables.exports import save_tables
from untrain.report.tables.leaderboard import leaderboard_text
from untrain.report.tables.markdown import markdown
from untrain.report.tables.unlearning import unlearning_text
from untrain.report.words import tied
from untrain.runs.results import RunResults, read_results, rows

FORMATS = ("svg", "png", "pdf")
DESIGNS = {
    "randomised": "The effect is estimated in a randomised trial among models none of which drew "
    "the pictures.",
    "before-after": "The effect compares a single pair of models, neither of which drew the "
    "pictures; tests and intervals hold for that pair only.",
}
APART = ("equivalent", "leaderboard", "unlearning")
"""Figures that the page shows beside the table that they draw, not among the others."""


def write_report(run: Path, training_images: bool = True) -> Path:
    """Write the page of a run, and ``summary.md``, ``figures/`` and ``tables/`` in ``results/``.

    Parameters
    ----------
    run : Path
        The folder of a finished run; nothing else is read.
    training_images : bool
        Whether the page may show training images. If not, it names them by id and caption, and
        withholds generated pictures that were flagged as near copies of one.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    InputError
        If the folder does not hold a finished run.
    """
    data = read_results(Path(run))
    plots = figures(data)
    for plot in plots:
        plot.save(data.folder / "results" / "figures")
    save_tables(data)
    write_text(data.folder / "results" / "summary.md", markdown(data))
    page = data.folder / "report.html"
    write_text(page, render(data, plots, training_images))
    return page


def render(run: RunResults, plots: list[Plot], training_images: bool = True) -> str:
    """Return the page: one of two templates, for a trial or for pictures that were given."""
    gallery = Gallery(run, EmbeddedPictures(), training_images)
    near = nearness_table(run)
    own = _given(run, gallery) if run.given else _trial(run, gallery)
    cards = prompt_cards(run, gallery, near)
    entries = PictureDetails(gallery, near).entries()
    notes = [*further_warnings(run), *copy_warnings(run), *missing_pictures(cards, gallery)]
    notes += [] if training_images else redaction_warnings(run)
    frozen = frozen_parts(run)
    doubtful = [tied(text) for text in headline(run)]
    answer, *numbers = [tied(text) for text in answer_sentences(run)[len(doubtful) :]] or [""]
    return render_template(
        **own,
        title=run.meta.get("name") or run.folder.name,
        **_code(gallery.pictures.sheet, _ratio(run)),
        training_images=training_images,
        headline=answer,
        doubtful=doubtful,
        doubts=[str(doubt) for doubt in run.doubts],
        withheld=run.withheld,
        details_of_answer=[] if run.given else numbers,
        beside=" ".join(numbers),
        warnings=[note.text for note in by_gravity(notes) if note not in frozen],
        standing=" ".join(note.text for note in frozen),
        known=VERDICTS,
        plots={plot.name: _placed(run, plot) for plot in plots},
        apart=[*APART, *(text["figure"] for text in own.get("shares", []))],
        tables=_files(run, "results/tables"),
        details=details(run),
        ranking=ranking_name(run),
        given=run.given,
        removed_by=(run.config.get("removal") or {}).get("rankings") or [],
        metrics=[metric_label(name) for name in ranking_metrics(run) if name in near],
        cards=cards,
        entries=entries,
    )


def _given(run: RunResults, gallery: Gallery) -> dict[str, Any]:
    """Return what only the page of given pictures shows."""
    return {
        "name": "given.html.j2",
        "examples": given_examples(run, gallery),
        "facts": given_facts(run),
        "drawn": ("Given for this prompt", "given"),
    }


def _trial(run: RunResults, gallery: Gallery) -> dict[str, Any]:
    """Return what only the page of a trial shows."""
    effects = run.effects
    queries, controls = tables.split_controls(effects, run.verdicts)
    models = int((run.models["model_id"] != SAMPLER).sum())
    asides = stricter_sentences(queries, run.alpha, models) + random_sentences(effects, run.alpha)
    overall = tables.overall_rows(tables.overall_table(effects)) + tables.group_rows(run.groups)
    others = tables.other_rows(tables.other_table(effects))
    return {
        "name": "trial.html.j2",
        "examples": trial_examples(run, gallery),
        "facts": trial_facts(run),
        "drawn": ("Drawn for this prompt", "model A"),
        "unit": run.unit,
        "verdicts": tables.verdict_counts(queries),
        "controls": tables.verdict_counts(controls),
        "asides": [tied(text) for text in asides],
        "removals": removals(run),
        "wall": every_prompt(run, gallery),
        "gloss": explained(run)[0],
        "explained": explained(run),
        "design": DESIGNS[tables.designs(effects)[0]],
        "overall": overall,
        "differences": difference_rows(effects),
        "others": [(f"{measure}: {arm}", *cells) for measure, arm, *cells in others],
        "prompts": _verdict_rows(run),
        "equivalent": equivalent_rows(run),
        "leaderboard": leaderboard_text(run),
        "shares": shares_with_pictures(run, gallery),
        "unlearning": unlearning_text(run),
    }


def _code(pictures: str, ratio: str) -> dict[str, Any]:
    """Return styles and script, with the hashes by which the page's policy knows them."""
    style, script = read_asset("report.css"), read_asset("report.js")
    pictures = f":root{{--ratio:{ratio}}}\n{pictures}"
    return {
        "style": Markup(style),
        "pictures": Markup(pictures),
        "script": Markup(script),
        "style_hashes": " ".join(f"'sha256-{_hash(text)}'" for text in (style, pictures)),
        "script_hash": f"'sha256-{_hash(script)}'",
    }


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _ratio(run: RunResults) -> str:
    """Width to height of the generated pictures, which are all of one size."""
    first = next((run.folder / "queries").glob("*/0.png"), None)
    if first is None:
        return "1"
    try:
        with opened(read_bytes(first), first.name, ["PNG"]) as image:
            return f"{image.width}/{image.height}"
    except (OSError, InputError):
        return "1"


def _verdict_rows(run: RunResults) -> list[dict[str, Any]]:
    """Return the rows of the table of verdicts, with their bars."""
    table = tables.prompt_table(run)
    intervals = table[["effect", "low", "high"]]
    zero, bars = strip(intervals, table["role"] != "control")
    return [
        {"id": line.prompt_id, "cells": cells, "control": line.role == "control", "zero": zero}
        | bar
        for line, cells, bar in zip(rows(table), tables.prompt_rows(table), bars, strict=True)
    ]


def _placed(run: RunResults, plot: Plot) -> dict[str, Any]:
    """Return a figure as the page shows it, with the files that lie beside the page."""
    # A style element would act on the whole page, and the policy refuses it.
    svg = re.sub(r"<style.*?</style>", "", plot.inline, flags=re.DOTALL)
    names = [f"results/figures/{plot.name}.{ending}" for ending in FORMATS]
    files = [(name, name.rsplit(".", 1)[1].upper()) for name in names]
    return {
        "plot": plot,
        "svg": Markup(svg),
        "files": [(name, words) for name, words in files if (run.folder / name).is_file()],
    }


def _files(run: RunResults, below: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the files of a folder by name, each with its endings."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((run.folder / below).glob("*.*")):
        link = (f"{below}/{path.name}", path.suffix[1:].upper())
        found.setdefault(path.stem.replace("_", " ").replace("-", " "), []).append(link)
    return list(found.items())

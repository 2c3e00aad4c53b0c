"""An answer as the page shows it: pictures, and beside each the training images behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.schema import records
from untrain.evaluation.measurement import spoken
from untrain.report.edited import copy_words, finds, plain, short
from untrain.report.page import trace as words
from untrain.report.words import interval, number
from untrain.runs.results import rows
from untrain.search.compare.metrics import METRICS
from untrain.search.traced import COPIES, EDITED, NEAR, UNSURE
from untrain.serve.questions import MOST, Question
from untrain.serve.shelf import Found

if TYPE_CHECKING:
    from untrain.attribution.side_by_side import SideBySide

ORDER = (NEAR, EDITED, UNSURE, "none")
"""Of several pictures: copies first, then those that a person has to look at."""
FEW = 5
"""Images of each of several pictures that are shown at once: a row of a window 1280 wide."""
FACETS = 24
"""Values that a column may have to be offered as a filter of one image."""


def answer_parts(found: Found, question: Question, catalog: Catalog) -> dict[str, Any]:
    """Return what the template of an answer takes."""
    trace, beside = found.trace, found.beside
    pictures = []
    tested = {str(copy.query): copy for copy in trace.copies.itertuples()}
    lines = sorted(rows(trace.summary), key=lambda line: ORDER.index(line.verdict))
    for line in lines:
        name, copy = str(line.query), tested[str(line.query)]
        own = trace.edited[trace.edited["query"] == name]
        nearest = str(line.copy_of or line.image_id)
        hits = kept_hits(trace.table[trace.table["query"] == name], question, catalog)
        shown: dict[str, Any] = {
            "name": name,
            "key": found.pictures[name].key,
            "of_catalog": found.pictures[name].of_catalog,
            "verdict": plain(line, own),
            "short": short(line.verdict),
            "is_copy": line.verdict in COPIES,
            "unsure": line.verdict == UNSURE,
            "nearest": nearest,
            "position": catalog.index[nearest],
            "by_features": words.copy_verdict(copy, line.verdict),
            "hits": [_hit(hit, question, catalog, line.verdict) for hit in records(hits)],
            "influence": None,
        }
        if len(own):
            shown["edited"], shown["finds"] = copy_words(own), finds(trace.about["edited"])
        if beside is not None:
            table = beside.table(name)
            table = table[table["influence_rank"] <= question.top].sort_values("influence_rank")
            if found.pictures[name].of_catalog:
                table = table[table["image_id"] != found.pictures[name].name]
            effects = effects_of(beside, name)
            shown["influence"] = {
                "method": beside.method,
                "agreement": str(beside.agreement[name]),
                "together": _together(beside, name),
                "hits": [
                    _influential(hit, question, catalog, effects)
                    for hit in records(kept_hits(table, question, catalog))
                ],
            }
        pictures.append(shown)
    return {
        "headline": words.answer(trace),
        "pictures": pictures,
        "few": FEW if len(pictures) > 1 else MOST,
        "copies": [picture for picture in pictures if picture["is_copy"]],
        "facts": words.facts(trace),
        "notes": [str(note) for note in found.notes],
    }


def kept_hits(hits: pd.DataFrame, question: Question, catalog: Catalog) -> pd.DataFrame:
    """Return the hits of one picture that a question asks for, nearest first."""
    keep = ~hits["image_id"].isin(question.without)
    at = [catalog.index[image_id] for image_id in hits["image_id"]]
    for each in question.only:
        column, _, value = each.partition(":")
        if column in catalog.attributes:
            known = catalog.attributes[column].iloc[at].astype(str).to_numpy()
            keep &= known == value
    return hits[keep].head(question.top)


def _hit(
    hit: Mapping[str, Any], question: Question, catalog: Catalog, verdict: str
) -> dict[str, Any]:
    bars = [
        (METRICS[name].label, f"{hit[name]:.2f}", f"{100 * min(max(hit[name], 0), 1):.3g}%")
        for name in words.BARS
        if hit.get(name) is not None
    ]
    return {
        **_image(str(hit["image_id"]), question, catalog),
        "rank": hit["rank"],
        "score": f"{hit['score']:.2f}",
        "same": hit["same_as"],
        "flag": (NEAR if verdict == NEAR else short(UNSURE)) if hit["near_copy"] else "",
        "beside": "",
        "effect": "",
        "bars": bars,
    }


def effects_of(beside: SideBySide, name: str) -> dict[str, str]:
    """Return what the removal of each image would cost a picture, in words; of a calibration."""
    table = beside.influence.table
    if not beside.influence.calibrated:
        return {}
    own = table[(table["prompt_id"] == name) & (table["method"] == beside.method)]
    return {
        row.image_id: f"{number(row.effect)} ({interval(row.low, row.high)})" for row in rows(own)
    }


def _together(beside: SideBySide, name: str) -> str:
    """Return what removing the images shown together would cost; nothing if uncalibrated."""
    if not beside.influence.calibrated:
        return ""
    removals = beside.influence.removals
    own = removals[(removals["prompt_id"] == name) & (removals["method"] == beside.method)]
    row = next(rows(own))
    unit = spoken(beside.influence.unit)
    return (
        f"Predicted: without these {row.k} images the picture becomes {number(row.effect)} {unit} "
        f"less likely (interval {interval(row.low, row.high)}); under each image what it "
        "would cost by itself."
    )


def _influential(
    hit: Mapping[str, Any], question: Question, catalog: Catalog, effects: Mapping[str, str]
) -> dict[str, Any]:
    near = hit["likeness_rank"]
    return {
        **_image(str(hit["image_id"]), question, catalog),
        "rank": int(hit["influence_rank"]),
        "score": words.number(hit["influence_score"]),
        "same": "",
        "flag": "",
        "beside": f"#{near:,.0f} by likeness" if near is not None else "not alike",
        "effect": effects.get(str(hit["image_id"]), ""),
        "bars": [],
    }


def _image(image_id: str, question: Question, catalog: Catalog) -> dict[str, Any]:
    position = catalog.index[image_id]
    return {
        "id": image_id,
        "position": position,
        "caption": catalog.captions[position],
        "without": question.excluding(image_id),
        "like": urlencode({"p": f"image:{image_id}"}),
        "facets": [
            (column, value, question.only_of(f"{column}:{value}"))
            for column, value in facets_of(catalog, position)
        ],
    }


def facets_of(catalog: Catalog, position: int) -> list[tuple[str, str]]:
    """Return what is known of an image: column and value, both as text; the empty are left out."""
    row = catalog.attributes.iloc[position]
    known = [(str(column), str(value)) for column, value in row.items() if not _empty(value)]
    return [(column, value) for column, value in known if len(value) < 60][:FACETS]


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))

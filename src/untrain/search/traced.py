"""What a trace found: the hits, the verdicts on copies, and a line a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Skipped
from untrain.core.notes import Note
from untrain.core.schema import records
from untrain.search.calibration import is_reencoded

SUMMARY = (
    *("query", "prompt", "image_id", "score", "cosine", "caption"),
    *("verdict", "copy_of"),
)
NEAR, EDITED, UNSURE = "near copy", "edited copy", "copy or variant"
COPIES = (NEAR, EDITED)
"""Verdicts of a summary that say a picture is a copy; of one that is `UNSURE` a person decides."""


@dataclass(frozen=True)
class Trace:
    """What `trace` found.

    Attributes
    ----------
    table : DataFrame
        The hits, by query, best first: columns as in `untrain.search.trace_query.HIT`, then every
        metric. ``same_as`` is the id of the hit above with the very same bytes (empty if there is
        none), ``distance`` one minus the cosine of pooled features.
    copies : DataFrame
        The copy test, one row a query: of the image nearest by features and the hits, in this
        order, the first that is flagged; or else the nearest.
    about : dict
        Catalogue, images, encoder, index, ranking, prompt, candidates; how edited copies were
        looked for.
    seconds : dict of str to float
        Seconds by part.
    notes : tuple of Note
        What was made anew, undefined, left out or not understood.
    ranked : DataFrame
        Every image that was compared: ``query``, ``image_id``, ``position`` in the catalogue, and
        the ``score`` of the ranking (NaN where it is undefined).
    edited : DataFrame
        What the copy detector found, as `CopyDetector.find` returns it: copies that were cropped,
        mirrored, recoloured, …, and of a picture that has none the nearest image. Empty if it was
        not asked.
    """

    table: pd.DataFrame
    copies: pd.DataFrame
    about: dict[str, Any]
    seconds: dict[str, float]
    notes: tuple[Note, ...]
    ranked: pd.DataFrame
    edited: pd.DataFrame
    prompts: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()

    @property
    def queries(self) -> list[str]:
        """Names of the pictures, in their order."""
        return self.copies["query"].tolist()

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row a picture: the image nearest to it, and whether it is a copy.

        Columns query; prompt; image_id, score, cosine (of pooled features) and caption of the first
        hit; ``verdict``: ``near copy`` (unaltered), ``edited copy``, ``copy or variant`` (a copy,
        or something that looks the same) or ``none``; ``copy_of``, an id or empty.
        """
        first = {hit["query"]: hit for hit in records(self.table[self.table["rank"] == 1])}
        edited: dict[str, list[dict[str, Any]]] = {}
        for row in records(self.edited):
            edited.setdefault(row["query"], []).append(row)
        rows = []
        for copy in records(self.copies):
            query = copy["query"]
            verdict, of = _verdict(copy, edited.get(query, []))
            hit = first[query]
            shown = {name: hit[name] for name in ("image_id", "score", "caption")}
            shown |= {"query": query, "prompt": self.prompts.get(query, "")}
            rows.append({**shown, "cosine": 1 - hit["distance"], "verdict": verdict, "copy_of": of})
        return pd.DataFrame(rows, columns=list(SUMMARY))

    def of(self, query: str) -> Trace:
        """Return the answer for one of the pictures."""
        own = {
            name: kept[kept["query"] == query].reset_index(drop=True)
            for name in ("table", "copies", "ranked", "edited")
            for kept in [getattr(self, name)]
        }
        prompts = {name: text for name, text in self.prompts.items() if name == query}
        about = {**self.about, "prompt": prompts.get(query)}
        return replace(self, **own, about=about, prompts=prompts, skipped=())

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it; what is undefined is None."""
        queries = []
        for copy in records(self.copies):
            hits = self.table[self.table["query"] == copy["query"]].drop(columns="query")
            own = self.edited[self.edited["query"] == copy["query"]].drop(columns="query")
            query = {"query": copy.pop("query"), "copy_test": copy}
            if query["query"] in self.prompts:
                query["prompt"] = self.prompts[query["query"]]
            queries.append({**query, "edited_copies": records(own), "hits": records(hits)})
        return {
            **self.about,
            "queries": queries,
            "seconds": {part: round(took, 4) for part, took in self.seconds.items()},
            "notes": [note.to_dict() for note in self.notes],
            "skipped": [{"picture": s.name, "reason": s.reason} for s in self.skipped],
        }


def _verdict(copy: Mapping[str, Any], edited: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the verdict on a picture, and the image that it names; may be empty.

    The copy test knows how unlikely it is to be so near by chance, not what is shown: another
    photo of the same product is as near. Where the copy detector was asked, the two must agree
    on a copy; the same picture saved again needs nobody's word.

    Parameters
    ----------
    copy : mapping
        The picture's row of `Trace.copies`.
    edited : list of dict
        Its rows of `Trace.edited`, best first; none if the copy detector was not asked.
    """
    saved_again = is_reencoded(np.array([[_known(copy["agreement"]), _known(copy["difference"])]]))
    named = {row["image_id"] for row in edited if row["verdict"] == "copy"}
    if copy["near_copy"] and (not edited or saved_again[0] or copy["image_id"] in named):
        return NEAR, str(copy["image_id"])
    first = edited[0] if edited else {"verdict": "similar"}
    if first["verdict"] == "copy":
        return EDITED, str(first["image_id"])
    if first["verdict"] == "copy_or_variant":
        return UNSURE, str(first["image_id"])
    return (UNSURE, str(copy["image_id"])) if copy["near_copy"] else ("none", "")


def _known(value: float | None) -> float:
    return math.nan if value is None else value

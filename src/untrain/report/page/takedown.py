"""The report on a takedown request: a page for people, to be read on a screen or printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.images import open_picture
from untrain.report.decided import NOT_THEIRS, decided
from untrain.report.page.inline import data_uri
from untrain.report.page.templates import read_asset, render_template
from untrain.report.takedown import (
    PARTS,
    VERDICTS,
    Told,
    in_short,
    kind_words,
    looked_for,
    recall_rows,
    wrongly_found,
)
from untrain.report.takedown_checks import check_rows

SIDE = 300  # pixels of a picture: twice what the page shows
BESIDE = 4  # images beside a picture
LEANING = 6  # prompts in the table
DRAWN = 12  # pairs of pictures before and after


class Pictures:
    """The pictures that the page shows, each read and embedded once.

    Parameters
    ----------
    request : mapping of str to ndarray of uint8
        The pictures that were sent, by name.
    catalog : Catalog
        Where the images of the data are read.
    folder : Path
        Of the takedown: ``before/`` and ``after/`` hold what the models drew.
    """

    def __init__(self, request: Mapping[str, np.ndarray], catalog: Catalog, folder: Path) -> None:
        self.request, self.catalog, self.folder = request, catalog, folder
        self._known: dict[tuple[str, str], str] = {}

    def sent(self, name: str) -> str:
        """Return a picture of the request as a data URI."""
        return self._once("sent", name, lambda: Image.fromarray(self.request[name]))

    def image(self, image_id: str) -> str:
        """Return an image of the data as a data URI; empty if it cannot be read any more."""
        return self._once("image", image_id, lambda: self.catalog.image(image_id))

    def drawn(self, when: str, name: str) -> str:
        """Return what a model drew, ``before`` or ``after``, as a data URI; empty if it is gone."""
        path = self.folder / when / f"{name}.png"
        return self._once(when, name, lambda: open_picture(path)) if path.is_file() else ""

    def _once(self, kind: str, name: str, read: Any) -> str:
        if (kind, name) not in self._known:
            try:
                self._known[kind, name] = data_uri(read(), SIDE)
            except (InputError, OSError, KeyError):
                self._known[kind, name] = ""
        return self._known[kind, name]


def takedown_page(record: Mapping[str, Any], pictures: Pictures) -> str:
    """Return the page, which needs no network and runs no script.

    Parameters
    ----------
    record : mapping
        As ``record.json`` holds it, without the hashes of the page itself.
    pictures : Pictures
    """
    told = Told(record)
    return render_template(
        "takedown.html.j2",
        style=Markup(read_asset("takedown.css")),
        told=told,
        record=record,
        short=in_short(told),
        looked_for=looked_for(record),
        recall=recall_rows(told),
        wrongly=wrongly_found(told),
        asked=_asked(told, pictures),
        leaning=_leaning(told),
        checks=check_rows(told),
        drawn=_drawn(record, pictures),
        verdicts=VERDICTS,
    )


def _asked(told: Told, pictures: Pictures) -> list[dict[str, Any]]:
    """Return each picture that was sent, with what was found beside it."""
    beside: dict[str, list[dict[str, Any]]] = {}
    in_run = bool(told.record["run"])
    matches = decided(told.record["found"]["matches"], told.record["decisions"])
    for match in sorted(matches, key=lambda match: not match["copy"]):
        part = PARTS[match["part"]] if in_run else ""
        uri, words = pictures.image(match["image_id"]), kind_words(match)
        beside.setdefault(match["picture"], []).append(
            {**match, "uri": uri, "words": words, "where": part}
        )
    asked = []
    for picture in told.record["request"]["pictures"]:
        own = beside.get(picture["name"], [])
        asked.append(
            {
                **picture,
                "uri": pictures.sent(picture["name"]),
                "found": any(match["copy"] for match in own),
                "like": any(match["open"] for match in own),
                "refused": any(match["decision"] == NOT_THEIRS for match in own),
                "beside": own[:BESIDE],
                "more": max(0, len(own) - BESIDE),
            }
        )
    return asked


def _leaning(told: Told) -> list[dict[str, Any]]:
    influence = told.record["influence"]
    if not influence or not influence["leaning"] or "missing" in influence["leaning"]:
        return []
    rows = influence["leaning"]["prompts"][:LEANING]
    return [
        {
            "prompt": row["prompt"],
            "share": told.n(f"influence.leaning.prompts.{place}.share", "percent"),
            "rank": told.n(f"influence.leaning.prompts.{place}.best_rank"),
            "effect": [
                told.n(f"influence.leaning.prompts.{place}.{name}", "three")
                for name in ("effect", "low", "high")
            ]
            if "effect" in row
            else None,
        }
        for place, row in enumerate(rows)
    ]


def _drawn(record: Mapping[str, Any], pictures: Pictures) -> list[dict[str, Any]]:
    """Return what was drawn for the captions of the images, before and after, beside the image."""
    drawn = (record["after"] or {}).get("drawn")
    if not drawn or not drawn["probes"]:
        return []
    near = {
        (when, picture["prompt_id"], picture["generation"])
        for when in ("before", "after")
        for picture in drawn.get(when, {}).get("pictures", [])
    }
    rows = []
    for image_id in list(record["ids"])[: min(DRAWN, drawn["captions"])]:
        prompt_id = f"request/{image_id}"
        shown: dict[str, list[dict[str, Any]]] = {}
        for when in ("before", "after"):
            uris = [pictures.drawn(when, f"{prompt_id}/{g}") for g in range(drawn["probes"])]
            shown[when] = [
                {"uri": uri, "near": (when, prompt_id, g) in near}
                for g, uri in enumerate(uris)
                if uri
            ]
        rows.append({"image_id": image_id, "uri": pictures.image(image_id), **shown})
    return rows

"""An attribution as a page: each query with the training images that it stands on."""

from __future__ import annotations

from typing import Any

import pandas as pd
from PIL import Image

from untrain.attribution.attribute import Attributed
from untrain.catalogs.base import Catalog
from untrain.core.schema import records
from untrain.generators.queries import Queries
from untrain.report.attribution import method_words, number, removal_words
from untrain.report.page.inline import data_uri
from untrain.report.page.trace import HIT_SIDE, QUERY_SIDE

PICTURES = 3  # of each query on the page
MOST = 200  # images of each query and method on the page


def attribution_page(found: Attributed, queries: Queries, catalog: Catalog) -> str:
    """Return the page of an attribution, which needs no network and runs no script.

    Parameters
    ----------
    found : Attributed
    queries : Queries
        What was asked about.
    catalog : Catalog
        Where the training images are read from.
    """
    from markupsafe import Markup

    from untrain.report.page.templates import read_asset, render_template  # for a page only

    style = "\n".join(map(read_asset, ("report.css", "trace.css")))
    asked = [_query(found, of, queries, catalog) for of in records(found.prompts)]
    names = [query["name"] for query in asked]
    return render_template(
        "attribution.html.j2",
        title=", ".join(names) if len(names) < 4 else f"{len(names)} queries",
        style=Markup(style),
        answer=_answer(found),
        reading=_reading(found),
        notes=found.notes,
        queries=asked,
        facts=_facts(found, catalog),
    )


def beside(found: Attributed, method: str, prompt_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return, for each image shown by a method, its place by each of the other methods.

    A record has ``text``, and ``known``: whether the other method shows the image, too.
    """
    own = _rows(found, method, prompt_id)
    words: dict[str, list[dict[str, Any]]] = {image_id: [] for image_id in own["image_id"]}
    if len(found.methods) < 2:
        return words
    at = {image_id: row for row, image_id in enumerate(found.image_ids) if image_id in words}
    for other in found.methods:
        if other == method:
            continue
        places = found.places(other, prompt_id)
        for image_id, row in at.items():
            place = int(places[row])
            text = f"#{place:,} by {other}" if place else f"no score by {other}"
            words[image_id].append({"text": text, "known": 0 < place <= len(own)})
    return words


def _query(
    found: Attributed, asked: dict[str, Any], queries: Queries, catalog: Catalog
) -> dict[str, Any]:
    prompt_id = asked["prompt_id"]
    pictures = [queries.pictures[row] for row in queries.rows(prompt_id)[:PICTURES].tolist()]
    methods = []
    for method in found.methods:
        agreed = found.agreement.get((method, prompt_id))
        said = removal_words(found, method, prompt_id)
        methods.append(
            {
                "name": method,
                "removal": f"{said}." if said else "",
                "agreement": f"Beside {found.methods[0]}: {agreed}." if agreed else "",
                "hits": _hits(found, method, prompt_id, catalog),
            }
        )
    return {
        "name": prompt_id,
        "prompt": asked["prompt"],
        "pictures": asked["pictures"],
        "uris": [data_uri(Image.fromarray(picture), QUERY_SIDE) for picture in pictures],
        "methods": methods,
    }


def _hits(found: Attributed, method: str, prompt_id: str, catalog: Catalog) -> list[dict[str, Any]]:
    others = beside(found, method, prompt_id)
    return [
        {
            "rank": hit["rank"],
            "score": number(hit["score"]),
            "id": hit["image_id"],
            "caption": hit["caption"],
            "same": hit["same_as"],
            "near_copy": False,
            "beside": others[hit["image_id"]],
            "uri": data_uri(catalog.image(hit["image_id"]), HIT_SIDE),
            "bars": [],
        }
        for hit in _rows(found, method, prompt_id).head(MOST).to_dict("records")
    ]


def _rows(found: Attributed, method: str, prompt_id: str) -> pd.DataFrame:
    table = found.table
    return table[(table["method"] == method) & (table["prompt_id"] == prompt_id)]


def _answer(found: Attributed) -> str:
    images = f"{len(found.image_ids):,} training images"
    by = ", ".join(found.methods)
    return f"Those that count most, out of {images}, by {by}:"


def _reading(found: Attributed) -> str:
    if found.calibrated is None:
        return "Scores are uncalibrated: they order images and are in no unit."
    return (
        f"The calibration turns the scores of {found.calibrated} into {found.unit}, as measured "
        "when other runs took images out; intervals say how far it was off for prompts left out."
    )


def _facts(found: Attributed, catalog: Catalog) -> list[tuple[str, str]]:
    return [
        ("Catalogue", f"{catalog.name}, {len(catalog):,} images"),
        ("Methods", ", ".join(found.methods)),
        ("Calibration", found.calibrated or "none"),
        ("Work", f"{sum(found.seconds.values()):.2f} s: {method_words(found)}"),
    ]

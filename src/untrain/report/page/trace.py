"""A trace in words and as a page: each picture with the training images nearest to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.core.files import read_parquet
from untrain.core.notes import Note
from untrain.report.edited import copy_sentence, finds
from untrain.report.page.inline import data_uri
from untrain.search.compare.metrics import METRICS, measured
from untrain.search.trace import Trace
from untrain.search.traced import COPIES, NEAR, UNSURE

if TYPE_CHECKING:  # a trace without a run has no influence beside it
    from untrain.attribution.side_by_side import SideBySide

BARS = (  # metrics shown with each hit, 1 for the same picture; all metrics are in a table below
    "pixel_cosine",
    "pixel_ssim_standard",
    "pixel_histogram_intersection",
    "feature_cosine",
    "text_tfidf",
    "text_clip",
)
TABLE = "copies.parquet"
COPIES_SHOWN = 4  # of one picture
QUERY_SIDE, HIT_SIDE = 500, 300  # pixels: twice what the page shows, for fine screens


# In words ---------------------------------------------------------------------------------------


def copy_verdict(copy: Any, verdict: str = NEAR) -> str:
    """Return what the copy test says of one query, a row of `Trace.copies`.

    ``verdict`` is that of `Trace.summary`: a near copy that it does not call one may be only alike.
    """
    p = f"p = {copy.p_value:.2g}" if copy.p_value >= 0.001 else "p < 0.001"
    how_near = f"distance {copy.distance:.3f}, {p}."
    if copy.near_copy:
        if verdict in COPIES:
            return f"Near copy of {copy.image_id}: {how_near}"
        return f"Nearly the same as {copy.image_id}, a copy or only alike: {how_near}"
    none = "No unaltered copy among those nearest"
    return f"{none}: {copy.image_id} is nearest by features, {how_near}"


def answer(found: Trace) -> str:
    """Return the headline of a trace, which leads to its hits."""
    asked = len(found.copies)
    copies = int(found.summary["verdict"].isin(COPIES).sum())
    unsure = int((found.summary["verdict"] == UNSURE).sum())
    images = f"{found.about['images']:,} training images"
    one = asked == 1
    itself = one and bool(found.about.get("themselves"))
    if itself:
        images = f"the {found.about['images'] - 1:,} other training images"
    looked = len(found.edited) > 0
    if one and unsure:
        return f"It may be a copy of one of {images}, or only alike: look at both. Those nearest:"
    if not copies:
        kind = "copy, unaltered or edited," if looked else "unaltered copy"
        none = f"No {kind} of {'it' if one else f'these {asked} pictures'}"
        return f"{none} was found among {images}{_undecided(unsure, 'of them')}. Those nearest:"
    what = "copy" if looked else "near copy"
    are = f"are {what[:-1]}ies" if copies > 1 else f"is a {what}"
    said = f"It is a {what}" if one else f"{copies} of these {asked} pictures {are}"
    also = _undecided(unsure, "more")
    return f"{said} of one of {images}{also}. Those nearest to {'it' if one else 'each'}:"


def _undecided(n: int, of: str) -> str:
    """Return how many pictures a person has to look at, as the end of a sentence."""
    what = "copies" if n > 1 else "a copy"
    return f"; {n} {of} may be {what} or only alike: look at both" if n else ""


def run_notes(run: Path, pictures: Mapping[str, Path]) -> tuple[Note, ...]:
    """Return what to know where the training images are those of a run.

    Its own copy test compares with images that its generator has redrawn, and can thus say
    otherwise of the same picture.

    Parameters
    ----------
    run : Path
        A run folder.
    pictures : mapping of str to Path
        Traced pictures by name; of those in the run's ``queries`` its own verdicts are told.
    """
    fairer = (
        f"the copy test of a trace compares with the training images as they are, the run's own "
        f"({TABLE}) with what its generator makes of them when it draws them again: the two can "
        "differ, and for a coarse generator the run's is the fairer"
    )
    notes = [Note("copy-test-of-run", fairer)]
    copies = read_parquet(run / TABLE) if (run / TABLE).is_file() else None
    for name, path in pictures.items():
        queries = (run / "queries").resolve()
        if copies is None or not path.resolve().is_relative_to(queries):
            continue
        prompt, number = path.resolve().parent.name, path.stem
        own = (copies["prompt_id"] == prompt) & (copies["generation"].astype(str) == number)
        for row in copies[own].itertuples():
            flag = "a near copy of" if row.near_copy else "no near copy; the nearest is"
            text = f"{name}, in the run's own test: {flag} {row.image_id}"
            notes.append(Note("copy-verdict-of-run", text, (name,)))
    return tuple(notes)


# As a page ----------------------------------------------------------------------------------------


def trace_page(
    found: Trace,
    images: Mapping[str, np.ndarray],
    catalog: Catalog,
    beside: SideBySide | None = None,
    back: str = "",
) -> str:
    """Return the page of a trace, which needs no network and runs no script.

    Of several pictures, an overview with a line each leads to their answers below.

    Parameters
    ----------
    found : Trace
    images : mapping of str to ndarray of uint8, each H×W×3
        The pictures that were traced.
    catalog : Catalog
        Where the training images are read from.
    beside : SideBySide, optional
        The influence of the training images on the same pictures.
    back : str, optional
        Address of a page that leads to this one.
    """
    from markupsafe import Markup

    from untrain.report.page.overview import lines
    from untrain.report.page.templates import read_asset, render_template  # for a page only

    style = "\n".join(map(read_asset, ("report.css", "trace.css")))
    queries = []
    verdicts = dict(zip(found.summary["query"], found.summary["verdict"], strict=True))
    for copy in found.copies.itertuples():
        hits = found.table[found.table["query"] == copy.query]
        queries.append(
            {
                "name": copy.query,
                "prompt": found.prompts.get(str(copy.query), ""),
                "uri": data_uri(Image.fromarray(images[str(copy.query)]), QUERY_SIDE),
                "near_copy": copy.near_copy,
                "copies": copy_verdict(copy, verdicts[copy.query]),
                "edited": _edited(found, str(copy.query), catalog),
                "hits": _hits(hits, catalog, _places(beside, str(copy.query))),
                "metrics": _metrics(hits),
                "influence": _influence(beside, str(copy.query), catalog) if beside else None,
            }
        )
    return render_template(
        "trace.html.j2",
        title=", ".join(found.copies["query"]) if len(queries) < 4 else f"{len(queries)} pictures",
        style=Markup(style),
        answer=answer(found),
        back=back,
        lines=lines(found, images, catalog, "#query-{}") if len(queries) > 1 else [],
        skipped=found.skipped,
        notes=found.notes,
        queries=queries,
        facts=facts(found),
    )


def _edited(found: Trace, query: str, catalog: Catalog) -> dict[str, Any] | None:
    """Return what the copy detector says of a picture, and the images that it names."""
    own = found.edited[found.edited["query"] == query]
    if own.empty:
        return None
    return {
        "is_copy": bool((own["verdict"] != "similar").any()),
        "words": copy_sentence(own, found.about["edited"]),
        "images": [
            {"id": image_id, "uri": data_uri(catalog.image(image_id), HIT_SIDE)}
            for image_id in own["image_id"].head(COPIES_SHOWN)
        ],
    }


def facts(found: Trace) -> list[tuple[str, str]]:
    """Return what was searched and how, as terms and what they were."""
    about = found.about
    index = about["index"]
    if "recall_at_10" in about:
        index += f", which finds {about['recall_at_10']:.1%} of the ten nearest"
    return [
        ("Catalogue", f"{about['catalog']}, {about['images']:,} images"),
        ("Encoder", about["encoder"]),
        ("Index", index),
        ("Candidates", f"{about['candidates']:,} compared by every metric"),
        ("Ranking", about["ranking"]),
        *([("Edited copies", finds(about["edited"]))] if len(found.edited) else []),
        ("Work", f"{sum(found.seconds.values()):.2f} s: {_parts(found.seconds)}"),
    ]


def _parts(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {took:.2f}" for part, took in seconds.items())


def _places(beside: SideBySide | None, query: str) -> dict[str, list[dict[str, Any]]]:
    """Return what stands beside the images nearest: their place by influence."""
    if beside is None:
        return {}
    by, hits = f"by {beside.method}", beside.table(query).to_dict("records")
    return {hit["image_id"]: [_place(hit["influence_rank"], by, beside.top)] for hit in hits}


def _place(rank: float, by: str, top: int) -> dict[str, Any]:
    if not math.isfinite(rank):
        return {"text": f"not compared {by}", "known": False}
    return {"text": f"#{rank:,.0f} {by}", "known": rank <= top}


def _influence(beside: SideBySide, query: str, catalog: Catalog) -> dict[str, Any]:
    """Return the images that the model stands on most, with their place by likeness."""
    table = beside.table(query)
    shown = table[table["influence_rank"] <= beside.top].sort_values("influence_rank")
    hits = [
        {
            "rank": int(hit["influence_rank"]),
            "score": number(hit["influence_score"]),
            "id": hit["image_id"],
            "caption": hit["caption"],
            "same": "",
            "near_copy": False,
            "beside": [_place(hit["likeness_rank"], "by likeness", beside.top)],
            "bars": [],
            "uri": data_uri(catalog.image(hit["image_id"]), HIT_SIDE),
        }
        for hit in shown.to_dict("records")
    ]
    return {"method": beside.method, "agreement": str(beside.agreement[query]), "hits": hits}


def _hits(
    hits: pd.DataFrame, catalog: Catalog, places: Mapping[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    return [
        {
            "rank": hit["rank"],
            "score": f"{hit['score']:.2f}",
            "id": hit["image_id"],
            "caption": hit["caption"],
            "same": hit["same_as"],
            "near_copy": hit["near_copy"],
            "uri": data_uri(catalog.image(hit["image_id"]), HIT_SIDE),
            "beside": places.get(hit["image_id"], []),
            "bars": [
                {
                    "label": METRICS[name].label,
                    "value": f"{hit[name]:.2f}",
                    "percent": f"{100 * min(max(hit[name], 0), 1):.3g}",
                }
                for name in BARS
                if name in hit and math.isfinite(hit[name])
            ],
        }
        for hit in hits.to_dict("records")
    ]


def _metrics(hits: pd.DataFrame) -> list[tuple[str, list[str]]]:
    names = measured(hits)
    return [(name.replace("_", " "), [number(value) for value in hits[name]]) for name in names]


def number(value: float) -> str:
    """Return a metric for people: four digits, or a dash where it is undefined."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

"""The page of a trace: each picture beside the training images nearest to it, in one file."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.report.trace_words import answer, copy_verdict
from untrain.search.compare.metrics import METRICS, measured
from untrain.search.trace import Trace

BARS = (  # what a hit shows at a glance, 1 for the same picture; all metrics are in a table below
    "pixel_cosine",
    "pixel_ssim_standard",
    "pixel_histogram_intersection",
    "feature_cosine",
    "text_tfidf",
    "text_clip",
)
QUERY_SIDE, HIT_SIDE = 500, 300  # pixels: twice what the page shows, for fine screens


def trace_page(found: Trace, images: Mapping[str, np.ndarray], catalog: Catalog) -> str:
    """Return the page of a trace, which needs no network and runs no script.

    Parameters
    ----------
    found : Trace
    images : mapping of str to ndarray of uint8, each H×W×3
        The pictures that were traced.
    catalog : Catalog
        Where the training images are read from.
    """
    environment = Environment(
        loader=PackageLoader("untrain", "report/page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    package = resources.files("untrain.report.page")
    style = [package.joinpath(name).read_text("utf-8") for name in ("report.css", "trace.css")]
    queries = []
    for copy in found.copies.itertuples():
        hits = found.table[found.table["query"] == copy.query]
        queries.append(
            {
                "name": copy.query,
                "uri": data_uri(Image.fromarray(images[str(copy.query)]), QUERY_SIDE),
                "near_copy": copy.near_copy,
                "copies": copy_verdict(copy),
                "hits": _hits(hits, catalog),
                "metrics": _metrics(hits),
            }
        )
    return environment.get_template("trace.html.j2").render(
        title=", ".join(found.copies["query"]) if len(queries) < 4 else f"{len(queries)} pictures",
        style=Markup("\n".join(style)),
        answer=answer(found),
        prompt=found.about["prompt"],
        notes=found.notes,
        queries=queries,
        facts=facts(found),
    )


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
        ("Work", f"{sum(found.seconds.values()):.2f} s: {_parts(found.seconds)}"),
    ]


def _parts(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {took:.2f}" for part, took in seconds.items())


def _hits(hits: pd.DataFrame, catalog: Catalog) -> list[dict[str, Any]]:
    return [
        {
            "rank": hit["rank"],
            "score": f"{hit['score']:.2f}",
            "id": hit["image_id"],
            "caption": hit["caption"],
            "same": hit["same_as"],
            "near_copy": hit["near_copy"],
            "uri": data_uri(catalog.image(hit["image_id"]), HIT_SIDE),
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


def data_uri(image: Image.Image, side: int) -> str:
    """Return a picture as a data URI, at most ``side`` pixels a side; PNG if small, else JPEG."""
    image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    kind = "PNG" if max(image.size) <= 96 else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"

"""A trace of many pictures as a folder of pages, one a picture; a search by words as a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core import disk
from untrain.core.atomic import atomic_folder
from untrain.core.files import write_csv, write_parquet, write_text
from untrain.core.progress import track
from untrain.report.page.inline import data_uri
from untrain.report.page.overview import lines
from untrain.report.page.trace import HIT_SIDE, answer, facts, trace_page
from untrain.search.by_words import WordHits
from untrain.search.trace import Trace

if TYPE_CHECKING:
    from untrain.attribution.side_by_side import SideBySide

ONE_PAGE = 200  # pictures that one page can hold; a folder has no limit
INDEX, SUMMARY, TABLE, ANSWERS = "index.html", "summary.csv", "hits.parquet", "answers"


def write_trace_folder(
    folder: Path,
    found: Trace,
    images: Mapping[str, np.ndarray],
    catalog: Catalog,
    beside: SideBySide | None = None,
) -> None:
    """Write an overview that can be browsed, a page for each picture, and the tables.

    The folder is written as a whole; one that was written so before is replaced.

    Raises
    ------
    InputError
        Something that untrain did not write is there.
    """
    names = [f"{number:04d}-{_slug(query)}.html" for number, query in enumerate(found.queries, 1)]
    with atomic_folder(folder) as temporary:
        disk.make_folder(temporary / ANSWERS)
        for query, name in track(
            zip(found.queries, names, strict=True), "writing pages", len(names)
        ):
            one = {query: images[query]}
            page = trace_page(found.of(query), one, catalog, beside, f"../{INDEX}")
            write_text(temporary / ANSWERS / name, page)
        addresses = [f"{ANSWERS}/{name}" for name in names]
        page = _page(
            title=f"{len(names)} pictures",
            question="Which training images are these pictures made of?",
            answer=answer(found),
            notes=found.notes,
            lines=lines(found, images, catalog, addresses),
            skipped=found.skipped,
            facts=facts(found),
        )
        write_text(temporary / INDEX, page)
        write_csv(temporary / SUMMARY, found.summary)
        write_parquet(temporary / TABLE, found.table)


def words_page(found: WordHits, catalog: Catalog) -> str:
    """Return the page of a search by words, which needs no network and runs no script."""
    about = found.about
    hits = [
        {
            "rank": hit["rank"],
            "score": f"{hit['score']:.2f}",
            "id": hit["image_id"],
            "caption": hit["caption"],
            "same": "",
            "near_copy": False,
            "beside": [],
            "bars": [],
            "uri": data_uri(catalog.image(hit["image_id"]), HIT_SIDE),
        }
        for hit in found.table.to_dict("records")
    ]
    return _page(
        title=f"“{about['prompt']}”",
        question=f"Which training images have captions like “{about['prompt']}”?",
        answer=f"The {len(hits)} nearest of {about['images']:,}, by the words that they share:",
        notes=found.notes,
        hits=hits,
        facts=[
            ("Catalogue", f"{about['catalog']}, {about['images']:,} images"),
            ("Score", "cosine of TF-IDF vectors of prompt and caption, from 0 to 1"),
            ("Work", f"{found.seconds:.2f} s"),
        ],
    )


def _page(**values: Any) -> str:
    from markupsafe import Markup

    from untrain.report.page.templates import read_asset, render_template

    style = "\n".join(map(read_asset, ("report.css", "trace.css")))
    given = {"lines": [], "hits": [], "skipped": [], "style": Markup(style), **values}
    return render_template("trace_index.html.j2", **given)


def _slug(name: str) -> str:
    """Return a name as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:60] or "picture"

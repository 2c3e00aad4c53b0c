"""Many pictures at a look: a line each, with the training images nearest to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.report.page.inline import data_uri
from untrain.search.traced import Trace

HITS = 5  # training images in a line
SIDE = 160  # pixels: twice what the page shows


def verdict(line: Any) -> str:
    """Return the verdict on a picture, a row of `Trace.summary`, in words."""
    if line.verdict == "none":
        return f"no copy; nearest {line.image_id}"
    return f"{line.verdict} of {line.copy_of}"


def lines(
    found: Trace, images: Mapping[str, np.ndarray], catalog: Catalog, href: str | Sequence[str]
) -> list[dict[str, Any]]:
    """Return what the overview shows of each picture.

    Parameters
    ----------
    found, images, catalog
        As `trace_page` takes them.
    href : str or sequence of str
        Addresses of the answers, or a pattern of them with the picture's number, from 1.
    """
    shown = []
    for number, line in enumerate(found.summary.itertuples()):
        hits = found.table[found.table["query"] == line.query].head(HITS)
        shown.append(
            {
                "name": line.query,
                "prompt": line.prompt,
                "href": href.format(number + 1) if isinstance(href, str) else href[number],
                "uri": data_uri(Image.fromarray(images[str(line.query)]), SIDE),
                "verdict": verdict(line),
                "is_copy": line.verdict != "none",
                "hits": [
                    {
                        "uri": data_uri(catalog.image(hit["image_id"]), SIDE),
                        "caption": hit["caption"],
                        "words": (hit["image_id"], f"{1 - hit['distance']:.2f}"),
                    }
                    for hit in hits.to_dict("records")
                ],
            }
        )
    return shown

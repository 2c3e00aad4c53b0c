"""Browsing: the catalogue, words in it, one image, copies, groups, and what a browser keeps."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from untrain.core.errors import InputError
from untrain.core.spreadsheet import csv_text
from untrain.serve.answers import facets_of
from untrain.serve.responses import PRIVATE, at, attached, picture, wrong
from untrain.serve.site import Site, page_numbers, shown

SIDES = (160, 320, 640)
"""Of thumbnails, pixels."""
PAGE = 60
"""Images of the catalogue on one page."""
COPIES, OF_A_GROUP = 40, 12
"""Groups of copies on one page, and images shown of each."""
VALUES, COLUMNS = 60, 60
"""Values of a column shown, and columns offered."""
LONGEST = 300
"""Characters of what is searched for, as in the form."""
KEPT = 500
"""Images that a browser remembers, at most."""


class Browsing(Site):
    """The catalogue."""

    def routes(self) -> list[Route]:
        """Return the addresses."""
        pages = self.lanes.pages
        return [
            at("/browse", self.browse, pages),
            at("/browse/copies", self.copies, pages),
            at("/browse/copies/state", self.copies_state, pages),
            at("/browse/groups", self.groups, pages),
            at("/images/{position:number}", self.image, pages),
            at("/thumbnails/{side:number}/{position:number}", self.thumbnail, pages),
            at("/kept", self.kept, pages),
            at("/kept.csv", self.kept_table, pages),
        ]

    def browse(self, request: Request) -> Response:
        """Show the catalogue, what words find in it, or the images of a group."""
        shelf = self.shelf
        if not shelf.ready:
            return self.page("waiting", request)
        query = request.query_params
        words, only = query.get("q", "").strip()[:LONGEST], query.get("only", "")
        catalog, note = shelf.catalog, ""
        positions: Any
        if words:
            try:
                found, scores = shelf.tracer.words[0].query([words], len(catalog))
                positions = found[0][scores[0] > 0]  # the others share no word
            except InputError as error:
                positions, note = [], str(error)
        elif only:
            positions = self._of_group(only)
        else:
            positions = range(len(catalog))
        number, last = page_numbers(request, len(positions), PAGE)
        here = positions[PAGE * (number - 1) : PAGE * number]
        images = [shown(catalog, int(position)) for position in here]
        return self.page(
            "browse",
            request,
            words=words,
            only=only,
            total=len(positions),
            number=number,
            last=last,
            images=images,
            note=note,
        )

    def _of_group(self, only: str) -> np.ndarray:
        """Return the positions of the images of a group, ``column:value``."""
        column, _, value = only.partition(":")
        known = self.shelf.catalog.attributes
        if column not in known:
            have = ", ".join(map(str, known)) or "none"
            raise InputError(f"nothing is known of the images by '{column}'; there are: {have}")
        return np.flatnonzero(known[column].astype(str).to_numpy() == value)

    def copies(self, request: Request) -> Response:
        """Show images that are in the catalogue more than once."""
        if not self.shelf.ready:
            return self.page("waiting", request)
        looking = self.shelf.copies
        near = request.query_params.get("near") == "1"
        if near:
            looking.start()
        groups = looking.near if near and looking.near is not None else looking.exact
        catalog = self.shelf.catalog
        listed = list(groups.groupby("group"))
        number, last = page_numbers(request, len(listed), COPIES)
        parts = [
            {
                "images": [
                    shown(catalog, catalog.index[str(row.image_id)])
                    | {"kind": row.kind, "first": not row.copy_of, "like": ""}
                    for row in part.head(OF_A_GROUP).itertuples()
                ],
                "more": max(0, len(part) - OF_A_GROUP),
                "captions": len({catalog.captions[catalog.index[i]] for i in part["image_id"]}),
            }
            for _, part in listed[COPIES * (number - 1) : COPIES * number]
        ]
        return self.page(
            "copies",
            request,
            near=near,
            waiting=near and looking.near is None,
            looking=looking,
            groups=parts,
            total=len(listed),
            images=len(groups),
            number=number,
            last=last,
            where=self._where(),
        )

    def _where(self) -> str:
        """Return the catalogue as a command takes it, as far as that is known."""
        place = self.shelf.place
        if place is None or not place.catalog:
            return "PATH"
        return shlex.quote(place.catalog) + (f" --format {place.format}" if place.format else "")

    def copies_state(self, request: Request) -> Response:
        """Say how far the search for near copies is."""
        state = self.shelf.copies.state
        return JSONResponse(
            {"ready": state.ready, "what": state.what, "done": state.done, "total": state.total,
             "error": state.error}
        )  # fmt: skip

    def groups(self, request: Request) -> Response:
        """Show what the images can be grouped by, and the groups."""
        shelf = self.shelf
        if not shelf.ready:
            return self.page("waiting", request)
        catalog = shelf.catalog
        known = catalog.attributes
        columns = [(str(name), known[name].astype(str).nunique()) for name in known][:COLUMNS]
        by = request.query_params.get("by", "")
        if not by:
            by = next((name for name, many in columns if 1 < many <= VALUES), "")
        values: list[dict[str, Any]] = []
        if by:
            self._of_group(by)  # refuses an unknown one
            column = known[by].astype(str).to_numpy()
            firsts = dict(zip(reversed(column), range(len(column))[::-1], strict=True))
            counts = Counter(column.tolist()).most_common(VALUES)
            values = [
                {
                    "value": value,
                    "count": count,
                    "share": 100 * count / len(catalog),
                    "first": firsts[value],
                    "query": urlencode({"only": f"{by}:{value}"}),
                }
                for value, count in counts
            ]
        total = dict(columns).get(by, 0)
        return self.page("groups", request, by=by, columns=columns, values=values, total=total)

    def image(self, request: Request) -> Response:
        """Show one image of the catalogue with all that is known of it."""
        shelf = self.shelf
        if not shelf.ready:
            return self.page("waiting", request)
        catalog, position = shelf.catalog, request.path_params["position"]
        if not 0 <= position < len(catalog):
            return self.missing(request, f"image {position}")
        copies = (catalog.same_as == catalog.same_as[position]).nonzero()[0].tolist()
        same = [shown(catalog, i) for i in copies if i != position][:PAGE]
        return self.page(
            "image",
            request,
            image=shown(catalog, position),
            known=facets_of(catalog, position),
            same=same,
            last=len(catalog) - 1,
        )

    def thumbnail(self, request: Request) -> Response:
        """Return an image of the catalogue, by its position."""
        position, side = request.path_params["position"], request.path_params["side"]
        if side not in SIDES or not 0 <= position < len(self.shelf.catalog):
            return wrong("there is no such image", 404)
        # Named by content: at this address another catalogue may be served tomorrow.
        tag = f'"{self.shelf.catalog.hashes[position][:32]}-{side}"'
        headers = {**PRIVATE, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return picture(self.shelf.thumbnail(position, side), headers)

    def kept(self, request: Request) -> Response:
        """Show the images that a browser remembers."""
        if not self.shelf.ready:
            return self.page("waiting", request)
        images = self._kept(request)
        query = urlencode([("i", image["position"]) for image in images])
        return self.page("kept", request, images=images, query=query)

    def kept_table(self, request: Request) -> Response:
        """Return the images that a browser remembers as a table."""
        table = pd.DataFrame(self._kept(request), columns=["id", "caption"])
        headers = attached("untrain-kept.csv")
        return Response(csv_text(table), media_type="text/csv", headers=headers)

    def _kept(self, request: Request) -> list[dict[str, Any]]:
        catalog = self.shelf.catalog
        given = [text for text in request.query_params.getlist("i") if text.isdecimal()]
        positions = [int(text) for text in given[:KEPT] if len(text) < 12]
        return [shown(catalog, at) for at in positions if at < len(catalog)]

"""Asking: a picture comes in, its training images go out."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from untrain.core.errors import InputError
from untrain.core.spreadsheet import csv_text
from untrain.report.page.trace import trace_page
from untrain.serve.answers import answer_parts, kept_hits
from untrain.serve.decoding import BYTES, Decoder
from untrain.serve.lanes import Busy
from untrain.serve.questions import INFLUENCE, PICTURES, TOP, Question
from untrain.serve.responses import PRIVATE, at, attached, body_of, encoded, picture, wrong
from untrain.serve.shelf import Found, Shelf
from untrain.serve.site import Lanes, Site

EXAMPLES = 8
DOWNLOADS = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "html": "text/html",
    "json": "application/json",
}


class Asking(Site):
    """The first page, pictures that are sent, and answers."""

    def __init__(self, shelf: Shelf, lanes: Lanes) -> None:
        super().__init__(shelf, lanes)
        self.decoder = Decoder()

    def routes(self) -> list[Route]:
        """Return the addresses."""
        pages = self.lanes.pages
        return [
            at("/", self.home, pages),
            at("/state", self.state, pages),
            Route("/pictures", self.upload, methods=["POST"]),
            at("/pictures/{key}", self.picture, pages),
            Route("/answer", self._searching(self.answer), methods=["GET"]),
            Route("/answer.{kind}", self._searching(self.download), methods=["GET"]),
        ]

    def _searching(self, handler: Callable[[Request], Response]) -> Any:
        """Return a handler that works in the lane of what is asked for."""

        @functools.wraps(handler)
        async def handled(request: Request) -> Response:
            slow = request.query_params.get("by") == INFLUENCE
            lane = self.lanes.influence if slow else self.lanes.searches
            return await lane.run(functools.partial(handler, request), request)

        return handled

    def home(self, request: Request) -> Response:
        """Show the place to drop a picture on."""
        shelf = self.shelf
        return self.page(
            "ask",
            request,
            most=PICTURES,
            largest=BYTES,
            top=TOP,
            examples=[] if not shelf.ready else _spread(len(shelf.catalog), EXAMPLES),
        )

    def state(self, request: Request) -> Response:
        """Say how far opening is, and how many ask."""
        state, lanes = self.shelf.state, self.lanes
        return JSONResponse(
            {"ready": state.ready, "what": state.what, "done": state.done, "total": state.total,
             "error": state.error, "asking": lanes.searches.inside + lanes.influence.inside}
        )  # fmt: skip

    async def upload(self, request: Request) -> Response:
        """Take a picture: its bytes are the body; it is kept in memory only."""
        try:
            content = await body_of(request, BYTES)
        except Busy:
            return wrong("too much is being sent at the same time: try again", 503)
        if content is None:
            return wrong(f"the file is larger than {BYTES >> 20} MiB: save it smaller", 413)
        name = Path(request.query_params.get("name", "")).name[:80]
        try:
            pixels = await self.lanes.decoding.run(lambda: self.decoder(content), request)
        except InputError as error:
            return wrong(str(error), 422)
        except Busy:
            return wrong("too many pictures are being sent at the same time: try again", 503)
        kept = self.shelf.keep(content, name, pixels)
        height, width = pixels.shape[:2]
        return JSONResponse({"key": kept.key, "name": kept.name, "width": width, "height": height})

    def picture(self, request: Request) -> Response:
        """Return a picture that was asked about."""
        try:
            asked = self.shelf.picture(request.path_params["key"])
        except KeyError:
            return wrong("this picture is not kept any more", 404)
        return picture(encoded(Image.fromarray(asked.pixels)), PRIVATE)

    def answer(self, request: Request) -> Response:
        """Show the training images behind pictures."""
        shelf = self.shelf
        if not shelf.ready:
            return self.page("waiting", request)
        question = Question.of(request.query_params)
        try:
            found = self._ask(question)
        except KeyError:
            return self.page("gone", request, code=410, most=PICTURES, largest=BYTES)
        return self.page(
            "answer",
            request,
            question=question,
            seconds=found.seconds,
            downloads=[(kind, f"/answer.{kind}?{question.query}") for kind in DOWNLOADS],
            without_filter=question.unfiltered().query,
            **answer_parts(found, question, shelf.catalog),
        )

    def download(self, request: Request) -> Response:
        """Return an answer as a table or as a page of its own."""
        kind = request.path_params["kind"]
        if kind not in DOWNLOADS:
            raise InputError(f"an answer comes as {', '.join(DOWNLOADS)}; found {kind}")
        question = Question.of(request.query_params)
        try:
            found = self._ask(question)
        except KeyError:
            return self.page("gone", request, code=410, most=PICTURES, largest=BYTES)
        catalog = self.shelf.catalog
        table = pd.concat(
            [kept_hits(own, question, catalog) for _, own in found.trace.table.groupby("query")]
        )
        headers = attached(f"untrain-answer.{kind}")
        content: bytes | str
        if kind == "html":
            images = {name: asked.pixels for name, asked in found.pictures.items()}
            content = trace_page(found.trace, images, catalog, found.beside)
        elif kind == "json":
            return JSONResponse(found.trace.to_dict(), headers=headers)
        elif kind == "parquet":
            buffer = io.BytesIO()
            table.to_parquet(buffer, index=False)
            content = buffer.getvalue()
        else:
            content = csv_text(table)
        return Response(content, media_type=DOWNLOADS[kind], headers=headers)

    def _ask(self, question: Question) -> Found:
        return self.shelf.ask(
            question.pictures,
            question.prompt or None,
            question.top,
            question.filtered,
            question.by == INFLUENCE,
        )


def _spread(length: int, n: int) -> list[int]:
    """Return some positions, evenly spread."""
    return [length * i // n for i in range(min(n, length))]

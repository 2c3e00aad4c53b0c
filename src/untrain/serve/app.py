"""The addresses of the page, and the server that answers at them."""

from __future__ import annotations

import functools
import io
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pandas as pd
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from untrain.core.errors import InputError, UntrainError
from untrain.report.page.trace import trace_page
from untrain.runs.status import status
from untrain.serve import runs as run_pages
from untrain.serve.answers import answer_parts, facets_of, kept_hits
from untrain.serve.decoding import BYTES, Decoder
from untrain.serve.pages import asset, page
from untrain.serve.questions import INFLUENCE, PICTURES, Question
from untrain.serve.safety import REPORT_POLICY, Safety
from untrain.serve.shelf import Found, Shelf

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SIDES = (160, 320, 640)
"""Of thumbnails, pixels."""
PAGE = 60
"""Images of the catalogue on one page."""
KEPT = 500
"""Images that a browser remembers, at most."""
DOWNLOADS = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "html": "text/html",
    "json": "application/json",
}


class Site:
    """What the addresses answer.

    Parameters
    ----------
    shelf : Shelf
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf, self.decoder = shelf, Decoder()

    def home(self, request: Request) -> Response:
        """Show the place to drop a picture on."""
        shelf = self.shelf
        return self._page(
            "ask",
            request,
            most=PICTURES,
            largest=BYTES,
            examples=[] if not shelf.ready else _spread(len(shelf.catalog), 8),
        )

    def state(self, request: Request) -> Response:
        """Say how far opening is."""
        state = self.shelf.state
        return JSONResponse(
            {"ready": state.ready, "what": state.what, "done": state.done, "total": state.total,
             "error": state.error}
        )  # fmt: skip

    async def upload(self, request: Request) -> Response:
        """Take a picture: its bytes are the body; it is kept in memory only."""
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > BYTES:
                return _wrong(f"the file is larger than {BYTES >> 20} MiB: save it smaller", 413)
        name = Path(request.query_params.get("name", "")).name[:80]
        try:
            pixels = await run_in_threadpool(self.decoder, bytes(content))
        except InputError as error:
            return _wrong(str(error), 422)
        kept = self.shelf.keep(bytes(content), Path(name).stem, pixels)
        height, width = pixels.shape[:2]
        return JSONResponse({"key": kept.key, "name": kept.name, "width": width, "height": height})

    def answer(self, request: Request) -> Response:
        """Show the training images behind pictures."""
        shelf = self.shelf
        if not shelf.ready:
            return self._page("waiting", request)
        question = Question.of(request.query_params)
        try:
            found = self._ask(question)
        except KeyError:
            return self._page("gone", request, code=410)
        return self._page(
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
            return self._page("gone", request, code=410)
        catalog = self.shelf.catalog
        table = pd.concat(
            [kept_hits(own, question, catalog) for _, own in found.trace.table.groupby("query")]
        )
        content: bytes | str
        if kind == "html":
            images = {name: asked.pixels for name, asked in found.pictures.items()}
            content = trace_page(found.trace, images, catalog, found.beside)
        elif kind == "json":
            return JSONResponse(found.trace.to_dict(), headers=_attached("json"))
        elif kind == "parquet":
            buffer = io.BytesIO()
            table.to_parquet(buffer, index=False)
            content = buffer.getvalue()
        else:
            content = table.to_csv(index=False)
        return Response(content, media_type=DOWNLOADS[kind], headers=_attached(kind))

    def picture(self, request: Request) -> Response:
        """Return a picture that was asked about."""
        try:
            asked = self.shelf.picture(request.path_params["key"])
        except KeyError:
            return _wrong("this picture is not kept any more", 404)
        from PIL import Image

        return _image(Image.fromarray(asked.pixels))

    def thumbnail(self, request: Request) -> Response:
        """Return an image of the catalogue, by its position."""
        position, side = request.path_params["position"], request.path_params["side"]
        if side not in SIDES or not 0 <= position < len(self.shelf.catalog):
            return _wrong("there is no such image", 404)
        return _image(self.shelf.thumbnail(position, side), "max-age=3600")

    def browse(self, request: Request) -> Response:
        """Show the catalogue, or what words find in it."""
        shelf = self.shelf
        if not shelf.ready:
            return self._page("waiting", request)
        words = request.query_params.get("q", "").strip()
        asked = request.query_params.get("page", "1")
        number = max(1, int(asked)) if asked.isdecimal() and len(asked) < 9 else 1
        catalog, note = shelf.catalog, ""
        first = PAGE * (number - 1)
        if words:
            try:
                found = shelf.tracer.words[0].query([words], min(first + PAGE + 1, len(catalog)))
                positions, more = found[0][0][first : first + PAGE], len(found[0][0]) > first + PAGE
            except InputError as error:
                positions, more, note = [], False, str(error)
        else:
            positions = range(first, min(first + PAGE, len(catalog)))
            more = first + PAGE < len(catalog)
        images = [_shown(catalog, int(position)) for position in positions]
        return self._page(
            "browse", request, words=words, number=number, more=more, images=images, note=note
        )

    def image(self, request: Request) -> Response:
        """Show one image of the catalogue with all that is known of it."""
        shelf = self.shelf
        if not shelf.ready:
            return self._page("waiting", request)
        catalog, position = shelf.catalog, request.path_params["position"]
        if not 0 <= position < len(catalog):
            return self._missing(request, f"image {position}")
        copies = (catalog.same_as == catalog.same_as[position]).nonzero()[0].tolist()
        same = [_shown(catalog, i) for i in copies if i != position][:PAGE]
        return self._page(
            "image",
            request,
            image=_shown(catalog, position),
            known=facets_of(catalog, position),
            same=same,
            last=len(catalog) - 1,
        )

    def kept(self, request: Request) -> Response:
        """Show the images that a browser remembers."""
        if not self.shelf.ready:
            return self._page("waiting", request)
        images = self._kept(request)
        query = urlencode([("i", image["position"]) for image in images])
        return self._page("kept", request, images=images, query=query)

    def kept_table(self, request: Request) -> Response:
        """Return the images that a browser remembers as a table."""
        table = pd.DataFrame(self._kept(request), columns=["id", "caption"])
        return Response(table.to_csv(index=False), media_type="text/csv", headers=_attached("csv"))

    def _kept(self, request: Request) -> list[dict[str, Any]]:
        catalog = self.shelf.catalog
        given = [text for text in request.query_params.getlist("i") if text.isdecimal()]
        positions = [int(text) for text in given[:KEPT] if len(text) < 12]
        return [_shown(catalog, at) for at in positions if at < len(catalog)]

    def runs(self, request: Request) -> Response:
        """Show all runs."""
        return self._page("runs", request, runs=run_pages.run_list(self.shelf.runs, self.shelf.run))

    def run(self, request: Request) -> Response:
        """Show a run: how far it is, what it found, pictures with and without."""
        folder = self._folder(request)
        return self._page("run", request, **run_pages.run_parts(folder))

    def run_state(self, request: Request) -> Response:
        """Say how far a run is."""
        return JSONResponse(run_pages.progress_of(status(self._folder(request))))

    def run_report(self, request: Request) -> Response:
        """Return a run's own page, which may run its script and read nothing else."""
        path = self._folder(request) / "report.html"
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return FileResponse(path, media_type="text/html", headers=headers)

    def run_picture(self, request: Request) -> Response:
        """Return a picture that a model of a run drew."""
        asked = request.path_params
        path = run_pages.picture_file(
            self._folder(request), asked["model"], asked["prompt"], asked["number"]
        )
        return FileResponse(path, media_type="image/png", headers={"Cache-Control": "max-age=60"})

    def asset(self, request: Request) -> Response:
        """Return the style sheet or the script."""
        content, kind = asset(request.path_params["name"])
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=300"})

    def _ask(self, question: Question) -> Found:
        return self.shelf.ask(
            question.pictures,
            question.prompt or None,
            question.top,
            question.filtered,
            question.by == INFLUENCE,
        )

    def _folder(self, request: Request) -> Path:
        return run_pages.run_named(self.shelf.runs, self.shelf.run, request.path_params["run"])

    def _page(self, template: str, request: Request, code: int = 200, **values: Any) -> Response:
        shelf = self.shelf
        about = {
            "ready": shelf.ready,
            "catalog": shelf.catalog.name if shelf.ready else "",
            "images": len(shelf.catalog) if shelf.ready else 0,
            "has_model": shelf.has_model,
            "run": shelf.run.name if shelf.run else "",
            "state": shelf.state,
        }
        here = request.url.path
        return HTMLResponse(page(template, about=about, here=here, **values), code)

    def _missing(self, request: Request, what: str) -> Response:
        return self._page("error", request, 404, title="Not found", words=f"There is no {what}.")

    def wrong(self, request: Request, error: Exception) -> Response:
        """Say what is wrong with what was asked."""
        if isinstance(error, UntrainError):
            words = f"{error}."
            return self._page("error", request, 422, title="That does not work", words=words)
        return self._missing(request, "such page")


def make_app(shelf: Shelf, hosts: list[str], token: str | None = None) -> Starlette:
    """Return the application.

    Parameters
    ----------
    shelf : Shelf
        Begins to open when the application starts.
    hosts : list of str
        As `untrain.serve.safety.Safety` takes them, and the token.
    """
    site = Site(shelf)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        shelf.start()
        yield
        site.decoder.close()

    def at(path: str, handler: Callable[[Request], Any], method: str = "GET") -> Route:
        return Route(path, _aside(handler), methods=[method])

    routes = [
        at("/", site.home),
        at("/state", site.state),
        Route("/pictures", site.upload, methods=["POST"]),
        at("/pictures/{key}", site.picture),
        at("/answer", site.answer),
        at("/answer.{kind}", site.download),
        at("/browse", site.browse),
        at("/images/{position:int}", site.image),
        at("/thumbnails/{side:int}/{position:int}", site.thumbnail),
        at("/kept", site.kept),
        at("/kept.csv", site.kept_table),
        at("/runs", site.runs),
        at("/runs/{run}", site.run),
        at("/runs/{run}/state", site.run_state),
        at("/runs/{run}/report", site.run_report),
        at("/runs/{run}/pictures/{model}/{prompt}/{number:int}", site.run_picture),
        at("/static/{name}", site.asset),
        Route("/favicon.ico", lambda request: RedirectResponse("/static/icon.svg")),
    ]
    middleware = [Middleware(Safety, hosts=hosts, token=token)]
    wrong = {UntrainError: site.wrong, KeyError: site.wrong, FileNotFoundError: site.wrong}
    handlers: dict[Any, Any] = {kind: _aside_error(how) for kind, how in wrong.items()}
    handlers[404] = _aside_error(lambda request, error: site.wrong(request, KeyError()))
    return Starlette(
        routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan
    )


def serve(
    shelf: Shelf, host: str, port: int, token: str | None, opened: Callable[[str], None]
) -> None:
    """Serve until it is stopped.

    Parameters
    ----------
    host, port
        0 is any free port.
    token : str, optional
        Needed where ``host`` is not this machine's own; made then, if left out.
    opened : callable
        Told the address when it answers.

    Raises
    ------
    InputError
        The port is taken, or the address is not this machine's.
    """
    import uvicorn

    if host not in LOOPBACK and token is None:
        token = secrets.token_urlsafe(24)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        words = "another program has it: choose another --port" if port else str(error)
        raise InputError(f"cannot open {host} port {port}: {words}") from None
    port = listening.getsockname()[1]
    bracketed = f"[{host}]" if ":" in host else host
    names = {bracketed, *(("127.0.0.1", "localhost", "[::1]") if host in LOOPBACK else ())}
    app = make_app(shelf, sorted(f"{name}:{port}" for name in names), token)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, limit_concurrency=200,
        timeout_keep_alive=15, h11_max_incomplete_event_size=65_536,
    )  # fmt: skip
    shown = f"http://{bracketed}:{port}/" + (f"?token={token}" if token else "")
    opened(shown)
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _aside(handler: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that works in a thread."""

    @functools.wraps(handler)
    async def handled(request: Request) -> Response:
        return await run_in_threadpool(handler, request)

    return handled


def _aside_error(handler: Callable[[Request, Exception], Response]) -> Any:
    async def handled(request: Request, error: Exception) -> Response:
        return await run_in_threadpool(handler, request, error)

    return handled


def _shown(catalog: Any, position: int) -> dict[str, Any]:
    image_id = catalog.ids[position]
    return {
        "position": position,
        "id": image_id,
        "caption": catalog.captions[position],
        "like": f"p={quote(f'image:{image_id}', safe='')}",
    }


def _spread(length: int, n: int) -> list[int]:
    """Return some positions, evenly spread."""
    return [length * i // n for i in range(min(n, length))]


def _image(image: Any, cache: str = "no-store") -> Response:
    buffer = io.BytesIO()
    small = max(image.size) <= 96
    image.save(buffer, "PNG" if small else "JPEG", **({} if small else {"quality": 88}))
    kind = "image/png" if small else "image/jpeg"
    return Response(buffer.getvalue(), media_type=kind, headers={"Cache-Control": cache})


def _attached(kind: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="untrain-answer.{kind}"'}


def _wrong(words: str, code: int) -> Response:
    return JSONResponse({"error": words}, code)

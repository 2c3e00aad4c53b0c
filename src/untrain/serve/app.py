"""The application: its addresses, what is at them, and what becomes of errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from untrain.core.errors import UntrainError
from untrain.serve.asking import Asking
from untrain.serve.browsing import Browsing
from untrain.serve.lanes import Busy, Gone
from untrain.serve.pages import asset
from untrain.serve.responses import aside_error, at
from untrain.serve.running import Running
from untrain.serve.safety import Safety
from untrain.serve.shelf import Shelf
from untrain.serve.site import Lanes
from untrain.serve.takedowns import Takedowns


def make_app(
    shelf: Shelf, hosts: Collection[str], token: str | None = None, public: str | None = None
) -> Safety:
    """Return the application; its ``app`` has the routes.

    Parameters
    ----------
    shelf : Shelf
        Begins to open when the application starts.
    hosts : collection of str
        As `untrain.serve.safety.Safety` takes them, the token and the public address.
    """
    lanes = Lanes()
    asking = Asking(shelf, lanes)
    takedowns = Takedowns(shelf, lanes, asking.decoder)
    sites = (asking, Browsing(shelf, lanes), Running(shelf, lanes), takedowns)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        shelf.start()
        yield
        asking.decoder.close()
        shelf.requests.close()

    routes = [
        *(route for site in sites for route in site.routes()),
        at("/static/{name}", _asset, lanes.pages),
        Route("/favicon.ico", lambda request: RedirectResponse("/static/icon.svg")),
    ]
    wrong = aside_error(asking.wrong, lanes.errors)
    handlers: dict[Any, Any] = dict.fromkeys((UntrainError, KeyError, FileNotFoundError), wrong)
    handlers[404] = aside_error(
        lambda request, error: asking.wrong(request, KeyError()), lanes.errors
    )
    handlers[Busy] = wrong
    for gone in (Gone, ClientDisconnect):  # nobody is there to be told
        handlers[gone] = _nobody
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    return Safety(app, hosts, token, public)


async def _nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


def _asset(request: Request) -> Response:
    """Return the style sheet or the script."""
    content, kind = asset(request.path_params["name"])
    return Response(content, media_type=kind, headers={"Cache-Control": "max-age=300"})

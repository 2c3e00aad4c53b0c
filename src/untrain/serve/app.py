"""The application: its addresses, and the server that answers at them."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from untrain.core.errors import UntrainError
from untrain.serve.asking import Asking
from untrain.serve.browsing import Browsing
from untrain.serve.pages import asset
from untrain.serve.responses import aside_error, at
from untrain.serve.running import Running
from untrain.serve.safety import Safety
from untrain.serve.shelf import Shelf
from untrain.serve.takedowns import Takedowns

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make_app(shelf: Shelf, hosts: list[str], token: str | None = None) -> Starlette:
    """Return the application.

    Parameters
    ----------
    shelf : Shelf
        Begins to open when the application starts.
    hosts : list of str
        As `untrain.serve.safety.Safety` takes them, and the token.
    """
    asking = Asking(shelf)
    sites = (asking, Browsing(shelf), Running(shelf), Takedowns(shelf, asking.decoder))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        shelf.start()
        yield
        asking.decoder.close()
        shelf.requests.close()

    routes = [
        *(route for site in sites for route in site.routes()),
        at("/static/{name}", _asset),
        Route("/favicon.ico", lambda request: RedirectResponse("/static/icon.svg")),
    ]
    handlers: dict[Any, Any] = {
        kind: aside_error(asking.wrong) for kind in (UntrainError, KeyError, FileNotFoundError)
    }
    handlers[404] = aside_error(lambda request, error: asking.wrong(request, KeyError()))
    middleware = [Middleware(Safety, hosts=hosts, token=token)]
    return Starlette(
        routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan
    )


def _asset(request: Request) -> Response:
    """Return the style sheet or the script."""
    content, kind = asset(request.path_params["name"])
    return Response(content, media_type=kind, headers={"Cache-Control": "max-age=300"})


def serve(
    shelf: Shelf,
    host: str,
    listening: socket.socket,
    token: str | None,
    opened: Callable[[str], None],
) -> None:
    """Serve until it is stopped.

    Parameters
    ----------
    host : str
    listening : socket
        As `untrain.serve.listening.listen` returns it.
    token : str, optional
        Needed where ``host`` is not this machine's own; made then, if left out.
    opened : callable
        Told the address when it answers.
    """
    import uvicorn

    if host not in LOOPBACK and token is None:
        token = secrets.token_urlsafe(24)
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

"""Small pieces of answers: pictures, files to take along, errors, and work aside of the server."""

from __future__ import annotations

import functools
import io
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from untrain.core.errors import InputError

FORM_BYTES = 256 * 2**10
"""Of a form that is sent, at most; its pictures were sent before."""


def at(path: str, handler: Callable[[Request], Any], method: str = "GET") -> Route:
    """Return an address whose handler works in a thread."""
    return Route(path, aside(handler), methods=[method])


def aside(handler: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that works in a thread, so that nobody else waits for it."""

    @functools.wraps(handler)
    async def handled(request: Request) -> Response:
        return await run_in_threadpool(handler, request)

    return handled


def aside_error(handler: Callable[[Request, Exception], Response]) -> Any:
    """Return a handler of errors that works in a thread."""

    async def handled(request: Request, error: Exception) -> Response:
        return await run_in_threadpool(handler, request, error)

    return handled


async def body_of(request: Request, most: int) -> bytes | None:
    """Return what was sent, or None if it is longer than ``most`` bytes."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            return None
    return bytes(content)


async def form_of(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form that was sent.

    Raises
    ------
    InputError
        It is longer than a form of ours can be.
    """
    content = await body_of(request, FORM_BYTES)
    if content is None:
        raise InputError(f"the form is longer than {FORM_BYTES >> 10} KiB")
    return parse_qs(content.decode("utf-8", "replace"))


def picture(image: Image.Image, cache: str = "no-store") -> Response:
    """Return a picture: PNG where it is small, else JPEG."""
    buffer = io.BytesIO()
    small = max(image.size) <= 96
    image.save(buffer, "PNG" if small else "JPEG", **({} if small else {"quality": 88}))
    kind = "image/png" if small else "image/jpeg"
    return Response(buffer.getvalue(), media_type=kind, headers={"Cache-Control": cache})


def attached(name: str) -> dict[str, str]:
    """Return the header that has a browser save an answer as a file."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def wrong(words: str, code: int) -> Response:
    """Return what a script is told when something is wrong."""
    return JSONResponse({"error": words}, code)

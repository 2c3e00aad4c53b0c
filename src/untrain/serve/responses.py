"""Small pieces of answers: pictures, files to take along, errors, and work aside of the server."""

from __future__ import annotations

import functools
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from PIL import Image
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from untrain.core.errors import InputError
from untrain.serve.lanes import Busy, Lane

FORM_BYTES = 256 * 2**10
"""Of a form that is sent, at most; its pictures were sent before."""
SENDING = 256 * 2**20
"""Bytes of all that is being sent at one moment, at most."""
PRIVATE = {"Cache-Control": "private, no-cache"}
"""Kept by the browser that asked, which asks each time whether it is still so."""

_sending = 0


class Position(Convertor[int]):
    """A number in an address: of so few digits that it is one of an image."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        """Return the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Return the digits."""
        return str(value)


register_url_convertor("number", Position())


def at(path: str, handler: Callable[[Request], Any], lane: Lane, method: str = "GET") -> Route:
    """Return an address whose handler works in a thread, in a lane."""
    return Route(path, aside(handler, lane), methods=[method])


def aside(
    handler: Callable[[Request], Any], lane: Lane
) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that works in a thread, so that nobody else waits for it."""

    @functools.wraps(handler)
    async def handled(request: Request) -> Response:
        return await lane.run(functools.partial(handler, request), request)

    return handled


def aside_error(handler: Callable[[Request, Exception], Response], lane: Lane) -> Any:
    """Return a handler of errors that works in a thread."""

    async def handled(request: Request, error: Exception) -> Response:
        return await lane.run(functools.partial(handler, request, error))

    return handled


async def body_of(request: Request, most: int) -> bytes | None:
    """Return what was sent, or None if it is longer than ``most`` bytes.

    Raises
    ------
    Busy
        All that is being sent at this moment is more than fits.
    """
    global _sending
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or len(said) > 18 or int(said) > most:
        return None
    content = bytearray()
    try:
        async for part in request.stream():
            _sending += len(part)
            content += part
            if len(content) > most:
                return None
            if _sending > SENDING:
                raise Busy
    finally:
        _sending -= len(content)
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


def file_of(folder: Path, path: Path, kind: str, headers: dict[str, str]) -> Response:
    """Return a file of a folder.

    Raises
    ------
    KeyError
        It is not there, is no regular file, or a link leads out of the folder.
    """
    inside = path.resolve()
    if not (inside.is_relative_to(folder.resolve()) and inside.is_file()):
        raise KeyError(path.name)
    return FileResponse(inside, media_type=kind, headers=headers)


class Encoded(NamedTuple):
    """A picture as browsers take it: bytes of a file, and their media type."""

    content: bytes
    kind: str


def encoded(image: Image.Image) -> Encoded:
    """Return a picture as PNG where it is small, else as JPEG."""
    buffer = io.BytesIO()
    small = max(image.size) <= 96
    image.save(buffer, "PNG" if small else "JPEG", **({} if small else {"quality": 88}))
    return Encoded(buffer.getvalue(), "image/png" if small else "image/jpeg")


def picture(found: Encoded, headers: dict[str, str] | None = None) -> Response:
    """Return a picture."""
    return Response(found.content, media_type=found.kind, headers=headers)


def attached(name: str) -> dict[str, str]:
    """Return the header that has a browser save an answer as a file."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def wrong(words: str, code: int) -> Response:
    """Return what a script is told when something is wrong."""
    return JSONResponse({"error": words}, code)

"""What all addresses of the page share: the shelf, the frame of a page, errors in words."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from untrain.catalogs.base import Catalog
from untrain.core.errors import UntrainError
from untrain.serve.lanes import Busy, Lane
from untrain.serve.pages import page
from untrain.serve.safety import INSIDE
from untrain.serve.shelf import Shelf


class Lanes:
    """What is done at once: pages, searches, influence, and pictures that are decoded.

    A kind of work that takes seconds leaves the threads of the others alone.
    """

    def __init__(self) -> None:
        self.pages = Lane(8, 500)
        self.searches = Lane(2, 100)
        self.influence = Lane(1, 10)
        self.decoding = Lane(2, 50)
        self.errors = Lane(2, 500)


class Site:
    """The frame of every page.

    Parameters
    ----------
    shelf : Shelf
    lanes : Lanes
    """

    def __init__(self, shelf: Shelf, lanes: Lanes) -> None:
        self.shelf, self.lanes = shelf, lanes

    def page(self, template: str, request: Request, code: int = 200, **values: Any) -> Response:
        """Return a page, filled in."""
        shelf = self.shelf
        about = {
            "ready": shelf.ready,
            "catalog": shelf.catalog.name if shelf.ready else "",
            "images": len(shelf.catalog) if shelf.ready else 0,
            "has_model": shelf.has_model,
            "run": shelf.run.name if shelf.run else "",
            "can_leave": INSIDE in request.scope,
            "state": shelf.state,
        }
        here = request.scope["path"]  # request.url is made of the Host header, too
        return HTMLResponse(page(template, about=about, here=here, **values), code)

    def missing(self, request: Request, what: str) -> Response:
        """Say that there is no such thing."""
        return self.page("error", request, 404, title="Not found", words=f"There is no {what}.")

    def wrong(self, request: Request, error: Exception) -> Response:
        """Say what is wrong with what was asked."""
        if isinstance(error, UntrainError):
            words = f"{error}."
            words = words[:1].upper() + words[1:]
            back = _back(request.scope["path"])
            told = {"title": "That does not work", "words": words, "back": back}
            return self.page("error", request, 422, **told)
        if isinstance(error, Busy):
            words = "More people ask at the same time than this machine can answer. Ask again soon."
            busy = self.page("error", request, 503, title="One moment", words=words)
            busy.headers["Retry-After"] = "5"
            return busy
        return self.missing(request, "such page")


def _back(path: str) -> tuple[str, str] | None:
    """Return where a form that was wrong is: its address, and what the link says."""
    if path == "/takedowns":
        return path, "Back to the form"
    if path.startswith("/takedowns/"):
        return f"/takedowns/{quote(path.split('/')[2])}", "Back to the request"
    return None


def shown(catalog: Catalog, position: int) -> dict[str, Any]:
    """Return an image of the catalogue as templates take it."""
    image_id = catalog.ids[position]
    return {
        "position": position,
        "id": image_id,
        "caption": catalog.captions[position],
        "like": f"p={quote(f'image:{image_id}', safe='')}",
    }


def page_numbers(request: Request, many: int, of_page: int) -> tuple[int, int]:
    """Return the number of the page to show, from 1, and that of the last page."""
    asked, last = request.query_params.get("page", "1"), max(1, math.ceil(many / of_page))
    number = int(asked) if asked.isdecimal() and len(asked) < 9 else 1
    return min(max(1, number), last), last

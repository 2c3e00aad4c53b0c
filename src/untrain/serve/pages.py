"""Templates, style sheet and script of the page, all of them inside the package."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from untrain.report.page.templates import environment, read_asset

ASSETS = {
    "style.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def page(template: str, **values: Any) -> str:
    """Return a page filled in; a missing value is an error."""
    return (
        environment("untrain.serve", "templates")
        .get_template(f"{template}.html.j2")
        .render(**values)
    )


@cache
def asset(name: str) -> tuple[str, str]:
    """Return the content and the kind of a file that pages use.

    Raises
    ------
    KeyError
        There is none of this name.
    """
    kind = ASSETS[name]
    content = resources.files("untrain.serve.static").joinpath(name).read_text(encoding="utf-8")
    if name == "style.css":  # one language with the report
        content = read_asset("report.css") + read_asset("trace.css") + content
    return content, kind

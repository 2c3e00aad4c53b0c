"""Templates, style sheet and script of the page, all of them inside the package."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from untrain.core.notebook import code_html
from untrain.core.text import for_page
from untrain.report.page.templates import read_asset

ASSETS = {
    "style.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("untrain.serve", "templates"),
        autoescape=True,
        finalize=for_page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_code"] = lambda text: Markup(code_html(str(text)))
    return environment


def page(template: str, **values: Any) -> str:
    """Return a page filled in; a missing value is an error."""
    return _environment().get_template(f"{template}.html.j2").render(**values)


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

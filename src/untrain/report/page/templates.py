"""The templates and style sheets of the pages."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from untrain.core.notebook import code_html
from untrain.core.text import for_page


def render_template(name: str, **values: Any) -> str:
    """Return a template filled in; a missing value is an error."""
    environment = Environment(
        loader=PackageLoader("untrain", "report/page"),
        autoescape=True,
        finalize=for_page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_code"] = lambda text: Markup(code_html(str(text)))
    return environment.get_template(name).render(**values)


def read_asset(name: str) -> str:
    """Return the text of a style sheet or script in the folder of the templates."""
    return resources.files("untrain.report.page").joinpath(name).read_text(encoding="utf-8")

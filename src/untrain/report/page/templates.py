"""The templates and style sheets of the pages."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from untrain.core.notebook import code_html
from untrain.core.text import for_page


@cache
def environment(package: str, folder: str) -> Environment:
    """Return what fills in the templates of a folder of a package; a missing value is an error."""
    made = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        finalize=for_page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["with_code"] = lambda text: Markup(code_html(str(text)))
    return made


def render_template(name: str, **values: Any) -> str:
    """Return a template of the report filled in."""
    return environment("untrain", "report/page").get_template(name).render(**values)


def read_asset(name: str) -> str:
    """Return the text of a style sheet or script in the folder of the templates."""
    return resources.files("untrain.report.page").joinpath(name).read_text(encoding="utf-8")

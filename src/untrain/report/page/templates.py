"""The templates and style sheets of the pages."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_template(name: str, **values: Any) -> str:
    """Return a template filled in; a missing value is an error."""
    environment = Environment(
        loader=PackageLoader("untrain", "report/page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)


def read_asset(name: str) -> str:
    """Return the text of a style sheet or script in the folder of the templates."""
    return resources.files("untrain.report.page").joinpath(name).read_text(encoding="utf-8")

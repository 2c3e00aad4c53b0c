"""The settings of an experiment file, from the models that check it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from from_code.prose import prose


def settings() -> str:
    """Return a table for each section of an experiment file, from the models that check it."""
    return "\n\n".join(_section(key, model) for key, model in sections())


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the sections of an experiment file by their keys, the top level as ``""``."""
    from untrain.settings.config import Config

    def walk(key: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
        yield key, model
        for name, field in model.model_fields.items():
            if below := _model(field):
                yield from walk(f"{key}.{name}".lstrip("."), below)

    return walk("", Config)


def _section(key: str, model: type[BaseModel]) -> str:
    heading = f"## {key}" if key else "## Top level"
    lines = [heading, "", prose(inspect.getdoc(model) or ""), ""]
    lines += ["| setting | type | default | what it is |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        below = _model(field)
        path = f"{key}.{name}".lstrip(".")
        says = prose(field.description or "")
        if below:
            anchor = re.sub(r"[^a-z0-9_-]", "", path)
            says = says or (inspect.getdoc(below) or "").splitlines()[0]
            says = f"{prose(says)} [Its settings](#{anchor})"
        default = _default(field)
        if below and default.startswith("`"):  # what the section itself has as defaults
            default = ""
        kind = "section" if below else _type(field)
        lines.append(f"| `{name}` | {kind} | {default} | {says} |")
    return "\n".join(lines)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the section that a field holds, if it holds one."""
    options = [field.annotation, *get_args(field.annotation)]
    if int in options:  # a number, or a section in its place: its description says both
        return None
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    if value is None or value == {}:
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _type(field: FieldInfo) -> str:
    """Return a field's type for people, with the limits that its values must keep."""
    words = _type_words(field.annotation)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}
    limits = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return f"{words} ({', '.join(limits)})" if limits else words


def _type_words(annotation: Any) -> str:
    plain = {int: "number", float: "number", str: "text", bool: "yes or no", Path: "path"}
    if annotation in plain:
        return {int: "whole number"}.get(annotation, plain[annotation])
    arguments = [a for a in get_args(annotation) if a not in (type(None), Ellipsis)]
    if arguments and all(isinstance(a, str) for a in arguments):  # Literal
        return " or ".join(f"`{a}`" for a in arguments)
    origin = getattr(annotation, "__origin__", None)
    if origin is dict:
        return "mapping"
    if origin is tuple:
        return f"list of {_type_words(arguments[0]).removeprefix('whole ')}s"
    return " or ".join(dict.fromkeys(_type_words(a) for a in arguments if not _rule(a))) or "text"


def _rule(argument: Any) -> bool:
    return not isinstance(argument, type) and not get_args(argument)

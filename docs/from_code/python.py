"""The public names of Python, from their docstrings and signatures."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from from_code.prose import prose

PAGE = Path(__file__).resolve().parents[1] / "reference" / "python.md"
DOCUMENTED = re.compile(r"^## (?P<section>.+)$|^::: (?P<name>\S+)$", re.MULTILINE)


def python() -> str:
    """Return every documented name with its first sentence, section by section of its page."""
    text = PAGE.read_text(encoding="utf-8")
    parts, section = [], ""
    for match in DOCUMENTED.finditer(text):
        if match["section"]:
            section = match["section"]
            continue
        if section:
            parts += [f"**{section}**", "", "| name | what it is |", "|---|---|"]
            section = ""
        parts += _rows_of(match["name"])
        parts.append("")
    return re.sub(r"\|\n\n\|", "|\n|", "\n".join(parts)).strip()


def _rows_of(path: str) -> list[str]:
    """Return the rows of a name: its own, and one for each public member of a class."""
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    rows = [f"| [`{name}{_signature(found)}`](#{path}) | {_first_sentence(found)} |"]
    for member, value in vars(found).items() if inspect.isclass(found) else ():
        plain = getattr(value, "__func__", value)  # of class methods and static methods
        shown = inspect.isfunction(plain) or isinstance(plain, property | cached_property)
        if shown and not member.startswith("_") and _first_sentence(plain):
            rows.append(f"| `{name}.{member}{_signature(plain)}` | {_first_sentence(plain)} |")
    return rows


def _signature(found: Any) -> str:
    """Return what must be given, and an ellipsis where more may be; nothing for a property."""
    if not callable(found):
        return ""
    try:
        given = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return "()"
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    listed = [p for p in given if p.name not in ("self", "cls")]
    needed = [p.name for p in listed if p.default is p.empty and p.kind not in free]
    return f"({', '.join(needed + ['…'] * (len(needed) < len(listed)))})"


def _first_sentence(found: Any) -> str:
    """Return the first paragraph of a docstring on one line."""
    text = getattr(found, "func", found)  # of cached properties
    return prose((inspect.getdoc(text) or "").partition("\n\n")[0])

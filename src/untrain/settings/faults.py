"""What is wrong in an experiment file, said with its line and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from untrain.core.errors import did_you_mean
from untrain.settings.config import Config
from untrain.settings.fields import Fault, shown


def explain(
    path: Path, node: yaml.Node | None, given: Mapping[tuple[str, ...], str], problem: Any
) -> str:
    """Turn one of pydantic's errors into a line that says where it is and what to write.

    ``given`` are the keys that did not come from the file, and how they were given.
    """
    fault = problem.get("ctx", {}).get("error")
    location = list(problem["loc"])
    if isinstance(fault, Fault):
        location = fault.key.split(".")
    line = _line_of(node, location)
    where = f"{path}, line {line}" if line else str(path)
    for parts, how in given.items():
        depth = min(len(parts), len(location))
        if depth and list(parts[:depth]) == location[:depth]:
            where = how
    key = ".".join(map(str, location))
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return f"{where}: unknown key '{key}'{did_you_mean(str(location[-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
    if problem["type"] != "value_error":  # ours say what they found
        message += f", found {shown(problem['input'])}"
    return f"{where}: {key}: {message}"


def _line_of(node: yaml.Node | None, location: list[str | int]) -> int | None:
    """Return the line (from 1) of the deepest part of ``location`` that the file has."""
    line = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            match = next((kv for kv in node.value if kv[0].value == str(part)), None)
            if match is None:
                return line
            line, node = match[0].start_mark.line + 1, match[1]
        elif isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
    return line


def _known_keys(location: list[str | int]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(model.model_fields)

"""A commented experiment file and its JSON schema, written from the settings as they are defined.

Names, defaults and descriptions are those of `untrain.settings.config.Config`, so that neither
can tell something else than what a run reads.
"""

from __future__ import annotations

import json
import os
import textwrap
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import read_json, write_json, write_text
from untrain.core.targets import check_file_target
from untrain.settings.config import Config
from untrain.settings.fields import NameIn

TITLE = "untrain experiment"
WIDTH = 100  # of the file; what is longer gets its comment on a line of its own
STARTS: dict[str, dict[str, Any]] = {
    "rendered": {
        "prompts.families": 16,
        "prompts.controls": 4,
        # Rendered pictures are all drawn apart, and what is alike in a family is the point.
        "removal.duplicates": "exact",
    },
    "folder": {"data.path": "photos", "prompts.file": "prompts.txt"},
    "fashion": {"data.path": "archive.zip", "prompts.file": "prompts.txt"},
    "csv": {"data.path": "table.csv", "prompts.file": "prompts.txt"},
    "coco": {"data.path": "captions_train2017.json", "prompts.file": "prompts.txt"},
    "parquet": {"data.path": "data.parquet", "prompts.file": "prompts.txt"},
    "webdataset": {"data.path": "shards", "prompts.file": "prompts.txt"},
    "imagefolder": {"data.path": "images", "prompts.file": "prompts.txt"},
    "datasets": {"data.path": "saved", "prompts.file": "prompts.txt"},
}
"""What a first experiment on a format needs beside the defaults."""


def write_template(
    path: Path,
    format: str = "rendered",
    name: str = "",
    data: Path | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> Path:
    """Write an experiment file with every setting, and its JSON schema beside it.

    Parameters
    ----------
    path : Path
        The YAML file, or a folder for an ``experiment.yaml``.
    format : str
        Of the data: a key of `STARTS`.
    name : str
        Of the run folder; default: that of the file.
    data : Path, optional
        Folder or zip, relative to the working directory.
    chosen : mapping of str to Any, optional
        Further settings that differ from the defaults, by dotted name.

    Returns
    -------
    Path
        Of the YAML file.

    Raises
    ------
    InputError
        The file is there already, or there is no such format, or no such data.
    """
    path = check_template_target(path)
    schema_path = path.with_name(f"{path.stem}.schema.json")
    if data is not None and not data.exists():
        raise InputError(f"{data} does not exist; expected the folder or zip of your images")
    source, schema_name = beside(path, data), f"./{schema_path.name}"
    text = template(format, name or path.stem, source, schema_name, chosen)
    write_json(schema_path, schema())
    write_text(path, text)
    return path


def check_template_target(path: Path) -> Path:
    """Return the file that `write_template` would write.

    Raises
    ------
    InputError
        It, or the schema that belongs beside it, is there already, or cannot be written.
    """
    path = path / "experiment.yaml" if path.is_dir() else path
    schema_path = path.with_name(f"{path.stem}.schema.json")
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"cannot write {path}: expected a name ending in .yaml")
    for target in (path, schema_path):
        check_file_target(target)
    if path.exists():
        raise InputError(f"{path} already exists: choose another name, or delete it first")
    if schema_path.exists() and not _is_ours(schema_path):
        raise InputError(f"{schema_path} already exists and was not written by untrain")
    return path


def schema() -> dict[str, Any]:
    """Return the JSON schema of experiment files, for editors."""
    found = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": TITLE}


def keys() -> list[str]:
    """Return the dotted names of all settings, as ``--set`` takes them."""
    return [".".join(key) for key in _keys(Config, ())]


def template(
    format: str = "rendered",
    name: str = "experiment",
    data: str = "",
    schema: str = "",
    further: Mapping[str, Any] | None = None,
) -> str:
    """Return the text of an experiment file with every setting, its default and what it is.

    Raises
    ------
    InputError
        There is no such format.
    """
    if format not in STARTS:
        raise InputError(f"unknown format '{format}'{did_you_mean(format, STARTS)}")
    chosen = {"name": name, "data.format": format, **STARTS[format]}
    chosen |= {"data.path": data} if data else {}
    chosen |= further or {}
    head = [f"# yaml-language-server: $schema={schema}"] if schema else []
    head += [
        "# An experiment of untrain: every setting with its default, and what it is.",
        "# A line that is deleted leaves its default. Paths are relative to this file.",
        "",
    ]
    return "\n".join([*head, *_lines(Config, (), chosen)]) + "\n"


def _lines(model: type[BaseModel], path: tuple[str, ...], chosen: dict[str, Any]) -> Iterator[str]:
    """Yield the settings of a section, those of its own sections below their names."""
    indent = "  " * len(path)
    for key, field in model.model_fields.items():
        section = _section(field)
        here = (*path, key)
        if section is None:
            value = chosen.get(".".join(here), _default(field))
            yield from _setting(indent, key, value, _comment(field))
            continue
        if not path:
            yield ""
        yield f"{indent}# {_first_line(section.__doc__)}"
        inner = _lines(section, here, chosen)
        begins = ".".join(here) + "."
        if _is_optional(field) and not any(key.startswith(begins) for key in chosen):
            yield f"{indent}# Off unless its lines are uncommented:"
            yield f"{indent}# {key}:"
            yield from (f"{indent}# {line.removeprefix(indent)}" for line in inner)
        else:
            yield f"{indent}{key}:"
            yield from inner


def _setting(indent: str, key: str, value: Any, comment: str) -> Iterator[str]:
    line = f"{indent}{key}: {_yaml(value)}"
    together = f"{line}  # {comment}"
    if not comment:
        yield line
    elif len(together) <= WIDTH:
        yield together
    else:
        yield from (f"{indent}# {part}" for part in textwrap.wrap(comment, WIDTH - 4 - len(indent)))
        yield line


def _comment(field: FieldInfo) -> str:
    """Return what a setting is, and the names it may have where that is not said."""
    told = field.description or ""
    names = [name for name in _names(field) if name not in told]
    listed = ", ".join(_names(field))
    if not names:
        return told
    return f"{told} ({listed})" if told else listed


def _names(field: FieldInfo) -> list[str]:
    """Return the names that a setting may have: of a `Literal`, or of a registry."""
    kinds = [field.annotation, *field.metadata, *_inside(field.annotation)]
    for kind in kinds:
        if isinstance(kind, NameIn):
            return kind.names()
        if get_origin(kind) is Literal:
            return [str(value) for value in get_args(kind)]
    return []


def _inside(annotation: Any) -> Iterator[Any]:
    """Yield the types, and what is annotated to them, within a type."""
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield part
        yield from _inside(part)


def _keys(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield (*path, key)
        else:
            yield from _keys(section, (*path, key))


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """Return the section that a field holds, if it holds one."""
    kinds = (field.annotation, *get_args(field.annotation))
    if int in kinds:  # a number, or a section in its place: the number is what is shown
        return None
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _is_optional(field: FieldInfo) -> bool:
    union = get_origin(field.annotation) in (Union, types.UnionType)
    return union and type(None) in get_args(field.annotation)


def _default(field: FieldInfo) -> Any:
    """Return a default, or of a setting without one an example."""
    if field.is_required():
        return (field.examples or [None])[0]
    value = field.get_default(call_default_factory=True)
    return json.loads(json.dumps(value, default=str))


def _yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    return yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True)[1:-2]


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().splitlines()[0]


def beside(path: Path, data: Path | None) -> str:
    """Return the data's path as the file has to name it."""
    if data is None or data.is_absolute():
        return "" if data is None else str(data)
    return os.path.relpath(data, path.parent)


def _is_ours(path: Path) -> bool:
    try:
        return read_json(path).get("title") == TITLE
    except (OSError, ValueError, AttributeError):
        return False

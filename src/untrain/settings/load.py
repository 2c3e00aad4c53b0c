"""Reading an experiment file, with what a command line replaces in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from untrain.core import trust
from untrain.core.errors import Damaged, InputError
from untrain.core.manifest import RECORD, check
from untrain.core.outside import parse_yaml, read_text
from untrain.core.registry import is_own
from untrain.settings.config import Config
from untrain.settings.faults import explain
from untrain.settings.fields import shown
from untrain.settings.paths import PATHS, resolve_paths


def load_config(path: Path | str, settings: Sequence[str] = (), **changes: Any) -> Config:
    """Read an experiment file.

    Parameters
    ----------
    path : Path or str
        YAML; relative paths in it are relative to its folder, ``runs`` to the working directory.
    settings : sequence of str
        Further settings that replace those of the file, such as ``"data.path=photos"``; the value
        is YAML, a path is relative to the working directory.
    **changes
        Top-level settings that replace those of the file, such as ``seed=3``.

    Raises
    ------
    InputError
        No such file, no YAML, or a wrong key or value: named, with its line.
    """
    path = Path(path)
    node, values = _read(path)
    given: dict[tuple[str, ...], str] = {
        (key,): _option(key, value) for key, value in changes.items() if value is not None
    }
    values.update({key: value for key, value in changes.items() if value is not None})
    for setting in settings:
        given[tuple(_replace(values, setting))] = f"--set {setting}"
    config = _checked(values, path, node, given)
    if _is_of_run(path):  # which may have been moved since
        here = path.resolve().parent
        moved = {"runs": here.parent, "name": here.name}
        config = config.model_copy(
            update={key: value for key, value in moved.items() if (key,) not in given}
        )
    _trust(config, path, {key[0] for key in given})
    return config


def make_config(values: Mapping[str, Any]) -> Config:
    """Check settings as `load_config` does; relative paths are relative to the working directory.

    Raises
    ------
    InputError
        A wrong key or value.
    """
    config = _checked(dict(values), Path("settings"), None, {})
    trust.vouch(_code(config).values())
    return config


def _trust(config: Config, path: Path, given: Collection[str]) -> None:
    """Doubt the code that a run's own config.yaml names, and vouch for what the user named."""
    code = _code(config)
    if not (path.parent / "run.json").is_file():
        trust.vouch(code.values())
        return
    trust.vouch(name for section, name in code.items() if section in given)
    trust.doubt([name for section, name in code.items() if section not in given], path.parent)


def _code(config: Config) -> dict[str, str]:
    """Return what a configuration names that would run code of somebody's, by its section."""
    named = {
        "generator": config.generator.name,
        "encoder": config.encoder.name,
        "copies": config.copies.encoder.name,
    }
    code = {section: name for section, name in named.items() if is_own(name)}
    if config.engine.address:
        code["engine"] = config.engine.address
    return code


def _checked(
    values: dict[str, Any],
    path: Path,
    node: yaml.Node | None,
    given: Mapping[tuple[str, ...], str],
) -> Config:
    """Return the settings that ``path`` is named for in errors, and whose folder paths start in."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        messages = [explain(path, node, given, problem) for problem in error.errors()]
        raise InputError("\n".join(messages)) from None
    return resolve_paths(config, path.resolve().parent)


def _read(path: Path) -> tuple[yaml.Node | None, dict[str, Any]]:
    """Return a YAML file as nodes, which know their lines, and as values."""
    if _is_of_run(path):
        _check_unchanged(path)
    try:
        text = read_text(path, encoding="utf-8")
    except OSError as error:
        fault = f"cannot read the experiment file {path}: {error.strerror}"
        if path.is_dir():
            hint = f"; for data in a folder, `untrain init mine.yaml --data {path}` writes a file"
        else:
            hint = "" if path.exists() else f"; `untrain init {path}` writes one"
        raise InputError(fault + hint) from None
    except UnicodeDecodeError:
        raise InputError(f"the experiment file {path} is not text (UTF-8)") from None
    try:
        node, values = parse_yaml(text, names=_is_of_run(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or str(error)
        if "'\\t'" in what:
            what = "indent with spaces, not with tabs"
        raise InputError(f"{where}: not valid YAML: {what}") from None
    if not isinstance(values, dict):
        found = "nothing" if values is None else shown(values)
        raise InputError(f"{path} must hold settings such as 'name: demo', found {found}")
    return node, values


def _is_of_run(path: Path) -> bool:
    """Tell whether a file holds the settings that a run was written with."""
    return path.name == "config.yaml" and (path.parent / RECORD).is_file()


def _check_unchanged(path: Path) -> None:
    """Raise `InputError` if a run's own settings are not what was written."""
    try:
        check(path)
    except Damaged:
        raise InputError(
            f"{path} is not what untrain wrote. `untrain run {path.parent}` puts back what it was. "
            "If you changed it, save it outside of the run folder: there it is an experiment of "
            "its own"
        ) from None
    except OSError:  # that it cannot be read is told where it is read
        return


def _replace(values: dict[str, Any], setting: str) -> list[str]:
    """Put one ``a.b.c=value`` into the nested values; return the parts of its key."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set takes key=value such as data.path=photos, found '{setting}'")
    *sections, last = key.strip().split(".")
    for section in sections:
        if values.get(section) is None:
            values[section] = {}
        values = values[section]
        if not isinstance(values, dict):
            raise InputError(f"--set {setting}: '{section}' has no settings of its own")
    try:
        value = parse_yaml(text)[1]
    except yaml.YAMLError as error:
        what = getattr(error, "problem", None) or error
        raise InputError(f"--set {setting}: the value is not valid YAML: {what}") from None
    if last in PATHS:
        value = [_here(each) for each in value] if isinstance(value, list) else _here(value)
    values[last] = value
    return [*sections, last]


def _here(value: Any) -> Any:
    """Return the path of what there is from the working directory, and anything else as it is."""
    there = isinstance(value, str) and Path(value).exists()
    return str(Path(value).resolve()) if there else value


def _option(key: str, value: Any) -> str:
    """Return how a command line gives a setting; of a section, its name is what one writes."""
    return f"--{key} {value['name'] if isinstance(value, dict) else value}"

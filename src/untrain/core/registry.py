"""A typed registry of named implementations, imported only when asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast
from zlib import crc32

from untrain.core import trust
from untrain.core.errors import InputError, did_you_mean

T = TypeVar("T")

OWN_FILES = "untrain_own_"
"""What the module of a user's file is called before a hash of its path, a dot and its name."""


class Registry(Generic[T]):
    """Names → implementations given as ``"module:attribute"``, so that ``--help`` imports nothing.

    Examples
    --------
    >>> squares = Registry("metric", {"sqrt": "math:sqrt"})
    >>> squares["sqrt"](9.0)
    3.0
    """

    def __init__(self, kind: str, targets: dict[str, str | T]) -> None:
        self.kind = kind
        self._targets: dict[str, str | T] = dict(targets)

    def register(self, name: str, target: str | T) -> None:
        """Add an implementation, as an object or as ``"module:attribute"``."""
        self._targets[name] = target

    @contextmanager
    def temporary(self, **targets: str | T) -> Iterator[None]:
        """Add or replace implementations until the block ends."""
        before = dict(self._targets)
        self._targets.update(targets)
        try:
            yield
        finally:
            self._targets = before

    def check(self, name: str) -> None:
        """Raise what asking for ``name`` would raise, without importing what it stands for."""
        if name not in self._targets:
            raise InputError(f"unknown {self.kind} '{name}'{did_you_mean(name, self._targets)}")

    def __getitem__(self, name: str) -> T:
        """Return the implementation; an unknown name is an `InputError` that suggests one."""
        self.check(name)
        target = self._targets[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            found: Any = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
            target = cast(T, found)
            self._targets[name] = target
        return target

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)


def is_own(name: str) -> bool:
    """Tell whether a name is ``package.module:attribute`` or ``file.py:attribute``."""
    module, colon, attribute = name.rpartition(":")
    if not colon or not all(part.isidentifier() for part in attribute.split(".")):
        return False
    return module.endswith(".py") or all(part.isidentifier() for part in module.split("."))


def open_own(kind: str, name: str) -> Any:
    """Import what a name stands for of which `is_own` is true; ``kind`` is for messages.

    A module is looked for in the working folder too, a file is run as a script is: it finds the
    modules beside it.

    Raises
    ------
    InputError
        There is no such module, file or attribute; or a run folder names it, and it is not trusted
        (`untrain.core.trust`).
    """
    trust.check(kind, name)
    place, _, attribute = name.rpartition(":")
    what = f"{kind} '{name}'"
    target: Any = _open_file(what, place) if place.endswith(".py") else _open_module(what, place)
    for part in attribute.split("."):
        if not hasattr(target, part):
            public = [known for known in vars(target) if not known.startswith("_")]
            raise InputError(f"{what}: {place} has no '{part}'{did_you_mean(part, public)}")
        target = getattr(target, part)
    return target


def _open_module(what: str, module: str) -> ModuleType:
    _look_in(Path.cwd())  # a console script, unlike ``python -m``, does not look here
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"{what}: {error}; run from the folder that holds "
            f"{module.partition('.')[0]}, or add that folder to PYTHONPATH"
        ) from error


def _open_file(what: str, file: str) -> ModuleType:
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"{what}: {path} does not exist; expected a Python file")
    name = f"{OWN_FILES}{crc32(str(path).encode()):08x}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    _look_in(path.parent)
    spec = spec_from_file_location(name, path)
    assert spec and spec.loader
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        del sys.modules[name]
        raise InputError(f"{what}: {error}") from error
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

"""A typed registry of named implementations, imported only when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Generic, TypeVar, cast

from untrain.errors import InputError, did_you_mean

T = TypeVar("T")


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
            target = cast(T, getattr(import_module(module), attribute))
            self._targets[name] = target
        return target

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

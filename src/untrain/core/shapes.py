"""What a record in JSON must look like to be one: held against it where it is read.

A shape is a type (`str`, `float` for any number, `bool`, `dict`), a frozenset of texts of which it
is one, a tuple of shapes of which one fits, a list whose one shape each element has, or a mapping
of keys to shapes, where ``"*"`` is any other key. A value that is missing or null fits, since
records of earlier versions lack what came later; not so where the key ends with ``!``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IN_WORDS = {str: "text", float: "a number", bool: "true or false", dict: "a mapping"}
SHOWN = 40  # letters of a value that does not fit


def misfit(value: Any, shape: Any, place: str = "") -> str | None:
    """Return where a value does not have a shape, in words; None if it has.

    Examples
    --------
    >>> misfit({"seconds": [1]}, {"seconds": float})
    'seconds is [1]; expected a number'
    """
    if value is None:
        return None
    if isinstance(shape, tuple):
        found = [misfit(value, each, place) for each in shape]
        return None if None in found else found[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _not(value, place, "a list")
        parts = [(each, shape[0], f"{place}[{number}]") for number, each in enumerate(value)]
    elif isinstance(shape, Mapping):
        if not isinstance(value, dict):
            return _not(value, place, "a mapping")
        shapes = {key.removesuffix("!"): of for key, of in shape.items()}
        for key in shapes:
            if f"{key}!" in shape and value.get(key) is None:
                return f"{_inside(place, key)} is missing"
        parts = [
            (each, shapes.get(key, shapes.get("*")), _inside(place, key))
            for key, each in value.items()
            if key in shapes or "*" in shapes
        ]
    else:
        return None if _fits(value, shape) else _not(value, place, _expected(shape))
    return next((fault for each in parts if (fault := misfit(*each))), None)


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, frozenset):
        return isinstance(value, str) and value in shape
    if shape is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, shape)


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _expected(shape: Any) -> str:
    return " or ".join(sorted(shape)) if isinstance(shape, frozenset) else IN_WORDS[shape]


def _not(value: Any, place: str, expected: str) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"
    return f"{place or 'it'} is {shown}; expected {expected}"

"""Options that a user gives, checked by the annotations of what takes them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from inspect import get_annotations
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from untrain.core.errors import InputError

IN_WORDS = {
    str: "text",
    Path: "a path",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
}


def check_options(
    what: str, options: Mapping[str, Any], takers: Iterable[Callable[..., Any]]
) -> None:
    """Raise `InputError` for an option of another type than what takes it says, or with a NUL.

    Parameters
    ----------
    what : str
        For the message: whose options they are, such as ``"catalogue format 'csv'"``.
    options : mapping
        By name; one that no taker knows is not checked.
    takers : iterable of callable
        Functions and classes whose annotations say of which type an option is.
    """
    hints: dict[str, Any] = {}
    for taker in takers:
        hints = _hints(taker) | hints
    for name, value in options.items():
        if name in hints and not _fits(value, hints[name]):
            raise InputError(
                f"{what}: {name} is {_shown(value)}; expected "
                f"{' or '.join(dict.fromkeys(_words(hints[name])))}"
            )
        if isinstance(value, str | Path) and "\0" in str(value):
            raise InputError(f"{what}: {name} is {_shown(value)}, which holds a NUL; expected none")


def _hints(taker: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of parameters; none where names are imported only for type checkers."""
    place = vars(sys.modules.get(getattr(taker, "__module__", ""), SimpleNamespace()))
    given = {n: hint for n, hint in get_annotations(taker).items() if n != "return"}
    try:
        return get_type_hints(SimpleNamespace(__annotations__=given), place)
    except (NameError, TypeError):
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is what an annotation says; a flag is no number."""
    kind = get_origin(hint) or hint
    if kind in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if kind is Any or not isinstance(kind, type):
        return True
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if issubclass(kind, Collection) and kind is not str:
        if isinstance(value, str) or not isinstance(value, kind):
            return False
        inside = get_args(hint)
        return issubclass(kind, Mapping) or not inside or all(_fits(v, inside[0]) for v in value)
    return isinstance(value, kind) or (kind is float and isinstance(value, int))


def _words(hint: Any) -> list[str]:
    kind = get_origin(hint) or hint
    if kind in (Union, UnionType):
        found = [_words(each) for each in get_args(hint) if each is not type(None)]
        return [word for words in found for word in words]
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return ["a mapping"]
    if isinstance(kind, type) and issubclass(kind, Collection) and kind is not str:
        return ["a list"]
    return [IN_WORDS.get(kind, getattr(kind, "__name__", str(kind)))]


def _shown(value: Any) -> str:
    words = repr(value) if not isinstance(value, Mapping) else "a mapping"
    return words if len(words) <= 80 else f"{words[:80]}…"

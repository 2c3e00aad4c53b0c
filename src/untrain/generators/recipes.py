"""Training recipes: frozen dataclasses whose settings are changed and checked by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from untrain.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Limits = Mapping[str, tuple[float, float]]


class Presets(NamedTuple):
    """The presets of a built-in generator.

    Attributes
    ----------
    default : str
        The preset that is taken where none is named.
    make : callable
        (name, **changes) → recipe; a wrong name, setting or value is an `InputError`.
    """

    default: str
    make: Callable[..., Any]


def preset_in(presets: Mapping[str, T], name: str) -> T:
    """Return a preset by name; an unknown one is an `InputError` that suggests another."""
    if name not in presets:
        raise InputError(f"unknown preset '{name}'{did_you_mean(name, presets)}")
    return presets[name]


def changed(recipe: T, changes: Mapping[str, Any]) -> T:
    """Return a recipe, any dataclass, with some settings changed and their types checked.

    Raises
    ------
    InputError
        Unknown setting ("did you mean"), or a value of the wrong type.
    """
    known = {f.name for f in fields(recipe)}
    for key in changes:
        if key not in known:
            raise InputError(f"preset has no setting '{key}'{did_you_mean(key, known)}")
    try:
        return _checker(type(recipe)).validate_python({**asdict(recipe), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{setting}: {first['msg'].replace('valid tuple', 'list')}, found {first['input']!r}"
        ) from None


@cache
def _checker(kind: type[T]) -> TypeAdapter[T]:
    """Return what checks the settings of a recipe; making it takes longer than checking."""
    return TypeAdapter(kind)


def check_limits(recipe: DataclassInstance, limits: Limits) -> None:
    """Raise `InputError` where a number of a recipe, or one in a list, is out of its limits.

    Parameters
    ----------
    recipe : dataclass
    limits : mapping of str to (float, float)
        The least and the largest value of a setting. One that is not named must be at least 1, if
        it is an integer, or above 0. Text is not checked.
    """
    for key, value in asdict(recipe).items():
        numbers = value if isinstance(value, tuple) else (value,)
        if numbers and all(isinstance(n, str) for n in numbers):
            continue
        least = 1e-9 if isinstance(value, float) else 1
        low, high = limits.get(key, (least, float("inf")))
        if not numbers or not all(low <= n <= high for n in numbers):
            most = "" if high == float("inf") else f" and at most {high:g}"
            raise InputError(f"{key} must be at least {low:g}{most}, found {value}")

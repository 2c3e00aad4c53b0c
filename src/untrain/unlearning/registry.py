"""Methods of unlearning by name, and their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields, replace
from typing import Any

from untrain.core.errors import InputError, did_you_mean
from untrain.core.registry import Registry
from untrain.generators.base import kept_rows
from untrain.unlearning.base import Method, Task, Unlearned

_HERE = "untrain.unlearning"

METHODS: Registry[Callable[..., Method]] = Registry(
    "unlearning method",
    {
        "nothing": f"{_HERE}.nothing:Nothing",
        "fine_tuning": f"{_HERE}.fine_tuning:FineTuning",
        "ascent": f"{_HERE}.ascent:Ascent",
        "bounded_ascent": f"{_HERE}.bounded_ascent:BoundedAscent",
        "ascent_retain": f"{_HERE}.retaining:AscentRetain",
        "npo": f"{_HERE}.npo:Npo",
        "salun": f"{_HERE}.salun:SalUn",
        "relabelling": f"{_HERE}.relabelling:Relabelling",
        "siss": f"{_HERE}.siss:Siss",
        "influence": f"{_HERE}.influence:Influence",
        "sisa": f"{_HERE}.sisa:Sisa",
        "attribute_to_delete": f"{_HERE}.attribute_to_delete:AttributeToDelete",
        "caption_swap": f"{_HERE}.caption_swap:CaptionSwap",
        "combined_matching": f"{_HERE}.combined_matching:CombinedMatching",
        "oracle_matching": f"{_HERE}.oracle_matching:OracleMatching",
    },
)
"""By name: a frozen dataclass whose fields are its options."""


def unlearn(name: str, task: Task, **options: Any) -> Unlearned:
    """Check a task, then do it by a method.

    Parameters
    ----------
    name : str
        Of a method, with options after a colon if there are any, as in ``npo:beta=0.2,rate=0.05``.
    task : Task
    **options
        The same by keyword; they go before those of the name.

    Raises
    ------
    InputError
        Unknown method, option ("did you mean") or id; a forget set of nothing or of everything; a
        budget that is not above 0 and at most 1, or too small for the method.
    """
    method = make_method(name, **options)
    check_task(task)
    task = replace(task)  # with a meter of its own
    generator = method(task)
    spent = task.meter.spent()
    return Unlearned(generator, kind_of(name), asdict(method), spent)  # type: ignore[call-overload]


def check_task(task: Task) -> None:
    """Raise `InputError` for what no method can do."""
    check_budget(task.budget)
    if not task.forget:
        raise InputError("the forget set is empty: name the images to forget")
    if seen := set(task.forget) & set(task.absent):
        raise InputError(
            f"the model does not hold '{min(seen)}': it was trained without it, or has forgotten it"
        )
    if not kept_rows(task.catalog, {*task.forget, *task.absent}).any():
        raise InputError(
            f"the forget set holds all {len(task.catalog) - len(set(task.absent))} images: leave "
            "some to be retained"
        )


def check_budget(budget: float) -> None:
    """Raise `InputError` unless a budget is above 0 and at most 1."""
    if not 0 < budget <= 1:
        raise InputError(
            f"the budget is a share of one training, above 0 and at most 1, found {budget:g}"
        )


def kind_of(name: str) -> str:
    """Return the name of a method without the options after its colon."""
    return name.partition(":")[0]


def make_method(name: str, **options: Any) -> Method:
    """Return a method by its name, see `unlearn`.

    Raises
    ------
    InputError
        An unknown method or option, or a value of another type than the option's default.
    """
    kind, _, text = name.partition(":")
    make = METHODS[kind]
    return make(**_checked(kind, options_of(kind), {**_read(name, text), **options}))


def options_of(kind: str) -> dict[str, Any]:
    """Return the options of a method with their defaults."""
    made: Any = METHODS[kind]
    return {f.name: f.default for f in fields(made) if f.init and f.default is not MISSING}


def summary_of(kind: str) -> str:
    """Return what a method does, in a line."""
    return (inspect.getdoc(METHODS[kind]) or "").partition("\n")[0]


def _read(name: str, text: str) -> dict[str, str]:
    """Return the options after a colon, as text."""
    found = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"{name}: options are written option=value, found '{part}'")
        found[key.strip()] = value.strip()
    return found


def _checked(kind: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for option, value in given.items():
        if option not in known:
            hint = did_you_mean(option, known) if known else "; it has none"
            raise InputError(f"the method '{kind}' has no option '{option}'{hint}")
        found[option] = _as_default(kind, option, value, known[option])
    return found


def _as_default(kind: str, option: str, value: Any, default: Any) -> Any:
    """Return a value in the type of an option's default; None as default takes a number."""
    wanted = float if default is None else type(default)
    if isinstance(value, str) and value.casefold() in ("true", "false") and wanted is bool:
        return value.casefold() == "true"
    if wanted is bool and isinstance(value, bool):
        return value
    if value is None and default is None:
        return None
    try:
        made = wanted(value)
        if wanted is bool or (wanted is int and float(value) != made) or made != made:
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(
            f"the option '{option}' of the method '{kind}' is of the kind {wanted.__name__}, such "
            f"as {default}; found {value!r}"
        ) from None
    return made

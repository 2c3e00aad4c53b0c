"""Attributors by name, what a name may say, and the list of all that a catalogue can be tried with.

Importing this loads no table library and no network: settings are checked with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from untrain.core.annotations import check_options
from untrain.core.errors import InputError, did_you_mean
from untrain.core.registry import Registry
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.ranking import OPEN, RANKINGS, parse_method

if TYPE_CHECKING:
    from untrain.attribution.base import Attributor

Make = Callable[..., "Attributor"]

REFERENCES = ("random", "family")
"""What the others are compared with."""
_BY_RANKING = "untrain.attribution.rankings:ByRanking"

GRADIENTS = {
    "grad_dot": "untrain.attribution.grad_dot:GradDot",
    "grad_cos": "untrain.attribution.grad_dot:GradCos",
    "trak": "untrain.attribution.trak:Trak",
    "logra": "untrain.attribution.logra:LoGra",
    "dtrak": "untrain.attribution.dtrak:DTrak",
    "leverage": "untrain.attribution.leverage:Leverage",
    "tracin": "untrain.attribution.tracin:TracIn",
    "ekfac": "untrain.attribution.ekfac:EkFac",
    "ekfac_relative": "untrain.attribution.ekfac:EkFacRelative",
    "abu": "untrain.attribution.abu:Abu",
    "abu_plus": "untrain.attribution.abu:AbuPlus",
    "mucs": "untrain.attribution.mucs:Mucs",
}
"""Those that need a model's gradients."""
ENSEMBLE, SHARP = "ensemble", "sharp"
WRAPPERS = (ENSEMBLE, SHARP)
"""Those that are made of another, which is named after the colon."""

ATTRIBUTORS: Registry[Make] = Registry(
    "attributor",
    {
        **dict.fromkeys(("text", "bm25"), "untrain.attribution.captions:Captions"),
        **{name: _BY_RANKING for name in RANKINGS if name != "text"},
        **dict.fromkeys(OPEN, _BY_RANKING),
        "encoder": "untrain.attribution.encoders:EncoderCosine",
        "nda": "untrain.attribution.nda:NDA",
        **GRADIENTS,
        ENSEMBLE: lambda name, /, **options: ensemble_of(name, **options),
        SHARP: lambda name, /, **options: sharpened(name, **options),
        "random": "untrain.attribution.references:Random",
        "family": "untrain.attribution.references:Family",
    },
)
"""By name, or by what is before the colon of one that takes an argument: what is called with the
whole name and, by keyword, options of its own → an attributor."""

TAKE_ARGUMENT = (*OPEN, "encoder", *WRAPPERS)
"""Those that are nothing without an argument."""
ON_REQUEST = ("abu", "abu_plus", "mucs")
"""Those that take seconds or minutes a query: tried where they are asked for."""
TWICE = ("metric:text_tfidf", "metric:pixel_cosine")
"""The rankings text and pixel_cosine under another name."""


def kind_of(name: str) -> str:
    """Return what an attributor is registered as: its name up to the colon."""
    return name.partition(":")[0]


def is_search_ranking(name: str) -> bool:
    """Tell whether a name is that of a ranking of candidates, made of metrics or read from a file.

    Examples
    --------
    >>> is_search_ranking("fusion"), is_search_ranking("metric:pixel_mse")
    (True, True)
    >>> is_search_ranking("bm25")
    False
    """
    kind, colon, _ = name.partition(":")
    return kind in OPEN or (not colon and kind in RANKINGS)


def check_ranking(name: str) -> None:
    """Raise `InputError` if a name is neither that of a ranking nor that of an attributor.

    Nothing that the name stands for is imported, and no file is read.
    """
    kind, _, argument = name.partition(":")
    if is_search_ranking(name):
        parse_method(name)
    elif kind not in ATTRIBUTORS:
        raise InputError(f"unknown ranking '{name}'{did_you_mean(kind, ATTRIBUTORS)}")
    elif kind in TAKE_ARGUMENT and not argument:
        raise InputError(f"the ranking '{kind}' needs an argument, as in {kind}:NAME")
    elif kind in WRAPPERS:
        check_ranking(argument)


def ensemble_of(name: str, /, **options: Any) -> Attributor:
    """Return an ensemble of the method after the colon, which gets the options."""
    from untrain.attribution.ensemble import Ensemble

    return Ensemble(name, partial(make_attributor, **options))


def sharpened(name: str, /, sharpness: float | None = None, **options: Any) -> Attributor:
    """Return the sharpened scores of the method after the colon, which gets the other options."""
    from untrain.attribution.sharpened import SHARPNESS, Sharpened

    check_options(f"the attributor '{name}'", {"sharpness": sharpness}, (sharpened,))
    inner = partial(make_attributor, **options)
    return Sharpened(name, inner, SHARPNESS if sharpness is None else sharpness)


def make_attributor(name: str, /, **options: Any) -> Attributor:
    """Return the attributor of a name, such as ``fusion``, ``metric:pixel_mse``, ``bm25``.

    Parameters
    ----------
    name : str
    **options
        Of its class: the parameters beside ``name``.

    Raises
    ------
    InputError
        The name or an option is unknown, or the attributor refuses one's value.
    """
    make = ATTRIBUTORS[kind_of(name)]
    known = _options(make)
    for option in options:
        if known is not None and option not in known:
            hint = did_you_mean(option, known) if known else "; it has none"
            raise InputError(f"the attributor '{name}' has no option '{option}'{hint}")
    check_options(f"the attributor '{name}'", options, _makers(make))
    return make(name, **options)


def _options(make: Make) -> list[str] | None:
    """Return the options of an attributor; None where it passes all on to another."""
    names: list[str] = []
    for function in _makers(make):
        parameters = inspect.signature(function).parameters.values()
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return [name for name in dict.fromkeys(names) if name not in ("self", "name")]
    return None


def _makers(make: Make) -> list[Callable[..., Any]]:
    """Return the functions that options go to: of a class, those of the classes that it is too."""
    if isinstance(make, type):
        return [vars(kind)["__init__"] for kind in make.__mro__ if "__init__" in vars(kind)]
    return [make]


def option_keys(name: str) -> list[str]:
    """Return under which names options may be given to an attributor, the most general first.

    Examples
    --------
    >>> option_keys("ensemble:trak:nll")
    ['trak', 'trak:nll', 'ensemble', 'ensemble:trak:nll']
    """
    kind, _, argument = name.partition(":")
    inner = option_keys(argument) if kind in WRAPPERS and argument else []
    return list(dict.fromkeys([*inner, kind, name]))


def options_of(name: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the options meant for an attributor, those of its own name before general ones.

    Examples
    --------
    >>> options_of("trak:nll", {"trak": {"damping": 0.1}, "trak:nll": {"damping": 1}})
    {'damping': 1}
    """
    found: dict[str, Any] = {}
    for key in option_keys(name):
        found |= options.get(key, {})
    return found


def every_attributor(
    rankings: Sequence[str] = (),
    encoders: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Iterator[Attributor]:
    """Yield every attributor there is; `Attributor.missing` tells which the evidence suffices for.

    Parameters
    ----------
    rankings, encoders : sequence of str
        Those that take an argument or much time, asked for besides every single metric: as
        `untrain.search.rank.ranking.rank` and `untrain.encoders.load_encoder` take them.
    options : mapping of str to mapping
        As `options_of` takes them.
    """
    besides = (*TAKE_ARGUMENT, *ON_REQUEST, *REFERENCES)
    always = [name for name in ATTRIBUTORS if name not in besides]
    always += [name for metric in METRICS if (name := f"metric:{metric}") not in TWICE]
    for name in dict.fromkeys([*always, *rankings]):
        yield make_attributor(name, **options_of(name, options))
    for encoder in encoders:
        yield from (make_attributor(f"encoder:{encoder}", words=words) for words in (False, True))
    yield from map(make_attributor, REFERENCES)

"""Attributors by name, and the list of all that a catalogue can be tried with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from untrain.attribution.base import FAMILY, Attributor
from untrain.attribution.captions import RETRIEVERS, Captions
from untrain.attribution.encoders import EncoderCosine
from untrain.attribution.rankings import ByRanking
from untrain.attribution.references import RANDOM, Family, Random
from untrain.core.registry import Registry
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.ranking import OPEN, RANKINGS

Make = Callable[[str], Attributor]

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
ENSEMBLE = "ensemble"

ATTRIBUTORS: Registry[Make] = Registry(
    "attributor",
    {
        **dict.fromkeys(RETRIEVERS, Captions),
        **{name: ByRanking for name in RANKINGS if name not in RETRIEVERS},
        **dict.fromkeys(OPEN, ByRanking),
        "encoder": EncoderCosine,
        "nda": "untrain.attribution.nda:NDA",
        **GRADIENTS,
        ENSEMBLE: lambda name: ensemble_of(name),
        RANDOM: Random,
        FAMILY: Family,
    },
)
"""By name, or by what is before the colon of one that takes an argument: the whole name →
an attributor."""

TAKE_ARGUMENT = (*OPEN, "encoder", ENSEMBLE)
ON_REQUEST = ("mucs",)
"""Those that take seconds or minutes a query: tried where they are asked for."""
TWICE = ("metric:text_tfidf", "metric:pixel_cosine")
"""The rankings text and pixel_cosine under another name."""


def ensemble_of(name: str) -> Attributor:
    """Return an ensemble of the method after the colon."""
    from untrain.attribution.ensemble import Ensemble

    return Ensemble(name, make_attributor)


def make_attributor(name: str) -> Attributor:
    """Return the attributor of a name, such as ``fusion``, ``metric:pixel_mse``, ``bm25``.

    Raises
    ------
    InputError
        The name is unknown.
    """
    return ATTRIBUTORS[name.partition(":")[0]](name)


def every_attributor(
    rankings: Sequence[str] = (), encoders: Sequence[str] = ()
) -> Iterator[Attributor]:
    """Yield every attributor there is; `Attributor.missing` tells which the evidence suffices for.

    Parameters
    ----------
    rankings, encoders : sequence of str
        Those that take an argument or much time, asked for besides every single metric: as
        `untrain.search.rank.ranking.rank` and `untrain.encoders.load_encoder` take them.
    """
    last = (RANDOM, FAMILY)
    always = [name for name in ATTRIBUTORS if name not in (*TAKE_ARGUMENT, *ON_REQUEST, *last)]
    always += [name for metric in METRICS if (name := f"metric:{metric}") not in TWICE]
    yield from map(make_attributor, dict.fromkeys([*always, *rankings]))
    for encoder in encoders:
        yield from (EncoderCosine(f"encoder:{encoder}", words) for words in (False, True))
    yield from map(make_attributor, last)

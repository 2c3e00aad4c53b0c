"""``precision: auto``: a short piece of training in each precision; the faster one is used."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.cache import cached
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.hardware import PRECISIONS, Precision, device, has_fast_bfloat16
from untrain.core.progress import console
from untrain.generators.registry import make_generator

PAYS = 1.1
"""How many times as fast bfloat16 must be: below that its rounding is not worth it."""
REPEATS = 2
"""Measurements of each precision, of which the quickest counts."""


@dataclass(frozen=True)
class MeasuredPrecision:
    """What `measure_precision` found.

    Attributes
    ----------
    key : str
        Fingerprint of the model and the kind of device.
    chosen : {'float32', 'bfloat16'}
    rates : dict of str to float
        Training pairs per second in each precision; empty if the hardware has no bfloat16.
    """

    key: str
    chosen: Precision
    rates: dict[str, float]

    @property
    def reason(self) -> str:
        """The choice, for people."""
        if not self.rates:
            return "float32: this machine has no instructions for bfloat16"
        told = ", ".join(f"{rate:.3g} pairs/s in {name}" for name, rate in self.rates.items())
        return f"{self.chosen}: measured {told}"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `measure_precision` takes it as ``known``."""
        return {"key": self.key, "chosen": self.chosen, "rates": self.rates}


def measure_precision(
    name: str, seed: int, options: Mapping[str, Any], known: Mapping[str, Any] | None = None
) -> MeasuredPrecision:
    """Return the precision in which a generator trains faster on this machine.

    bfloat16 is chosen where it is at least 1.1 times as fast. What was measured is remembered in
    the cache; where the hardware has no bfloat16, nothing is measured.

    Parameters
    ----------
    name : str
    seed : int
    options : mapping
        As `make_generator` takes them.
    known : mapping, optional
        What a run recorded (`MeasuredPrecision.to_dict`): used again if it is of the same model
        and kind of device, so that one run stays with one precision.

    Raises
    ------
    InputError
        The generator has no option ``precision`` or does not say what a training costs.
    """
    key = fingerprint("precision", name, dict(options), device().type)
    if known and known.get("key") == key:
        return _read(key, known)
    if not has_fast_bfloat16():
        return MeasuredPrecision(key, "float32", {})
    import torch

    machine = platform.node(), platform.machine(), os.cpu_count(), torch.__version__

    def make() -> MeasuredPrecision:
        rates: dict[str, float] = {each: _rate(name, seed, options, each) for each in PRECISIONS}
        pays = rates["bfloat16"] >= PAYS * rates["float32"]
        found = MeasuredPrecision(key, "bfloat16" if pays else "float32", rates)
        console.print(f"  precision {found.reason}")
        return found

    return cached(
        "paces",
        fingerprint(key, machine),
        lambda found: {"description": f"precision of {name}: {found.reason}"},
        make,
        save=lambda found, path: write_json(path, found.to_dict()),
        load=lambda path: _read(key, read_json(path)),
    )[0]


def _read(key: str, values: Mapping[str, Any]) -> MeasuredPrecision:
    rates = {str(name): float(rate) for name, rate in values["rates"].items()}
    return MeasuredPrecision(
        key, "bfloat16" if values["chosen"] == "bfloat16" else "float32", rates
    )


def _rate(name: str, seed: int, options: Mapping[str, Any], precision: Precision) -> float:
    """Return the pairs per second of a short training on made-up data."""
    generator = make_generator(name, seed, precision, **options)
    costs = [generator.cost(_one_pair()) for _ in range(REPEATS)]
    seconds = [cost.seconds for cost in costs if cost is not None]
    if not seconds:
        raise InputError(
            f"generator.precision is 'auto', but the generator '{name}' does not say what a "
            "training costs (its method `cost`): choose float32 or bfloat16"
        )
    return generator.fit_work(_one_pair()) / max(min(seconds), 1e-9)


def _one_pair() -> Catalog:
    def refuse(image_id: str) -> bytes:
        raise InputError(f"the cost of a training must not need a picture (asked for '{image_id}')")

    words = " ".join(["word"] * 12)  # about the length of a caption
    return Catalog("trial", ("one",), (words,), ("none",), refuse, pd.DataFrame(index=range(1)))

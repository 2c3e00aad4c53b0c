"""Checks of what a generator says of itself."""

from __future__ import annotations

import copy
import inspect
import json

from untrain.core.errors import InputError
from untrain.generators.base import Generator, Noise
from untrain.testing.bench import (
    Bench,
    silent,
)


def check_attributes(bench: Bench) -> None:
    """It says what it draws and with which noise."""
    made = bench.new()
    assert isinstance(made, Generator), "it is no subclass of untrain.Generator"
    size = getattr(made, "image_size", None)
    whole = isinstance(size, tuple) and len(size) == 2 and all(isinstance(n, int) for n in size)
    assert whole, f"image_size is {size!r}; expected (height, width)"
    noise = getattr(made, "noise", None)
    assert isinstance(noise, Noise), f"noise is {noise!r}; expected untrain.Noise(kind, shape)"
    assert isinstance(made.unit, str) and made.unit, f"unit is {made.unit!r}; expected words"


def check_fingerprint(bench: Bench) -> None:
    """Two that are made alike have one fingerprint; with other data or options another."""
    made, alike = bench.new(), bench.new()
    why = "by it trained models are found again"
    found = made.fingerprint(bench.catalog)
    assert found == alike.fingerprint(bench.catalog), (
        f"two generators made alike have the fingerprints {found} and "
        f"{alike.fingerprint(bench.catalog)}: {why}, and with another they are trained again"
    )
    fewer = bench.catalog.subset(bench.catalog.ids[1:])
    assert found != made.fingerprint(fewer), (
        f"the fingerprint is the same on other data: {why}, so those of the old data would be used"
    )
    json.dumps(made.recipe(), default=str)
    for name, value in vars(made).items():
        if name.startswith("_") or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if name not in _option_names(made):
            continue
        changed = copy.copy(made)
        setattr(changed, name, value + 1)
        assert found != changed.fingerprint(bench.catalog), (
            f"the fingerprint does not depend on the option '{name}': {why}, and with another "
            f"{name} those of the old one would be used"
        )


def _option_names(made: Generator) -> set[str]:
    return set(inspect.signature(type(made)).parameters)


def check_unknown_ids_are_refused(bench: Bench) -> None:
    """To remove an image that is not there is an error, not nothing."""
    generator = bench.prepared()
    try:
        generator.fit(bench.catalog, ["no-such-image"], 0, silent)
    except InputError:
        return
    raise AssertionError(
        "fit took the unknown id 'no-such-image' without an InputError: a typing error would pass "
        "for a removal that has no effect (untrain.kept_rows refuses it)"
    )

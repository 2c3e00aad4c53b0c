"""Generators by name: the built-in ones, registered ones, and classes of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from untrain.core.errors import InputError
from untrain.core.registry import Registry, is_own, open_own
from untrain.generators.recipes import Presets

if TYPE_CHECKING:
    from untrain.generators.base import Generator

GROUP = "untrain.generators"
"""The entry points of installed packages that are generators."""

Kind = TypeVar("Kind", bound="type[Generator]")


class GeneratorRegistry(Registry[Callable[..., "Generator"]]):
    """Generators by name; ``module:Class`` and ``file.py:Class`` are the user's own."""

    def check(self, name: str) -> None:
        """Raise `InputError` if ``name`` can be no generator, without importing anything."""
        if is_own(name) or name in self:
            return
        for point in entry_points(group=GROUP):
            self._targets.setdefault(point.name, point.value)
        super().check(name)

    def __getitem__(self, name: str) -> Callable[..., Generator]:
        """Return what makes the generator ``name`` when called with its options."""
        if not is_own(name):
            return super().__getitem__(name)
        return open_own("generator", name)

    def address(self, name: str) -> str | None:
        """Return by what name another process finds a generator; None if it cannot."""
        target = self._targets.get(name)
        if target is None or isinstance(target, str) or target.__module__.startswith("untrain."):
            return name
        return None if target.__module__ == "__main__" else _address(target)


def _address(target: Any) -> str:
    return f"{target.__module__}:{target.__qualname__}"


GENERATORS = GeneratorRegistry(
    "generator",
    {
        "dalle": "untrain.generators.dalle.generator:DalleGenerator.from_preset",
        "diffusion": "untrain.generators.diffusion.unet:DiffusionGenerator.from_preset",
        "lora": "untrain.generators.diffusion.lora:LoraGenerator",
    },
)

PRESETS: Registry[Presets] = Registry(
    "generator with presets",
    {
        "dalle": "untrain.generators.dalle.presets:DALLE",
        "diffusion": "untrain.generators.diffusion.presets:DIFFUSION",
    },
)
"""The presets of those generators that have any."""


def presets_of(generator: Any) -> Presets | None:
    """Return the presets of a generator by its name, or None where it has none."""
    return PRESETS[generator] if isinstance(generator, str) and generator in PRESETS else None


def register(name: str) -> Callable[[Kind], Kind]:
    """Give a class of your own a name for the experiment file.

    Processes beside this one find it by its module. A class of the script or notebook itself has
    none that they could import: its models are trained one after another.

    Examples
    --------
    >>> from untrain.generators.base import Generator
    >>> @register("mine")
    ... class Mine(Generator):
    ...     ...
    >>> "mine" in GENERATORS
    True
    """

    def add(kind: Kind) -> Kind:
        GENERATORS.register(name, kind)
        return kind

    return add


def takes_precision(name: str) -> bool:
    """Tell whether a generator can be told which precision to compute in."""
    return "precision" in inspect.signature(GENERATORS[name]).parameters


def make_generator(
    name: str, seed: int = 0, precision: str | None = None, **options: Any
) -> Generator:
    """Return the generator ``name``, made with ``options`` and not yet prepared.

    Parameters
    ----------
    name : str
        ``"dalle"`` or another name in `GENERATORS`, ``"module:Class"`` (looked for in the working
        folder too) or ``"file.py:Class"``.
    seed : int
        Given to a generator that has an option of this name.
    precision : {'float32', 'bfloat16'}, optional
        Given to the generator, which must have an option of this name; left out, it decides.
    **options
        Of its class.

    Raises
    ------
    InputError
        There is no such generator, it has no such option or needs one, or it lacks a part of the
        contract.
    """
    make = GENERATORS[name]
    parameters = inspect.signature(make).parameters
    if "seed" in parameters:
        options = {"seed": seed, **options}
    if precision is not None:
        if "precision" not in parameters:
            raise InputError(
                f"generator '{name}' has no option 'precision': leave generator.precision out, and "
                "it computes as its class says"
            )
        options["precision"] = precision
    try:
        inspect.signature(make).bind(**options)
    except TypeError as error:
        known = ", ".join(parameters) or "none"
        raise InputError(f"generator '{name}': {error}; its options: {known}") from None
    missing = sorted(getattr(make, "__abstractmethods__", ()))
    if missing:
        raise InputError(f"generator '{name}' has no method {', '.join(missing)}")
    made = make(**options)
    for attribute in ("image_size", "noise"):
        if not hasattr(made, attribute):
            raise InputError(f"generator '{name}' has no attribute {attribute}")
    return made

"""How a generator is made: what other processes are told, instead of the generator itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from untrain.core.hardware import PRECISIONS
from untrain.generators.base import Generator
from untrain.generators.registry import GENERATORS, make_generator, takes_precision


@dataclass(frozen=True)
class GeneratorSpec:
    """The arguments of `make_generator`; picklable if the options are.

    Attributes
    ----------
    name : str
        A name in `GENERATORS`, ``"module:Class"`` or ``"file.py:Class"``.
    seed : int
        For a generator that has an option of this name.
    precision : str or None
        ``"float32"`` or ``"bfloat16"``; None leaves it to the generator.
    options : mapping of str to Any
        Of its class.
    """

    name: str
    seed: int = 0
    precision: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Generator:
        """Return a new generator, not yet prepared."""
        return make_generator(self.name, self.seed, self.precision, **self.options)

    @property
    def address(self) -> str | None:
        """The name by which other processes find it; None if only this process has it."""
        return GENERATORS.address(self.name)

    def settled(self, made: Generator) -> GeneratorSpec:
        """Return how another process makes the like of ``made``, which this one has made.

        The name is one that other processes know, if there is any, and the precision that of
        ``made``: elsewhere the generator might choose another.
        """
        told = made.precision in PRECISIONS and takes_precision(self.name)
        return replace(
            self,
            name=self.address or self.name,
            precision=made.precision if told else self.precision,
        )

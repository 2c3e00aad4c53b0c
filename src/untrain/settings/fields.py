"""What sections of settings are made of: names in registries, sizes, and faults that name a key."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import core_schema

from untrain.core.errors import InputError

LONGEST = 100
"""Letters of a name, and of a value in a message."""


class Fault(ValueError):
    """A fault of settings in several sections; ``key`` is the one to look at."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class NameIn:
    """Check a name against a registry ``"module:attribute"``, imported when it is needed.

    The JSON schema offers the registered names, and takes others: some registries have open ends.
    """

    registry: str

    def names(self) -> list[str]:
        """Return the names that are registered."""
        return list(self._open())

    def _open(self) -> Any:
        module, _, attribute = self.registry.partition(":")
        return getattr(import_module(module), attribute)

    def _check(self, name: str) -> str:
        try:
            self._open().check(name)
        except InputError as error:
            raise ValueError(str(error)) from None
        return name

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": self.names()}, handler(core)]}


def _ranking(method: str) -> str:
    from untrain.attribution.registry import check_ranking

    try:
        check_ranking(method)
    except InputError as error:
        raise ValueError(str(error)) from None
    return method


def _rising(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if list(sizes) != sorted(set(sizes)) or any(size < 1 for size in sizes):
        raise ValueError(f"must be rising positive sizes such as [10, 100], found {list(sizes)}")
    return sizes


def _within(most: int) -> BeforeValidator:
    """Refuse numbers beyond reason, and ``true``, which Python counts as 1.

    It is no bound of the schema: nobody has to read of a limit that nobody meets.
    """

    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"should be a number, found {str(value).lower()}")
        if isinstance(value, int) and abs(value) > most:
            raise ValueError(f"should be at most {most:,}, found {shown(value)}")
        return value

    return BeforeValidator(check)


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, int) and value.bit_length() > LONGEST:
        return f"a number of {value.bit_length():,} bits"  # Python writes out no endless ones
    words = "a list" if isinstance(value, list) else repr(value)
    return words if len(words) <= 2 * LONGEST else f"{words[:LONGEST]}…"


def _plain_text(value: Any) -> Any:
    """Refuse what no file can be called by, in a path."""
    if value == "":
        raise ValueError("is empty; expected a path, such as '.' for this folder")
    if isinstance(value, str | Path) and "\0" in str(value):
        raise ValueError(f"is no path that a file can have, found {str(value)!r}")
    return value


Whole = Annotated[int, _within(2**53)]
"""Such as a seed: what every reader of JSON keeps as it is."""
Count = Annotated[int, _within(10**6)]
"""Of what is made: pictures, models, draws."""
Size = Annotated[int, _within(10**9)]
"""Of what is there: images, candidates."""
AtOnce = Annotated[int, _within(4096)]
"""Threads, or models trained side by side: more than any machine has cores."""
Number = Annotated[float, _within(10**300), Field(allow_inf_nan=False)]
Place = Annotated[Path, BeforeValidator(_plain_text)]

Format = Annotated[str, NameIn("untrain.catalogs:CATALOGS")]
Reservation = Literal["c2pa", "xmp"]
EncoderName = Annotated[str, NameIn("untrain.encoders.registry:ENCODERS")]
EngineName = Annotated[str, NameIn("untrain.training.engines:ENGINES")]
TrackerName = Annotated[str, NameIn("untrain.training.trackers:TRACKERS")]
Retriever = Annotated[str, NameIn("untrain.search.retrieve.candidates:RETRIEVERS")]
RankingName = Annotated[str, AfterValidator(_ranking)]
Arm = Annotated[str, NameIn("untrain.counterfactual.arms:ARMS")]
GeneratorName = Annotated[str, NameIn("untrain.generators.registry:GENERATORS")]
Sizes = Annotated[tuple[Size, ...], AfterValidator(_rising)]


class Section(BaseModel):
    """A mapping in the file: no unknown keys, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(Section):
    """A section that may be given as just a name: ``encoder: layout``."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """Take ``encoder: layout`` for ``encoder: {name: layout}``."""
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        whole = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"type": "string"}, whole], "description": whole.get("description", "")}

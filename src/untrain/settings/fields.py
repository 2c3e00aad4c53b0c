"""What sections of settings are made of: names in registries, sizes, and faults that name a key."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import core_schema

from untrain.core.errors import InputError


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


Format = Annotated[str, NameIn("untrain.catalogs:CATALOGS")]
Reservation = Literal["c2pa", "xmp"]
EncoderName = Annotated[str, NameIn("untrain.encoders.registry:ENCODERS")]
EngineName = Annotated[str, NameIn("untrain.training.engines:ENGINES")]
TrackerName = Annotated[str, NameIn("untrain.training.trackers:TRACKERS")]
Retriever = Annotated[str, NameIn("untrain.search.retrieve.candidates:RETRIEVERS")]
RankingName = Annotated[str, AfterValidator(_ranking)]
Arm = Annotated[str, NameIn("untrain.counterfactual.arms:ARMS")]
GeneratorName = Annotated[str, NameIn("untrain.generators.registry:GENERATORS")]
Sizes = Annotated[tuple[int, ...], AfterValidator(_rising)]


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

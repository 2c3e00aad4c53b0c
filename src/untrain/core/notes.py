"""Notes: what a reader must know beside a result, as records that code can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Note:
    """A warning or a remark.

    Attributes
    ----------
    code : str
        What kind it is, such as ``generator-weak``. Code compares this, never the text.
    text : str
        A sentence for people.
    about : tuple of str
        What it concerns, such as ids of prompts or names of metrics; empty for the whole.
    """

    code: str
    text: str
    about: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"code": self.code, "text": self.text, "about": list(self.about)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was made of."""
        return cls(values["code"], values["text"], tuple(values.get("about", ())))

    def __str__(self) -> str:
        return self.text

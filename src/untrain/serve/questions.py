"""A question as it stands in an address, so that every answer has a link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from untrain.core.errors import InputError

TOP, MOST = 12, 60
LIKENESS, INFLUENCE = "likeness", "influence"
LONGEST = 500
"""Characters of a prompt, as in the form."""
PICTURES = 12
"""Of one question, at most."""


@dataclass(frozen=True)
class Question:
    """What somebody asks.

    Attributes
    ----------
    pictures : tuple of str
        Keys, as `untrain.serve.shelf.Shelf.picture` takes them.
    prompt : str
        May be empty.
    by : {'likeness', 'influence'}
        With influence likeness stands beside it.
    top : int
        Images shown of each picture.
    only : tuple of str
        ``column:value``: images of this brand, say.
    without : tuple of str
        Ids that are left out.
    """

    pictures: tuple[str, ...]
    prompt: str = ""
    by: str = LIKENESS
    top: int = TOP
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: QueryParams) -> Question:
        """Read a question from an address.

        Raises
        ------
        InputError
            It asks about nothing, or about too much.
        """
        pictures = tuple(dict.fromkeys(query.getlist("p")))
        if not pictures:
            raise InputError("the address names no picture: drop one on the first page")
        if len(pictures) > PICTURES:
            raise InputError(
                f"{len(pictures)} pictures were asked about; expected at most {PICTURES}"
            )
        by = query.get("by", LIKENESS)
        if by not in (LIKENESS, INFLUENCE):
            raise InputError(f"by is '{by}'; expected {LIKENESS} or {INFLUENCE}")
        number = query.get("top", str(TOP))
        if not number.isdecimal() or len(number) > 9 or not 1 <= int(number) <= MOST:
            raise InputError(f"top is '{number[:20]}'; expected a number from 1 to {MOST}")
        only, without = tuple(query.getlist("only")), tuple(query.getlist("without"))
        prompt = query.get("prompt", "").strip()
        if len(prompt) > LONGEST:
            raise InputError(f"the prompt has {len(prompt)} characters; expected at most {LONGEST}")
        return cls(pictures, prompt, by, int(number), only, without)

    @property
    def filtered(self) -> bool:
        """Whether some images are left out."""
        return bool(self.only or self.without)

    @property
    def query(self) -> str:
        """The question as the part of an address after the question mark."""
        return self._filtered(self._only, self._without)

    @cached_property
    def _asked(self) -> str:
        pairs = [("p", each) for each in self.pictures]
        pairs += [("prompt", self.prompt)] if self.prompt else []
        pairs += [("by", self.by)] if self.by != LIKENESS else []
        pairs += [("top", str(self.top))] if self.top != TOP else []
        return urlencode(pairs)

    @cached_property
    def _only(self) -> str:
        return urlencode([("only", each) for each in self.only])

    @cached_property
    def _without(self) -> str:
        return urlencode([("without", each) for each in self.without])

    def _filtered(self, only: str, without: str) -> str:
        """Return the query with other filters: an answer has a link for each of hundreds."""
        return "&".join(part for part in (self._asked, only, without) if part)

    def excluding(self, image_id: str) -> str:
        """Return the query of the same question without an image."""
        if image_id in self.without:
            return self.query
        own = urlencode([("without", image_id)])
        return self._filtered(self._only, f"{self._without}&{own}" if self.without else own)

    def only_of(self, value: str) -> str:
        """Return the query of the same question for ``column:value`` only."""
        return self._filtered(urlencode([("only", value)]), self._without)

    def unfiltered(self) -> Question:
        """Return the same question with all images."""
        return replace(self, only=(), without=())

"""A question as it stands in an address, so that every answer has a link."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
        pairs = [("p", each) for each in self.pictures]
        pairs += [("prompt", self.prompt)] if self.prompt else []
        pairs += [("by", self.by)] if self.by != LIKENESS else []
        pairs += [("top", str(self.top))] if self.top != TOP else []
        pairs += [("only", each) for each in self.only]
        pairs += [("without", each) for each in self.without]
        return urlencode(pairs)

    def excluding(self, image_id: str) -> Question:
        """Return the same question without an image."""
        return replace(self, without=tuple(dict.fromkeys([*self.without, image_id])))

    def only_of(self, value: str) -> Question:
        """Return the same question for ``column:value`` only."""
        return replace(self, only=(value,))

    def unfiltered(self) -> Question:
        """Return the same question with all images."""
        return replace(self, only=(), without=())

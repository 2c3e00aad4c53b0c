"""What of a table becomes a pair: which rows, under which id, with which caption."""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from untrain.core.errors import InputError, did_you_mean
from untrain.core.text import whole

IDS = ("id", "image_id", "__key__", "key")
CAPTIONS = ("caption", "captions", "text", "txt", "prompt", "description", "sentences")
SEVERAL = ("first", "all", "join")
LIMITS = ("min", "max", "not")
LISTED = 50  # columns that a message lists
SHOWN = 12  # values of a column that a message lists

Values = Mapping[str, Any]


def as_text(value: Any) -> str:
    """Return a cell as text without white space around it; a missing one is empty.

    Halves of letters, as cut emoji leave behind, become U+FFFD: no file could hold them.
    """
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return whole(str(value)).strip()


def as_texts(value: Any) -> list[str]:
    """Return a cell that may hold several texts as a list of those that are not empty."""
    several = value if isinstance(value, list | tuple) else [value]
    return [text for text in map(as_text, several) if text]


class Template:
    """A caption made of columns: ``"{brand} {colour} {article}"``, or the name of one column.

    A missing value leaves no word and no double space; a caption whose columns are all missing is
    empty, whatever words stand between them. Nothing but names may stand in the braces, so a
    template from somewhere else can do nothing but read columns.

    Examples
    --------
    >>> Template("a {colour} {article}")({"colour": "red", "article": "bag"})
    ['a red bag']
    >>> Template("a {colour} {article}")({"colour": None, "article": "bag"})
    ['a bag']
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_column = "{" not in text and "}" not in text
        self.columns = (text,) if self.is_column else self._parse()

    def __call__(self, values: Values) -> list[str]:
        """Return the captions of a row: one of a template, several if a column holds a list."""
        if self.is_column:
            return as_texts(values.get(self.text))
        words = {name: " ".join(as_texts(values.get(name))) for name in self.columns}
        if not any(words.values()):
            return []
        return [" ".join("".join(f + words.get(n or "", "") for f, n in self._parts).split())]

    def _parse(self) -> tuple[str, ...]:
        try:
            parts = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise InputError(f"caption template '{self.text}': {error}") from None
        for _, name, spec, conversion in parts:
            if name is not None and (not name or spec or conversion):
                raise InputError(
                    f"caption template '{self.text}': expected names of columns in braces, such "
                    "as '{brand} {colour}', and nothing else in them"
                )
        self._parts = [(fixed, name) for fixed, name, _, _ in parts]
        names = tuple(dict.fromkeys(name for _, name in self._parts if name is not None))
        if not names:
            raise InputError(
                f"caption template '{self.text}' names no column; "
                "put one in braces, such as {title}"
            )
        return names


class Where:
    """A filter of rows: column → a value, a list of values, or ``{min, max, not}``.

    A row must pass every column. Values are compared as text, numbers as numbers: ``2012``
    is ``"2012"`` and ``2012.0``. A missing value is the empty text, and no number.

    Examples
    --------
    >>> where = Where({"gender": ["Men", "Women"], "year": {"min": 2012}})
    >>> where({"gender": "Men", "year": "2013"}), where({"gender": "Boys", "year": "2013"})
    (True, False)
    """

    def __init__(self, conditions: Mapping[str, Any] | None) -> None:
        if conditions is not None and not isinstance(conditions, Mapping):
            raise InputError(
                f"where is {conditions!r}; expected columns with the values to keep, such as "
                "{gender: [Men, Women], year: {min: 2012}}"
            )
        self.tests = {name: _test(name, wanted) for name, wanted in (conditions or {}).items()}
        self.columns = tuple(self.tests)
        self.met: dict[str, dict[str, int]] = {name: {} for name in self.tests}
        self.asked = 0

    def __call__(self, values: Values) -> bool:
        """Tell whether a row passes, and take note of what it holds for `explain`."""
        self.asked += 1
        passes = True
        for name, test in self.tests.items():
            value, met = values.get(name), self.met[name]
            shown = as_text(value)
            if shown in met or len(met) < SHOWN:
                met[shown] = met.get(shown, 0) + 1
            passes = passes and test(value)
        return passes

    def explain(self) -> str:
        """Say what the columns of the filter hold, after all rows were asked."""
        held = "; ".join(
            f"'{name}' holds {', '.join(f'{v!r} ({n})' for v, n in met.items()) or 'nothing'}"
            + (", …" if len(met) == SHOWN else "")
            for name, met in self.met.items()
        )
        return f"none of {self.asked:,} rows passes where: {held}"


def _test(name: str, wanted: Any) -> Callable[[Any], bool]:
    if not isinstance(wanted, Mapping):
        return _one_of(wanted)
    unknown = set(wanted) - set(LIMITS)
    if unknown or not wanted:
        raise InputError(
            f"where.{name} has {', '.join(map(repr, sorted(map(str, wanted)))) or 'nothing'}; "
            "expected a value, a list of values, or some of min, max, not"
        )
    for limit in ("min", "max"):
        if limit in wanted and _number(wanted[limit]) is None:
            raise InputError(f"where.{name}.{limit} is {wanted[limit]!r}; expected a number")
    low, high = _number(wanted.get("min")), _number(wanted.get("max"))
    refused = _one_of(wanted["not"]) if "not" in wanted else lambda value: False

    def test(value: Any) -> bool:
        number = _number(value)
        if (low is not None or high is not None) and number is None:
            return False
        if low is not None and number is not None and number < low:
            return False
        if high is not None and number is not None and number > high:
            return False
        return not refused(value)

    return test


def _one_of(wanted: Any) -> Callable[[Any], bool]:
    several = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    texts = {as_text(value) for value in several}
    numbers = {n for v in several if isinstance(v, int | float) and (n := _number(v)) is not None}

    def test(value: Any) -> bool:
        return as_text(value) in texts or bool(numbers and _number(value) in numbers)

    return test


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Choice:
    """How rows become pairs; the options that all formats made of rows share.

    Attributes
    ----------
    id : str, optional
        Column of the ids. Default: the first of `IDS` that is there, else what the format knows.
    caption : str, optional
        A column, or a template over columns. Default: the first of `CAPTIONS` that is there.
    where : mapping, optional
        As `Where` takes it.
    captions : {"first", "all", "join"}
        Of an image with several captions: a pair with the first; a pair for each, under the ids
        ``<id>#0``, ``<id>#1``, …; or a pair with all in one.
    empty_caption : str
        Stands for a caption that is empty; if it is empty too, the row is skipped.
    """

    id: str | None = None
    caption: str | None = None
    where: Mapping[str, Any] | None = None
    captions: str = "first"
    empty_caption: str = ""
    template: Template | None = field(init=False, repr=False)
    filter: Where = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.captions not in SEVERAL:
            hint = did_you_mean(self.captions, SEVERAL)
            raise InputError(f"captions is '{self.captions}'{hint}")
        if self.caption is not None and not str(self.caption).strip():
            raise InputError("caption is empty; expected a column, or '{brand} {colour}'")
        object.__setattr__(self, "template", Template(self.caption) if self.caption else None)
        object.__setattr__(self, "filter", Where(self.where))

    @property
    def asked(self) -> dict[str, str]:
        """The columns that must be there, and which option names each."""
        of_caption = self.template.columns if self.template else ()
        named = dict.fromkeys(self.filter.columns, "where")
        named |= dict.fromkeys(of_caption, "caption")
        return named | ({self.id: "id"} if self.id else {})

    def settled(self, columns: Collection[str], source: str, what: str = "column") -> Choice:
        """Return the choice with its defaults chosen from the columns that are there.

        Raises
        ------
        InputError
            A column asked for is missing, or none can be taken for the caption.
        """
        for name, option in self.asked.items():
            require(name, columns, f"{source}: {option}", what)
        caption = self.caption or next((name for name in CAPTIONS if name in columns), None)
        if caption is None:
            raise InputError(
                f"{source}: no {what} that looks like a caption ({', '.join(CAPTIONS)}); name it "
                f"(caption), or combine several, such as '{{brand}} {{colour}}'; "
                f"{there_are(columns)}"
            )
        image_id = self.id or next((name for name in IDS if name in columns), None)
        return Choice(image_id, caption, self.where, self.captions, self.empty_caption)

    def texts(self, values: Values) -> list[str]:
        """Return the captions of a row's pairs; none if there is none and none stands for it."""
        assert self.template is not None
        found = self.template(values) or as_texts(self.empty_caption)
        if self.captions == "join":
            return [" ".join(found)] if found else []
        return found[:1] if self.captions == "first" else found

    @property
    def used(self) -> set[str]:
        """Columns that are id or caption as they stand, and so are no attributes."""
        own = {self.id} if self.id else set()
        if self.template and self.template.is_column:
            own.add(self.template.text)
        return own


def require(name: str, columns: Iterable[str], whose: str, what: str = "column") -> None:
    """Raise `InputError` that lists the columns there are if ``name`` is none of them."""
    known = list(columns)
    if name not in known:
        close = did_you_mean(name, known)
        hint = close if close.startswith(" ") else ""
        raise InputError(
            f"{whose} names the {what} '{name}', which does not exist{hint}; {there_are(known)}"
        )


def there_are(columns: Iterable[str]) -> str:
    """Return columns in words."""
    known = sorted(columns)
    more = f", and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"there are: {', '.join(known[:LISTED])}{more}" if known else "there are none"


def numbered(image_id: str, captions: Sequence[str], several: str) -> list[str]:
    """Return the ids of an image's pairs."""
    if several != "all":
        return [image_id]
    return [f"{image_id}#{number}" for number in range(len(captions))]

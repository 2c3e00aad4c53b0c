"""What the judge is asked for: article names as they are, colours as people tell them apart.

Sellers name colours finely, and not alike: of a thumbnail nobody can say whether it is "Maroon" or
"Burgundy". The eleven basic colour terms are those that speakers of English agree on (B. Berlin and
P. Kay, 1969, *Basic Color Terms*). A name is put to the term that it is a shade of in the
dictionary's definition ("maroon: a dark brownish red"); a metal to the colour of its surface.
"""

from __future__ import annotations

from collections.abc import Iterable

TERMS: dict[str, tuple[str, ...]] = {
    "black": (),
    "white": ("off white", "cream", "ivory"),
    "grey": ("gray", "grey melange", "charcoal", "silver", "steel", "metallic"),
    "red": ("maroon", "burgundy"),
    "green": ("olive", "sea green", "lime green", "fluorescent green", "teal"),
    "yellow": ("gold", "mustard"),
    "blue": ("navy blue", "navy", "turquoise blue", "turquoise"),
    "brown": (
        *("beige", "tan", "khaki", "skin", "nude", "taupe", "mushroom brown", "coffee brown"),
        *("bronze", "copper", "rust"),
    ),
    "orange": ("peach",),
    "pink": ("magenta", "rose"),
    "purple": ("lavender", "mauve"),
}
"""Each basic colour term with the names that are shades of it, in lower case."""

NO_COLOUR = ("", "na", "nan", "none", "multi", "multicolour", "multicolor", "assorted")
"""What says that there is no single colour, in lower case: nothing to be judged."""

_TERM_OF = {name: term for term, names in TERMS.items() for name in (term, *names)}


def colour_terms(names: Iterable[str]) -> list[str]:
    """Return the basic term of each colour name; "" where there is no single colour.

    A name that is not in the table stays as it is.

    Examples
    --------
    >>> colour_terms(["Navy Blue", "Maroon", "Multi", "Chartreuse"])
    ['blue', 'red', '', 'Chartreuse']
    """
    return ["" if (n := _plain(name)) in NO_COLOUR else _TERM_OF.get(n, name) for name in names]


def article_names(names: Iterable[str]) -> list[str]:
    """Return article names as they are; "" where there is none.

    Examples
    --------
    >>> article_names(["Shirts", "nan"])
    ['Shirts', '']
    """
    return ["" if _plain(name) in ("", "na", "nan", "none") else name for name in names]


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())

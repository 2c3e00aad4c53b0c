"""The catalogue that untrain draws itself: product pictures on white, in families.

A family shares brand, article, colour, pattern and a motif (colour, shape and place together) that
no other family has; its pictures differ in pose and shade, its captions in season, year and usage.
Each part of a motif occurs in other families too, so a generator may put one together unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered.articles import ARTICLES
from untrain.catalogs.rendered.pictures import Family, pictures
from untrain.catalogs.rendered.shapes import (
    BRANDS,
    COLOURS,
    MOTIF_COLOURS,
    MOTIFS,
    PATTERNS,
    PLACES,
    Article,
)
from untrain.core.errors import InputError
from untrain.core.files import rng

SEASONS = ("Spring", "Summer", "Fall", "Winter")
YEARS = tuple(range(2011, 2017))
USAGES = ("Casual", "Formal", "Sports", "Party", "Travel")

COLUMNS = (
    *("family", "brand", "article", "colour", "pattern", "motif"),
    *("season", "year", "usage", "gender"),
)

MAX_FAMILIES = 240
MAX_SIZE = len(SEASONS) * len(YEARS) * len(USAGES) - 1  # one moment is kept for the prompt

_CONTRAST = 120.0  # least distance in RGB between a motif and what it lies on


def rendered(
    families: int = 200, size_of_family: int = 12, seed: int = 0, resolution: int = 64
) -> Catalog:
    """Draw the embedded catalogue; the same arguments give the same pictures and captions.

    Parameters
    ----------
    families : int
        1 to 240; every article and every colour occurs about equally often.
    size_of_family : int
        Pictures a family, 1 to 119.
    seed : int
        Which families there are, and every pose and shade.
    resolution : int
        Side of the square pictures in pixels, 16 to 256.

    Raises
    ------
    InputError
        If a number is out of its range.
    """
    _check("families", families, 1, MAX_FAMILIES)
    _check("size_of_family", size_of_family, 1, MAX_SIZE)
    _check("resolution", resolution, 16, 256)
    rows: list[dict[str, str]] = []
    files: list[bytes] = []
    for family in make_families(families, seed):
        moments = _moments(family.attributes)[1 : 1 + size_of_family]
        rows += [family.attributes | moment for moment in moments]
        files += pictures(family, size_of_family, seed, resolution)

    # Ids are dealt out at random, so that the order of the catalogue says nothing of families.
    order = rng("rendered", seed, "ids").permutation(len(files))
    ids = tuple(f"{number:06d}" for number in range(len(files)))
    encoded = {image_id: files[row] for image_id, row in zip(ids, order, strict=True)}
    attributes = pd.DataFrame([rows[row] for row in order], columns=list(COLUMNS))
    return Catalog(
        name=f"rendered-{families}x{size_of_family}-{seed}",
        ids=ids,
        captions=tuple(_caption(rows[row]) for row in order),
        hashes=tuple(hashlib.sha256(encoded[image_id]).hexdigest() for image_id in ids),
        read=encoded.__getitem__,
        attributes=attributes,
    )


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"rendered catalogue: {name} is {value}; choose {low} to {high}")


def family_prompt(catalog: Catalog, family: str) -> str:
    """Return a new caption for a family: its words with a season, year and usage it never had.

    Depends only on the family's shared words, so it is the same for any subset of the catalogue
    that holds one of the family's pictures; `InputError` if none is there.
    """
    table = catalog.attributes
    if "family" not in table:
        raise InputError(f"{catalog.name}: has no families; only the rendered catalogue has them")
    members = table.index[table["family"] == family]
    if not len(members):
        raise InputError(f"{catalog.name}: no picture of a family '{family}'")
    row = {str(key): str(value) for key, value in table.loc[members[0]].items()}
    return _caption(row | _moments(row)[0])


def _moments(row: dict[str, str]) -> list[dict[str, str]]:
    """Return every season, year and usage in the family's own order; the first is its prompt's."""
    every = list(product(SEASONS, YEARS, USAGES))
    words = [row[key] for key in ("brand", "article", "colour", "pattern", "motif")]
    order = rng("rendered", "moments", words).permutation(len(every))
    return [{"season": every[i][0], "year": str(every[i][1]), "usage": every[i][2]} for i in order]


@cache
def _kinds() -> dict[str, Article]:
    return {article.name: article for article in ARTICLES}


def _caption(row: dict[str, str]) -> str:
    """Put the words in the study's order."""
    article = _kinds()[row["article"]]
    return (
        f"{row['brand']} Adults-{row['gender']} {row['gender']} {row['colour']} {row['pattern']} "
        f"{row['motif']} Fashion {row['season']} {row['year']} {row['usage']} "
        f"{article.name} {article.master} {article.sub}"
    )


def make_families(count: int, seed: int) -> list[Family]:
    """Return ``count`` families, distinct in article, colour, pattern and brand and in motif.

    Fewer families of the same seed are the first of more.
    """

    def random(what: str) -> np.random.Generator:
        return rng("rendered", seed, "families", what)

    articles = [ARTICLES[i] for i in random("articles").permutation(len(ARTICLES))]
    colours = random("colours").permutation(list(COLOURS)).tolist()
    patterns = _dealt(PATTERNS, count, random("patterns"))
    brands = _dealt(tuple(BRANDS), count, random("brands"))
    motifs = list(product(MOTIF_COLOURS, MOTIFS, PLACES))
    free = [motifs[i] for i in random("motifs").permutation(len(motifs))]
    genders = random("genders")
    taken: set[tuple[str, ...]] = set()
    families = []
    for number in range(count):
        # Walking down diagonals of the article × colour table keeps both even at any count.
        lap, column = divmod(number, len(articles))
        article, colour = articles[column], colours[(column + lap) % len(colours)]
        brand, pattern = brands[number], patterns[number]
        while (article.name, colour, pattern, brand) in taken:
            brand = list(BRANDS)[(list(BRANDS).index(brand) + 1) % len(BRANDS)]
        taken.add((article.name, colour, pattern, brand))
        motif = next(motif for motif in free if _stands_out(motif[0], colour))
        free.remove(motif)
        gender = str(genders.choice(article.genders))
        families.append(Family(f"f{number:03d}", brand, gender, article, colour, pattern, *motif))
    return families


def _dealt(values: Sequence[str], count: int, random: np.random.Generator) -> list[str]:
    """Return ``count`` values in random order, each about equally often."""
    hands = [random.permutation(values) for _ in range(-(-count // len(values)))]
    return [str(value) for value in np.concatenate(hands)[:count]]


def _stands_out(motif_colour: str, colour: str) -> bool:
    inks = np.array(COLOURS[colour], float)
    return bool(np.linalg.norm(inks - MOTIF_COLOURS[motif_colour], axis=1).min() > _CONTRAST)

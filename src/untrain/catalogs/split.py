"""Parts of a catalogue: held-out pairs and random subsets, both stable under added data."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.catalogs.reading import natural_key
from untrain.core.errors import InputError
from untrain.core.files import fingerprint


def hold_out(catalog: Catalog, fraction: float, seed: int) -> tuple[Catalog, Catalog]:
    """Split into (train, held out); byte-identical copies stay on one side.

    A pair's side depends only on its id (for copies: the first id among them) and the seed, so
    that it stays where it is when other pairs come or go. The held-out share is therefore close
    to ``fraction``, not exactly it; either side has at least one image.

    Parameters
    ----------
    catalog : Catalog
        Two or more different images.
    fraction : float
        Expected share to hold out, in (0, 1).
    seed : int
        Another seed, another split.

    Raises
    ------
    InputError
        The fraction is out of range, or there is nothing to split.
    """
    if not 0 < fraction < 1:
        raise InputError(f"the held-out fraction is {fraction}; expected more than 0, less than 1")
    of = catalog.same_as  # the image whose draw counts for each
    first = np.flatnonzero(of == np.arange(len(of)))
    if len(first) < 2:
        raise InputError(f"{catalog.name} has {len(first)} different images; a split needs two")
    named = {catalog.index[g[0]]: min(g, key=natural_key) for g in catalog.duplicates()}
    draws = np.full(len(of), np.nan)
    for row, image_id in enumerate(catalog.ids):
        if of[row] == row:
            draws[row] = _uniform("hold-out", seed, named.get(row, image_id))
    out = draws < fraction
    out[np.nanargmin(draws)] = True
    out[np.nanargmax(draws)] = False
    held = out[of]
    train = catalog.rows(np.flatnonzero(~held), f"{catalog.name}, training part")
    return train, catalog.rows(np.flatnonzero(held), f"{catalog.name}, held-out part")


def subset(catalog: Catalog, size: int, seed: int, keep: Collection[str] = ()) -> Catalog:
    """Return ``size`` pairs: those in ``keep`` and a random draw of the others.

    Draws of one seed are nested: a smaller subset is part of every larger one.

    Raises
    ------
    InputError
        ``size`` is not between 1 (or the number kept) and the catalogue's, or an id is unknown.
    """
    kept = set(keep)
    unknown = kept - catalog.index.keys()
    if unknown:
        raise InputError(f"{catalog.name}: no image with id '{min(unknown)}' to keep")
    if not 1 <= size <= len(catalog):
        raise InputError(
            f"a subset of {size} of the {len(catalog)} images of {catalog.name}; "
            f"choose a size from 1 to {len(catalog)}"
        )
    if len(kept) > size:
        raise InputError(
            f"{len(kept)} images to keep, such as the text neighbours of prompts, do not fit into "
            f"a subset of {size}; enlarge it or keep fewer"
        )
    draws = np.array([-1 if i in kept else _uniform("subset", seed, i) for i in catalog.ids])
    chosen = np.argsort(draws, kind="stable")[:size]
    return catalog.rows(np.sort(chosen), f"{catalog.name}, {size} images")


def _uniform(purpose: str, seed: int, image_id: str) -> float:
    """Return a number in [0, 1) that depends only on the arguments."""
    return int(fingerprint(purpose, seed, image_id), 16) / 2**64

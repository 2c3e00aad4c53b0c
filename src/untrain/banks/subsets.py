"""Random parts of the training images, for a bank: drawn, told apart, refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import rng

FULL = "full"
MOST_DRAWS = 20  # for each part of a bank; enough to meet all there are, were there no more


@dataclass(frozen=True)
class Part:
    """A random part to be taken out: a share of the data and which draw of it; share 0 is none."""

    share: float
    index: int = 0

    @property
    def model_id(self) -> str:
        """Name of the model that is trained without it."""
        if not self.share:
            return FULL
        name = "half" if self.share == 0.5 else f"share-{self.share}"
        return f"{name}-{self.index:03d}"


def kept_without(part: Part, groups: np.ndarray, seed: int) -> np.ndarray:
    """Return which images remain when a part is taken out.

    A part is drawn on its own, so that it is the same in a bank of any size; uniformly among the
    subsets of its size. Images of a group leave together; where a group does not fit, the size is
    the nearest there is.

    Parameters
    ----------
    part : Part
    groups : ndarray of int, (images,)
        0 … number of groups − 1; equal for byte-identical images.
    seed : int

    Returns
    -------
    ndarray of bool, (images,)
    """
    if not part.share:
        return np.ones(len(groups), bool)
    sizes = np.bincount(groups)
    order = rng("part", seed, part.share, part.index).permutation(len(sizes))
    off = np.abs(np.cumsum(sizes[order]) - part.share * len(groups))
    count = min(int(off.argmin()) + 1, len(sizes) - 1)
    return ~np.isin(groups, order[:count])


def check(catalog: Catalog, models: int, shares: Sequence[float], seed: int) -> None:
    """Refuse a bank that cannot be."""
    if models < 2:
        raise InputError(
            f"a bank of {models}: expected at least 2 models; 64 (the default) give an LDS with a "
            "useful interval"
        )
    if not shares:
        raise InputError("a bank needs a share of the data to take out, such as 0.5; found none")
    distinct = len(set(catalog.hashes))
    for share in shares:
        if not 0 < share < 1:
            raise InputError(
                f"a share of {share}: expected a number between 0 and 1, such as 0.5 for models "
                "that are each trained without half of the data"
            )
        removed = round(share * len(catalog))
        if not 0 < removed < len(catalog) or distinct < 2:
            raise InputError(
                f"a share of {share} takes out {removed} of the {len(catalog)} training images "
                f"({distinct} of them different): expected at least one to leave and one to stay; "
                "choose a share nearer to 0.5"
            )
        different_parts(float(share), models, copy_groups(catalog), seed)


def copy_groups(catalog: Catalog) -> np.ndarray:
    """Return the number of each image's group; byte-identical images share one."""
    return pd.factorize(pd.Series(catalog.hashes))[0]


def different_parts(share: float, models: int, groups: np.ndarray, seed: int) -> list[Part]:
    """Return the first draws of a share of which no two are the same images.

    A draw that repeats an earlier one is passed over: its model would be that one's, counted twice.
    So it depends on earlier draws alone, and a bank that grows stays what it was.

    Raises
    ------
    InputError
        There are not so many different parts of this size.
    """
    drawn: dict[bytes, Part] = {}
    for index in range(MOST_DRAWS * models):
        part = Part(share, index)
        drawn.setdefault(kept_without(part, groups, seed).tobytes(), part)
        if len(drawn) == models:
            return list(drawn.values())
    raise InputError(
        f"a bank of {models} models without {share:g} of {len(groups)} training images: only "
        f"{len(drawn)} different parts of that size were found, and one model counted twice is no "
        f"evidence; ask for at most {len(drawn)} models, or choose a share nearer to 0.5"
    )


def wanted(
    known: pd.DataFrame, models: int, shares: Sequence[float], groups: np.ndarray, seed: int
) -> list[Part]:
    """Return the parts of the bank: those it has, in their order, then those that are new."""
    named = zip(known["model_id"], known["share"], strict=True)
    parts = [_part(model_id, float(share)) for model_id, share in named]
    for share in shares:
        parts += different_parts(float(share), models, groups, seed)
    if len({part.share for part in parts if part.share}) > 1:
        parts.append(Part(0.0))
    return list(dict.fromkeys(parts))


def _part(model_id: str, share: float) -> Part:
    return Part(share, int(model_id.rsplit("-", 1)[1]) if share else 0)

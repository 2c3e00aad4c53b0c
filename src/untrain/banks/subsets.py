"""Random subsets of the training images, for a bank: how they are drawn and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import rng

FULL = "full"
MOST_DRAWS = 20  # for each subset of a bank: enough to find all that exist, if there are few


@dataclass(frozen=True)
class RandomSubset:
    """A random subset of the images to be removed.

    Attributes
    ----------
    share : float
        Of the images; 0 for none of them.
    draw : int
        Which draw of this share.
    """

    share: float
    draw: int = 0

    @property
    def model_id(self) -> str:
        """Name of the model that is trained without it."""
        return f"subset-{self.share}-{self.draw:03d}" if self.share else FULL


def kept_without(subset: RandomSubset, groups: np.ndarray, seed: int) -> np.ndarray:
    """Return which images remain when a subset is removed.

    Each subset is drawn independently, so it is the same in a bank of any size, and uniformly
    among all of its size. Images of a group are removed together; where a group does not fit, the
    size is the nearest possible.

    Parameters
    ----------
    subset : RandomSubset
    groups : ndarray of int, (images,)
        0 … number of groups − 1; equal for byte-identical images.
    seed : int

    Returns
    -------
    ndarray of bool, (images,)
    """
    if not subset.share:
        return np.ones(len(groups), bool)
    sizes = np.bincount(groups)
    order = rng("part", seed, subset.share, subset.draw).permutation(len(sizes))
    off = np.abs(np.cumsum(sizes[order]) - subset.share * len(groups))
    count = min(int(off.argmin()) + 1, len(sizes) - 1)
    return ~np.isin(groups, order[:count])


def check_bank(catalog: Catalog, models: int, shares: Sequence[float], seed: int) -> None:
    """Raise `InputError` if a bank is impossible."""
    if models < 2:
        raise InputError(
            f"a bank of {models}: expected at least 2 models; 64 (the default) give an LDS with a "
            "useful interval"
        )
    if not shares:
        raise InputError("a bank needs a share of the data to remove, such as 0.5; found none")
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
                f"a share of {share} removes {removed} of the {len(catalog)} training images "
                f"({distinct} of them different): expected at least one removed and one kept; "
                "choose a share nearer to 0.5"
            )
        different_subsets(float(share), models, copy_groups(catalog), seed)


def copy_groups(catalog: Catalog) -> np.ndarray:
    """Return the number of each image's group; byte-identical images share one."""
    return pd.factorize(pd.Series(catalog.hashes))[0]


def different_subsets(
    share: float, models: int, groups: np.ndarray, seed: int
) -> list[RandomSubset]:
    """Return the first distinct draws of a share.

    A draw that repeats an earlier one is skipped, because the same model would be counted twice.
    That depends only on earlier draws, so the models of a bank stay the same as it grows.

    Raises
    ------
    InputError
        There are not so many different subsets of this size.
    """
    drawn: dict[bytes, RandomSubset] = {}
    for draw in range(MOST_DRAWS * models):
        subset = RandomSubset(share, draw)
        drawn.setdefault(kept_without(subset, groups, seed).tobytes(), subset)
        if len(drawn) == models:
            return list(drawn.values())
    raise InputError(
        f"a bank of {models} models without {share:g} of {len(groups)} training images: only "
        f"{len(drawn)} different subsets of that size were found, and counting a model twice adds "
        f"no evidence; ask for at most {len(drawn)} models, or choose a share nearer to 0.5"
    )


def requested_subsets(
    known: pd.DataFrame, models: int, shares: Sequence[float], groups: np.ndarray, seed: int
) -> list[RandomSubset]:
    """Return the subsets of a bank: those it has, in their order, then the new ones.

    Parameters
    ----------
    known : DataFrame
        The models that the bank has: columns share and draw.
    models : int
        How many of each share there should be.
    shares : sequence of float
    groups : ndarray of int, (images,)
    seed : int
    """
    had = zip(known["share"], known["draw"], strict=True)
    subsets = [RandomSubset(float(share), int(draw)) for share, draw in had]
    for share in shares:
        subsets += different_subsets(float(share), models, groups, seed)
    if len({subset.share for subset in subsets if subset.share}) > 1:
        subsets.append(RandomSubset(0.0))
    return list(dict.fromkeys(subsets))

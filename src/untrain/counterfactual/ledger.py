"""The ledger of the trial: which forget set holds which image, and the sets under construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.tables import FORGET_SETS
from untrain.core.vocabulary import Arm


@dataclass
class ForgetSet:
    """A forget set under construction; ``images`` holds (index in the catalogue, reason)."""

    id: str
    arm: str
    prompt_id: str | None
    draw: int
    k: int
    target: int
    images: list[tuple[int, str]] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """How many images are missing to its target; below 0 if copies made it larger."""
        return self.target - len(self.images)


@dataclass(frozen=True)
class CopyGroups:
    """Which images are copies of each other.

    Attributes
    ----------
    group_of : ndarray of int, shape (images,)
        The group of each image of the catalogue: of equal bytes, or of near copies.
    near : dict
        Index of a near copy → index of the image that it is a copy of, and how near it is.
    """

    group_of: np.ndarray
    near: dict[int, tuple[int, str]]

    @classmethod
    def of(cls, catalog: Catalog, copies: pd.DataFrame | None) -> CopyGroups:
        """Group images of equal bytes, and those of the groups in ``copies``."""
        content = pd.factorize(np.array(catalog.hashes, dtype=object))[0]
        if copies is None or copies.empty:
            return cls(content, {})
        index = pd.Series(indexes(catalog, copies["image_id"], "groups of copies hold"))
        first = index.groupby(copies["group"].to_numpy()).transform("first").to_numpy()
        merged = np.arange(len(catalog))
        merged[content[index]] = content[first]
        near = {}
        for row in copies[copies["kind"] == "near"].itertuples():
            detail = f"{row.hash_distance} of 64 hash bits, cosine {row.cosine:.3f}"
            near[catalog.index[str(row.image_id)]] = catalog.index[str(row.copy_of)], detail
        return cls(pd.factorize(merged[content])[0], near)

    def reason(self, catalog: Catalog, index: int, copy: int) -> str:
        """Say why ``copy`` is removed with image ``index`` of the same group."""
        name, hashes = catalog.ids[index], catalog.hashes
        if hashes[copy] == hashes[index]:
            return f"copy of {name}"
        for one, other in ((copy, index), (index, copy)):
            of, detail = self.near.get(one, (one, ""))
            if hashes[of] == hashes[other]:
                return f"near copy of {name} ({detail})"
        if copy not in self.near:  # the first of its group, which index is not a direct copy of
            return f"near copy of {name} (by way of {catalog.ids[self.near[index][0]]})"
        of, detail = self.near[copy]
        return f"near copy of {catalog.ids[of]} ({detail}), and so of {name}"


def indexes(catalog: Catalog, image_ids: pd.Series, holder: str) -> np.ndarray:
    """Return the index of each image in the catalogue.

    Raises
    ------
    InputError
        An image is not in the catalogue.
    """
    index = pd.Index(catalog.ids).get_indexer(pd.Index(image_ids))
    if (index < 0).any():
        stranger = image_ids.iloc[int(np.argmax(index < 0))]
        raise InputError(
            f"{holder} image '{stranger}', which is not in {catalog.name}; "
            "use those of the catalogue that images are removed from"
        )
    return index


class ForgetSetLedger:
    """Which forget set holds which image. Images are allocated as groups of copies.

    Attributes
    ----------
    sizes, members : of each group of copies its number of images, and their indexes
    owner : dict
        Group of copies → the prompt (or the arm, in words) whose set holds it.
    rankings : dict of str to DataFrame
        The ranking of each arm of images that a ranking puts first.
    sets : list of ForgetSet
    notes : list of Note
        What is unusual about them.
    """

    def __init__(
        self,
        catalog: Catalog,
        seed: int,
        ks: Sequence[int],
        draws: int = 1,
        user_ids: Sequence[str] = (),
        copies: pd.DataFrame | None = None,
        together: bool = False,
        families: dict[str, str] | None = None,
    ) -> None:
        self.catalog, self.seed, self.ks, self.draws = catalog, seed, ks, draws
        self.user_ids = list(dict.fromkeys(user_ids))
        self.together = together  # the sets of all prompts are removed together
        self.families = families or {}
        self.copies = CopyGroups.of(catalog, copies)
        self.group_of = self.copies.group_of
        self.sizes = np.bincount(self.group_of)
        order = np.argsort(self.group_of, kind="stable")
        self.members = np.split(order, np.cumsum(self.sizes)[:-1])
        self.owner: dict[int, str] = {}
        self._held: set[tuple[str, int]] = set()
        self.sets: list[ForgetSet] = []
        self.notes: list[Note] = []
        self.prompts: list[str] = []
        self.rankings: dict[str, pd.DataFrame] = {}
        self.candidates = pd.DataFrame()

    @property
    def ranking(self) -> pd.DataFrame:
        """The ranking of the arm targeted."""
        return self.rankings[Arm.TARGETED]

    def take_rankings(
        self,
        ranking: pd.DataFrame,
        retrieval: pd.DataFrame,
        further: Mapping[str, pd.DataFrame],
    ) -> None:
        """Take rankings and candidates of all prompts except those of the family arm.

        ``further`` are the rankings of arms beside ``targeted``, by arm.
        """
        self.prompts = [p for p in ranking["prompt_id"].unique() if p not in self.families]
        self.rankings = {Arm.TARGETED.value: self._queue(ranking)}
        self.rankings |= {arm: self._queue(table) for arm, table in further.items()}
        self.candidates = self._queue(retrieval)

    def _queue(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return place (number of the prompt), index, group and rank, checked."""
        index = indexes(self.catalog, frame["image_id"], "a ranking holds")
        place = pd.Index(self.prompts).get_indexer(pd.Index(frame["prompt_id"]))
        rank, group = frame["rank"].to_numpy(np.int64), self.group_of[index]
        table = pd.DataFrame({"place": place, "rank": rank, "index": index, "group": group})
        return table[table["place"] >= 0].reset_index(drop=True)

    def open(
        self, arm: str, prompt_id: str | None, k: int, target: int, draw: int = 0
    ) -> ForgetSet:
        """Open a forget set that is to hold ``target`` images."""
        suffix = f"/d{draw}" if self.draws > 1 and arm.startswith("random") else ""
        name = "/".join(part for part in (arm, prompt_id, f"k{k}") if part)
        opened = ForgetSet(f"{name}{suffix}", arm, prompt_id, draw, k, target)
        self.sets.append(opened)
        return opened

    def open_like_targeted(self, arm: str) -> dict[str, list[ForgetSet]]:
        """Open, for each prompt, sets of the sizes of its targeted ones; ``draws`` if random."""
        like = [s for s in self.sets if s.arm == Arm.TARGETED]
        opened: dict[str, list[ForgetSet]] = {p: [] for p in self.prompts}
        for draw in range(self.draws if arm.startswith("random") else 1):
            for one in like:
                made = self.open(arm, one.prompt_id, one.k, len(one.images), draw)
                opened[str(one.prompt_id)].append(made)
        return opened

    def is_taken(self, index: int) -> bool:
        """Tell whether a set holds this image, or a copy of it."""
        return int(self.group_of[index]) in self.owner

    def holds(self, arm: str, index: int) -> bool:
        """Tell whether a set of an arm holds this image, or a copy of it."""
        return (arm, int(self.group_of[index])) in self._held

    def take(self, into: ForgetSet, index: int, reason: str) -> None:
        """Give a forget set an image and all its copies."""
        group = int(self.group_of[index])
        self.owner[group] = into.prompt_id or f"the arm {into.arm}"
        self._held.add((into.arm, group))
        into.images.append((index, reason))
        others = (int(i) for i in self.members[group] if i != index)
        into.images += [(i, self.copies.reason(self.catalog, index, i)) for i in others]

    def finish(self, arms: Sequence[str]) -> pd.DataFrame:
        """Return the sets of ``arms``, one row per image, with the ranks of the images."""
        kept = [s for arm in arms for s in self.sets if s.arm == arm]
        units = shared_units(kept)
        self.notes += [
            Note(
                "forget-set-short",
                f"{s.id} holds {len(s.images)} of {s.target} images: no more are left for it",
                (s.id,),
            )
            for s in kept
            if s.remaining > 0
        ]
        rows = [(s, index, reason) for s in kept for index, reason in s.images]
        index = np.array([index for _, index, _ in rows], np.int64)
        table = pd.DataFrame(
            [
                (units.get(i, s.id), s.arm, s.prompt_id, s.draw, s.k, reason)
                for s, i, reason in rows
            ],
            columns=[*FORGET_SETS.names[:5], "reason"],
        ).assign(index=index, image_id=[self.catalog.ids[i] for i in index])
        table["place"] = pd.Index(self.prompts).get_indexer(pd.Index(table["prompt_id"]))
        table["by"] = table["arm"].where(table["arm"].isin(list(self.rankings)), Arm.TARGETED.value)
        found = []
        for arm, ranking in self.rankings.items():
            known = ranking[np.isin(ranking["index"], index)].assign(by=arm)
            known = known[["by", "place", "index", "rank"]]
            found.append(known.drop_duplicates(["place", "index"]))
        table = table.merge(pd.concat(found), how="left", on=["by", "place", "index"])
        return FORGET_SETS.conform(table.drop(columns=["index", "place", "by"]))


def shared_units(sets: Sequence[ForgetSet]) -> dict[int, str]:
    """Return, for images that several sets of a prompt hold, the forget set they are removed with.

    Two rankings of a prompt may want the same image, which can be removed only once. The smallest
    size at which any of them wants it decides: the images that the same sets of this size hold are
    removed together, as a forget set of their own (``targeted+targeted:dtrak/p03/k10``) if these
    sets are several.
    """
    holders: dict[int, list[ForgetSet]] = {}
    for one in sets:
        for index, _ in one.images:
            holders.setdefault(index, []).append(one)
    units = {}
    for index, several in holders.items():
        if len(several) > 1:
            smallest = min(one.k for one in several)
            first = [one for one in several if one.k == smallest]
            arms = "+".join(one.arm for one in first)
            units[index] = f"{arms}/{first[0].prompt_id}/k{smallest}"
    return units

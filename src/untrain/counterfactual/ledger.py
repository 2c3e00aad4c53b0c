"""The book of the trial: who holds which image, and the forget sets that are being made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError

COLUMNS = ["forget_set_id", "arm", "prompt_id", "draw", "k", "image_id", "rank", "reason"]


@dataclass
class Unit:
    """A forget set in the making; ``images`` holds (index, reason)."""

    id: str
    arm: str
    prompt_id: str
    draw: int
    k: int
    target: int
    images: list[tuple[int, str]] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.target - len(self.images)


class Book:
    """Who holds which image. Images are dealt as groups of copies."""

    def __init__(
        self,
        catalog: Catalog,
        seed: int,
        ks: Sequence[int],
        draws: int,
        user_ids: Sequence[str],
        copies: pd.DataFrame | None = None,
    ) -> None:
        self.catalog, self.seed, self.ks, self.draws = catalog, seed, ks, draws
        self.user_ids = list(dict.fromkeys(user_ids))
        self.near: dict[int, tuple[int, str]] = {}  # near copy → of which image, how near
        self.group_of = self._groups(copies)
        self.sizes = np.bincount(self.group_of)
        order = np.argsort(self.group_of, kind="stable")
        self.members = np.split(order, np.cumsum(self.sizes)[:-1])
        self.holder: dict[int, str] = {}  # of each group that was taken
        self.units: list[Unit] = []
        self.warnings: list[str] = []
        self.together = False  # the sets of all prompts leave together
        self.families: dict[str, str] = {}
        self.prompts: list[str] = []
        self.ranking = self.candidates = pd.DataFrame()

    def _groups(self, copies: pd.DataFrame | None) -> np.ndarray:
        """Return the group of each image: of equal bytes, and of the groups in ``copies``."""
        content = pd.factorize(np.array(self.catalog.hashes, dtype=object))[0]
        if copies is None or copies.empty:
            return content
        index = pd.Series(self._index_of(copies["image_id"], "groups of copies hold"))
        first = index.groupby(copies["group"].to_numpy()).transform("first").to_numpy()
        merged = np.arange(len(self.catalog))
        merged[content[index]] = content[first]
        for row in copies[copies["kind"] == "near"].itertuples():
            of = self.catalog.index[str(row.copy_of)]
            detail = f"{row.hash_distance} of 64 hash bits, cosine {row.cosine:.3f}"
            self.near[self.catalog.index[str(row.image_id)]] = of, detail
        return pd.factorize(merged[content])[0]

    def _index_of(self, image_ids: pd.Series, holder: str) -> np.ndarray:
        index = pd.Index(self.catalog.ids).get_indexer(pd.Index(image_ids))
        if (index < 0).any():
            stranger = image_ids.iloc[int(np.argmax(index < 0))]
            raise InputError(
                f"{holder} image '{stranger}', which is not in {self.catalog.name}; "
                "use those of the catalogue that images are removed from"
            )
        return index

    def table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return place (number of the prompt), index, group and rank, checked."""
        index = self._index_of(frame["image_id"], "a ranking holds")
        place = pd.Index(self.prompts).get_indexer(pd.Index(frame["prompt_id"]))
        rank, group = frame["rank"].to_numpy(np.int64), self.group_of[index]
        table = pd.DataFrame({"place": place, "rank": rank, "index": index, "group": group})
        return table[table["place"] >= 0].reset_index(drop=True)

    def open(self, arm: str, prompt_id: str, k: int, target: int, draw: int = 0) -> Unit:
        """Open a unit that is to hold ``target`` images."""
        suffix = f"/d{draw}" if self.draws > 1 and arm.startswith("random") else ""
        unit = Unit(f"{arm}/{prompt_id}/k{k}{suffix}", arm, prompt_id, draw, k, target)
        self.units.append(unit)
        return unit

    def open_like_targeted(self, arm: str) -> dict[str, list[Unit]]:
        """Open, for each prompt, units of the sizes of its targeted ones; ``draws`` if random."""
        like = [u for u in self.units if u.arm == "targeted"]
        opened: dict[str, list[Unit]] = {p: [] for p in self.prompts}
        for draw in range(self.draws if arm.startswith("random") else 1):
            for u in like:
                opened[u.prompt_id].append(self.open(arm, u.prompt_id, u.k, len(u.images), draw))
        return opened

    def take(self, unit: Unit, index: int, reason: str) -> None:
        """Give a unit an image and all its copies."""
        group = int(self.group_of[index])
        self.holder[group] = unit.prompt_id or f"the arm {unit.arm}"
        unit.images.append((index, reason))
        others = (int(i) for i in self.members[group] if i != index)
        unit.images += [(i, self._copy_of(index, i)) for i in others]

    def _copy_of(self, index: int, copy: int) -> str:
        """Say why ``copy`` leaves with image ``index``, of the same group."""
        name, hashes = self.catalog.ids[index], self.catalog.hashes
        if hashes[copy] == hashes[index]:
            return f"copy of {name}"
        for one, other in ((copy, index), (index, copy)):
            of, detail = self.near.get(one, (one, ""))
            if hashes[of] == hashes[other]:
                return f"near copy of {name} ({detail})"
        if copy not in self.near:  # the first of its group, which index is not a direct copy of
            return f"near copy of {name} (by way of {self.catalog.ids[self.near[index][0]]})"
        of, detail = self.near[copy]
        return f"near copy of {self.catalog.ids[of]} ({detail}), and so of {name}"

    def finish(self, arms: Sequence[str]) -> pd.DataFrame:
        """Return the units of ``arms`` as a table, with the ranks of their images."""
        units = [u for arm in arms for u in self.units if u.arm == arm]
        rows = [(u, index, reason) for u in units for index, reason in u.images]
        self.warnings += [
            f"{u.id} holds {len(u.images)} of {u.target} images: no more are left for it"
            for u in units
            if u.room > 0
        ]
        index = np.array([index for _, index, _ in rows], np.int64)
        sets = pd.DataFrame(
            [(u.id, u.arm, u.prompt_id, u.draw, u.k, reason) for u, _, reason in rows],
            columns=[*COLUMNS[:5], "reason"],
        ).assign(index=index, image_id=[self.catalog.ids[i] for i in index])
        sets["place"] = pd.Index(self.prompts).get_indexer(pd.Index(sets["prompt_id"]))
        known = self.ranking[np.isin(self.ranking["index"], index)]
        known = known[["place", "index", "rank"]].drop_duplicates(["place", "index"])
        sets = sets.merge(known, how="left", on=["place", "index"])
        return sets.assign(rank=sets["rank"].astype("Int64"))[COLUMNS]

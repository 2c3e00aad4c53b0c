"""Which groups leave together: random sets of groups at several shares, and their complements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.evaluation.shares import PER_GROUP as LEAST_PER_GROUP
from untrain.evaluation.shares import Game, least_models

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
PER_SHARE = 16  # models, unless there are many groups
PER_GROUP = 4  # models for each group, over all shares, unless another number is asked for
ROW = 10  # draws that are balanced together
MOST_DRAWS = 50  # for each set of a share: enough to find nearly all, where there are few


@dataclass(frozen=True)
class GroupDraw:
    """A random set of groups to leave out.

    Attributes
    ----------
    share : float
        The chance of each group to leave.
    draw : int
        Which draw of this share.
    """

    share: float
    draw: int

    @property
    def model_id(self) -> str:
        """Name of the model that is trained without them."""
        return f"groups-{self.share:g}-{self.draw:03d}"

    def kept(self, groups: int, seed: int) -> np.ndarray:
        """Return which groups stay, bool (groups,): at least one, and not all.

        Each group leaves by itself with the chance ``share``; none or all leaving is drawn again.
        Of ten draws in a row a group is missing from as many as the share says (Latin hypercube).
        Draws of shares p and 1 − p with one number are complements (antithetic: what two groups do
        together cancels out), and at one half those of numbers 2i and 2i + 1.
        """
        share, number, turned = round(self.share, 9), self.draw, self.share > 0.5
        if share == 0.5:
            number, turned = self.draw // 2, bool(self.draw % 2)
        elif turned:
            share = round(1 - share, 9)
        row, place = divmod(number, ROW)
        source = rng("groups", seed, share, row)
        parts = np.argsort(source.random((groups, ROW)), axis=1)
        stay = (parts[:, place] + source.random((groups, ROW))[:, place]) / ROW >= share
        again = rng("groups", seed, share, row, place)
        while stay.all() or not stay.any():
            stay = again.random(groups) >= share
        return ~stay if turned else stay


def default_models(groups: int, shares: Sequence[float]) -> int:
    """Return how many models of each share to train where nobody says."""
    return max(PER_SHARE, math.ceil(PER_GROUP * groups / len(shares)))


def draw_sets(
    groups: int,
    models: int,
    shares: Sequence[float],
    seed: int,
    known: Sequence[GroupDraw] = (),
) -> tuple[list[GroupDraw], np.ndarray]:
    """Return different sets of groups to leave out: those that are known, then new ones.

    No set comes twice, whatever the shares, so a bank of few groups may hold fewer than asked for:
    in the end all there are. The sets of a bank are the first ones of a larger bank.

    Parameters
    ----------
    groups : int
    models : int
        How many of each share.
    shares : sequence of float
        Each in (0, 1).
    seed : int
    known : sequence of GroupDraw
        Those that the bank has.

    Returns
    -------
    list of GroupDraw, ndarray of bool (sets, groups)

    Raises
    ------
    InputError
        A share is impossible, or there would be too few models to tell the groups apart.
    """
    _check(models, shares)
    found: dict[bytes, GroupDraw] = {}
    for draw in known:
        found.setdefault(draw.kept(groups, seed).tobytes(), draw)
    had = {share: sum(draw.share == share for draw in found.values()) for share in shares}
    reached = dict.fromkeys(shares, 0)
    for _ in range(models):
        for share in shares:
            had[share] -= 1
            if had[share] >= 0:
                continue
            for number in range(reached[share], MOST_DRAWS * models):
                draw = GroupDraw(share, number)
                row = draw.kept(groups, seed).tobytes()
                reached[share] = number + 1
                if row not in found:
                    found[row] = draw
                    break
    kept = np.array([np.frombuffer(row, bool) for row in found]).reshape(-1, groups)
    _enough(kept, groups, models, shares)
    return list(found.values()), kept


def _check(models: int, shares: Sequence[float]) -> None:
    if models < 1:
        raise InputError(f"{models} models of each share: expected at least 1")
    if not shares or len(set(shares)) < len(shares):
        raise InputError("the bank needs different shares of the groups to leave, such as 0.5")
    for share in shares:
        if not 0 < share < 1:
            raise InputError(f"a share of {share}: expected a number between 0 and 1, such as 0.5")


def _enough(kept: np.ndarray, groups: int, models: int, shares: Sequence[float]) -> None:
    """Raise `InputError` with the number that it takes, if there are too few models."""
    needed = least_models(groups)
    each = max(math.ceil(needed / len(shares)), models + 1)
    if len(kept) < needed:
        raise InputError(
            f"{len(kept)} models are too few for {groups} groups: it takes at least "
            f"{LEAST_PER_GROUP} × {groups} = {LEAST_PER_GROUP * groups} (or all 2ⁿ − 2 sets), "
            f"better {PER_GROUP} × {groups} = {PER_GROUP * groups}; ask for --models {each} or "
            f"more of each of the {len(shares)} shares, or pool small groups with --least"
        )
    nothing = np.zeros((len(kept), 1))
    Game(kept, nothing, nothing[0], nothing[0])  # says so if it cannot tell them apart

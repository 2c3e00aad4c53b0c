"""Forget sets: which images leave together, for which prompt, in which arm, and why.

Forget sets are the units of the trial, so they are pairwise disjoint, copies leave together, and
controls are as large as what they control for.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import rng
from untrain.core.registry import Registry
from untrain.counterfactual.ledger import Book, Unit

ALONE = {"family", "ids"}  # arms whose sets are made for no prompt that is asked about


def build_forget_sets(
    ranking: pd.DataFrame,
    retrieval: pd.DataFrame,
    catalog: Catalog,
    arms: Sequence[str],
    ks: Sequence[int],
    seed: int,
    families: Mapping[str, str] | None = None,
    user_ids: Sequence[str] = (),
    draws: int = 1,
    copies: pd.DataFrame | None = None,
    together: bool = False,
) -> pd.DataFrame:
    r"""Return the disjoint forget sets of all arms and prompts, one row an image.

    Arms: ``targeted`` (top K of the ranking), ``random_uniform`` (K of the whole catalogue),
    ``random_candidate`` (K of the prompt's retrieved candidates outside its targeted set),
    ``least_similar`` (bottom K of the ranking), ``family`` (all images of the prompt's true
    family) and ``ids`` (a user's list, for no prompt).

    **Overlaps.** The ids and family arms take their images first. An image that several prompts
    want in their targeted sets goes to the prompt that ranks it highest (ties: the prompt that
    comes first in ``ranking``), and the others continue down their rankings, so that sizes stay
    equal; least_similar likewise from the bottom. Random arms come last, in the order
    random_candidate, random_uniform, and draw from what nobody holds; the targeted sets are set
    aside for this even if their arm is not asked for.

    **Copies.** Byte-identical images, and those of a group in ``copies``, leave together and all
    count toward K, so that no copy of what left stays, nor a copy of a copy; ``reason`` says of
    which image they are copies. A targeted set that
    ends within such a group takes it whole and is larger than K by the rest of it. Random and
    least_similar sets match the size of their prompt's targeted set, copies included.

    **Nested K.** Units are increments: with ``ks = [10, 100]`` the unit ``targeted/p03/k10`` holds
    ranks 1–10 and ``targeted/p03/k100`` holds ranks 11–100, assigned independently. The effect of
    the whole top 100 is the sum of the two main effects, exactly and without assuming that effects
    add up. Let Y(a, b) be the mean outcome with the first increment out if a and the second out if
    b. Each is out in a random half, independently, so the main effects are

        m₁ = ½[Y(1,0) − Y(0,0)] + ½[Y(1,1) − Y(0,1)]
        m₂ = ½[Y(0,1) − Y(0,0)] + ½[Y(1,1) − Y(1,0)]

    and m₁ + m₂ = Y(1,1) − Y(0,0): both out minus both in. (m₁ by itself is the effect of the top
    10 averaged over ranks 11–100 being in or out. With three increments the sum leaves out the
    three-way interaction alone.)

    Parameters
    ----------
    ranking : DataFrame
        prompt_id, image_id, rank of one method; rank 1 is the most similar.
    retrieval : DataFrame
        prompt_id, image_id, rank, score: the candidates of each prompt.
    catalog : Catalog
        What is removed from.
    arms : sequence of str
        Names of arms.
    ks : sequence of int
        Sizes of the nested sets, each at least 1.
    seed : int
        Seed of the random arms.
    families : mapping from prompt_id to family, optional
        The control prompts of the family arm (``catalog.attributes["family"]``); where that arm is
        asked for they get no other. The k of this arm is the size of its largest family.
    user_ids : sequence of str
        The list of the ids arm, whose k is its size with copies.
    draws : int
        Number of sets a prompt in each random arm, disjoint like all others.
    copies : DataFrame, optional
        Groups of near copies in the catalogue, as `untrain.search.duplicates.duplicate_groups`
        gives them; without it copies are byte-identical.
    together : bool
        Join the sets of all prompts, of one arm, size and draw, into one forget set
        (`joined`); family sets stay each its own.

    Returns
    -------
    DataFrame
        forget_set_id (``arm/prompt/k10``; ``/d0`` is added in random arms with several draws), arm,
        prompt_id, draw, k, image_id, rank (by the ranking; missing if it has none) and reason.
        ``attrs["warnings"]`` lists sets that are short or that mostly went to other prompts.

    Raises
    ------
    InputError
        If an arm, family or id is unknown, a K is below 1, or more is to be removed than there is.
    """
    for arm in arms:
        ARMS[arm]
    ks = sorted(set(ks))
    if not ks or ks[0] < 1 or draws < 1:
        raise InputError(f"k = {ks}, draws = {draws}: every size must be at least 1")
    book = Book(catalog, seed, ks, draws, user_ids, copies)
    book.together = together
    book.families = dict(families or {}) if "family" in arms else {}
    book.prompts = [p for p in ranking["prompt_id"].unique() if p not in book.families]
    book.ranking, book.candidates = book.table(ranking), book.table(retrieval)
    _check_size(book, arms)
    for arm in ARMS:
        if arm in arms or arm == "targeted":
            ARMS[arm](book)
    sets = book.finish([arm for arm in ARMS if arm in arms])
    sets = joined(sets) if together else sets
    sets.attrs["warnings"] = book.warnings
    return sets


def joined(sets: pd.DataFrame) -> pd.DataFrame:
    """Join the sets of all prompts, of one arm, size and draw: ``targeted/all/k10``.

    Each image keeps the prompt that it was taken for. The families of control prompts stay sets of
    their own, being positive controls, and a user's list is one set already.
    """
    names = zip(sets["forget_set_id"], sets["arm"], sets["prompt_id"], strict=True)
    ids = [
        name if arm in ALONE else f"{arm}/all{name.removeprefix(f'{arm}/{prompt_id}')}"
        for name, arm, prompt_id in names
    ]
    return sets.assign(forget_set_id=ids)


def sets_per_prompt(arms: Iterable[str], draws: int) -> int:
    """Return how many disjoint sets of the largest K each prompt gets in all arms together."""
    own = set(arms) - ALONE
    return sum(draws if arm.startswith("random") else 1 for arm in own)


def _check_size(book: Book, arms: Sequence[str]) -> None:
    """Refuse to remove more than there is, before anything is dealt."""
    per_prompt = sets_per_prompt(arms, book.draws)
    asked = per_prompt * len(book.prompts) * book.ks[-1]
    asked += len(book.user_ids) if "ids" in arms else 0
    asked += sum(int((_families(book) == f).sum()) for f in set(book.families.values()))
    if asked > len(book.catalog):
        raise InputError(
            f"{asked} images are to be removed ({len(book.prompts)} prompts × {book.ks[-1]} × "
            f"{per_prompt} sets, families and ids), but {book.catalog.name} has "
            f"{len(book.catalog)}; use a smaller k, fewer prompts or fewer arms"
        )


def _deal(
    book: Book, queue: pd.DataFrame, units: dict[str, list[Unit]]
) -> Iterator[tuple[Unit, int, int, str]]:
    """Offer images to prompts in the order of ``priority``, ties in the order of prompts.

    Yields unit, index, rank and the holder ("" if the image is free) until all units are full, one
    after the other. Who comes first in this order gets the image: nobody who ranks it higher can
    still want it, which makes the outcome the stable matching of prompts and images.
    """
    waiting = [[u for u in units[p] if u.room > 0] for p in book.prompts]
    order = np.lexsort((queue["place"].to_numpy(), queue["priority"].to_numpy()))
    for start in range(0, len(order), 10_000):  # most of a long ranking is never looked at
        if not any(waiting):
            return
        rows = queue.iloc[order[start : start + 10_000]]
        columns = [rows[name].tolist() for name in ("place", "index", "rank", "group")]
        for place, index, rank, group in zip(*columns, strict=True):
            left = waiting[place]
            if left:
                yield left[0], index, rank, book.holder.get(group, "")
                while left and left[0].room <= 0:
                    left.pop(0)


def _families(book: Book) -> np.ndarray:
    if not book.families or "family" not in book.catalog.attributes:
        raise InputError(
            f"the arm family needs control prompts and a catalogue that knows families; there are "
            f"{len(book.families)} such prompts and {book.catalog.name} has the attributes "
            f"{list(book.catalog.attributes.columns)}; use the rendered catalogue or drop the arm"
        )
    return book.catalog.attributes["family"].astype(str).to_numpy()


def _close(name: str, known: Iterable[str]) -> str:
    """Suggest a known name, but do not list thousands of them."""
    hint = did_you_mean(name, set(known))
    return hint if hint.startswith(" —") else ""


def _ids(book: Book) -> None:
    """Take the user's list, with its copies, as one unit."""
    known = book.catalog.index
    if not book.user_ids:
        raise InputError("the arm ids needs a list of image ids and got none; give ids or drop it")
    for image_id in book.user_ids:
        if image_id not in known:
            raise InputError(
                f"id '{image_id}' of the list is not in {book.catalog.name}"
                f"{_close(image_id, known)}; correct the list"
            )
    groups = dict.fromkeys(int(book.group_of[known[i]]) for i in book.user_ids)
    size = sum(int(book.sizes[group]) for group in groups)
    unit = book.open("ids", "", size, size)
    for image_id in book.user_ids:
        if int(book.group_of[known[image_id]]) not in book.holder:
            book.take(unit, known[image_id], "listed")


def _family(book: Book) -> None:
    """Take all images of each control prompt's true family."""
    column = _families(book)
    rows = {f: np.flatnonzero(column == f) for f in book.families.values()}
    k = max(len(of_family) for of_family in rows.values())
    owners: dict[str, str] = {}
    for prompt_id, family in book.families.items():
        if not len(rows[family]):
            raise InputError(
                f"prompt {prompt_id}: no image is of family '{family}'{_close(family, column)}; "
                "use a value of the attribute family"
            )
        if family in owners:
            raise InputError(
                f"prompts {owners[family]} and {prompt_id} share the family '{family}', but forget "
                "sets must be disjoint; give each control prompt a family of its own"
            )
        owners[family] = prompt_id
        unit = book.open("family", prompt_id, k, len(rows[family]))
        for index in rows[family]:
            if int(book.group_of[index]) not in book.holder:
                book.take(unit, int(index), f"family {family}")


def _targeted(book: Book) -> None:
    """Take the top K of each ranking; whoever ranks an image higher gets it."""
    sizes = np.diff([0, *book.ks])
    units = {
        p: [book.open("targeted", p, k, int(n)) for k, n in zip(book.ks, sizes, strict=True)]
        for p in book.prompts
    }
    lost: dict[str, deque[tuple[int, str]]] = {p: deque() for p in book.prompts}
    displaced: Counter[str] = Counter()
    queue = book.ranking.assign(priority=book.ranking["rank"])
    for unit, index, rank, holder in _deal(book, queue, units):
        losses = lost[unit.prompt_id]
        if holder:
            if holder != unit.prompt_id:  # else a copy of an image that it holds
                losses.append((rank, holder))
                gone = book.together and holder in units  # it leaves with this set all the same
                displaced[unit.id] += rank <= unit.k and not gone
            continue
        reason = f"rank {rank}"
        if rank > unit.k and losses:
            reason += " (rank {} went to {})".format(*losses.popleft())
        book.take(unit, index, reason)
        if unit.room < 0:  # copies of its last image; nested sets count them all
            later = [u for u in units[unit.prompt_id] if u.k > unit.k]
            if later:
                later[0].target = max(0, later[0].target + unit.room)
    for unit in (u for of_prompt in units.values() for u in of_prompt):
        if 2 * displaced[unit.id] > unit.target:
            book.warnings.append(
                f"{unit.id}: {displaced[unit.id]} of its {unit.target} images went to other sets; "
                "it stands for lower ranks, so use less similar prompts or a smaller k"
            )


def _deal_exactly(book: Book, arm: str, queue: pd.DataFrame, reason: str) -> None:
    """Fill units as large as the targeted ones; a group of copies that does not fit is passed."""
    for unit, index, rank, holder in _deal(book, queue, book.open_like_targeted(arm)):
        if not holder and book.sizes[book.group_of[index]] <= unit.room:
            book.take(unit, index, reason.format(rank=rank))


def _least_similar(book: Book) -> None:
    """Take the bottom K of each ranking."""
    bottom = book.ranking.groupby("place")["rank"].transform("max")
    queue = book.ranking.assign(priority=bottom - book.ranking["rank"])
    _deal_exactly(book, "least_similar", queue, "rank {rank}")


def _random_candidate(book: Book) -> None:
    """Draw from what was retrieved for the prompt and is not held by any set."""
    priority = np.empty(len(book.candidates), np.int64)
    rows_of = book.candidates.groupby("place").indices
    for place, prompt_id in enumerate(book.prompts):
        rows = rows_of.get(place, np.empty(0, np.int64))
        generator = rng("random_candidate", book.seed, prompt_id)
        priority[rows] = generator.permutation(len(rows))
    _deal_exactly(book, "random_candidate", book.candidates.assign(priority=priority), "random")


def _random_uniform(book: Book) -> None:
    """Draw from the whole catalogue what is not held by any set."""
    order = rng("random_uniform", book.seed).permutation(len(book.members))
    pool = deque(int(group) for group in order if int(group) not in book.holder)
    for unit in (u for units in book.open_like_targeted("random_uniform").values() for u in units):
        passed = []
        while pool and unit.room > 0:
            group = pool.popleft()
            if book.sizes[group] <= unit.room:
                book.take(unit, int(book.members[group][0]), "random")
            else:
                passed.append(group)
        pool.extendleft(reversed(passed))


Arm = Callable[[Book], None]
ARMS: Registry[Arm] = Registry(  # in the order in which they take their images
    "arm",
    {
        "ids": _ids,
        "family": _family,
        "targeted": _targeted,
        "least_similar": _least_similar,
        "random_candidate": _random_candidate,
        "random_uniform": _random_uniform,
    },
)

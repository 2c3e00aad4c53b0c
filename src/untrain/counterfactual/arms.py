"""Arms: how the images of forget sets are chosen, one function per arm.

An arm takes its images from the ledger. The order of `ARMS` is the order in which arms take them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import rng
from untrain.core.notes import Note
from untrain.core.registry import Registry
from untrain.core.vocabulary import Arm
from untrain.counterfactual.ledger import ForgetSet, ForgetSetLedger

NAMED = 3  # sets that are named one by one
_CHUNK = 10_000  # rows of a ranking read at a time: most rows of a long one are never read


def families_of(ledger: ForgetSetLedger) -> np.ndarray:
    """Return the family of each image of the catalogue.

    Raises
    ------
    InputError
        There are no control prompts, or the catalogue has no families.
    """
    catalog = ledger.catalog
    if not ledger.families or "family" not in catalog.attributes:
        raise InputError(
            f"the arm family needs control prompts and a catalogue with families; there are "
            f"{len(ledger.families)} such prompts and {catalog.name} has the attributes "
            f"{list(catalog.attributes.columns)}; use the rendered catalogue or drop the arm"
        )
    return catalog.attributes["family"].astype(str).to_numpy()


def _ids(ledger: ForgetSetLedger) -> None:
    """Take the user's list, with its copies, as one set."""
    known = ledger.catalog.index
    if not ledger.user_ids:
        raise InputError("the arm ids needs a list of image ids and got none; give ids or drop it")
    for image_id in ledger.user_ids:
        if image_id not in known:
            raise InputError(
                f"id '{image_id}' of the list is not in {ledger.catalog.name}"
                f"{_close(image_id, known)}; correct the list"
            )
    groups = dict.fromkeys(int(ledger.group_of[known[i]]) for i in ledger.user_ids)
    size = sum(int(ledger.sizes[group]) for group in groups)
    listed = ledger.open(Arm.IDS, None, size, size)
    for image_id in ledger.user_ids:
        if not ledger.is_taken(known[image_id]):
            ledger.take(listed, known[image_id], "listed")


def _family(ledger: ForgetSetLedger) -> None:
    """Take all images of each control prompt's true family."""
    column = families_of(ledger)
    rows = {f: np.flatnonzero(column == f) for f in ledger.families.values()}
    k = max(len(of_family) for of_family in rows.values())
    owners: dict[str, str] = {}
    for prompt_id, family in ledger.families.items():
        if not len(rows[family]):
            raise InputError(
                f"prompt {prompt_id}: no image is of family '{family}'{_close(family, column)}; "
                "use a value of the attribute family"
            )
        if family in owners:
            raise InputError(
                f"prompts {owners[family]} and {prompt_id} share the family '{family}', but forget "
                "sets must be disjoint; give each control prompt its own family"
            )
        owners[family] = prompt_id
        whole = ledger.open(Arm.FAMILY, prompt_id, k, len(rows[family]))
        for index in rows[family]:
            if not ledger.is_taken(int(index)):
                ledger.take(whole, int(index), f"family {family}")


def _close(name: str, known: Iterable[str]) -> str:
    """Suggest a known name, but do not list thousands of them."""
    hint = did_you_mean(name, set(known))
    return hint if hint.startswith(" —") else ""


def _targeted(ledger: ForgetSetLedger) -> None:
    """Take the top K of each ranking; whoever ranks an image higher gets it.

    Several rankings of one prompt do not take images from each other: their sets share them.
    """
    sizes = [int(size) for size in np.diff([0, *ledger.ks])]
    nested = list(zip(ledger.ks, sizes, strict=True))
    takers = [(arm, p) for arm in ledger.rankings for p in ledger.prompts]
    sets = {(arm, p): [ledger.open(arm, p, k, n) for k, n in nested] for arm, p in takers}
    lost: dict[tuple[str, str], deque[tuple[int, str]]] = {taker: deque() for taker in takers}
    displaced: Counter[str] = Counter()
    tables = enumerate(ledger.rankings.values())
    queue = pd.concat(
        [
            table.assign(priority=table["rank"], place=table["place"] + n * len(ledger.prompts))
            for n, table in tables
        ],
        ignore_index=True,
    )
    for into, index, rank, owner in _allocate(ledger, queue, list(sets.values())):
        taker = (into.arm, str(into.prompt_id))
        if owner is not None and (owner != into.prompt_id or ledger.holds(into.arm, index)):
            if owner != into.prompt_id:  # else a copy of an image that it holds
                lost[taker].append((rank, owner))
                gone = ledger.together and owner in ledger.prompts  # it is removed with this set
                displaced[into.id] += rank <= into.k and not gone
            continue
        reason = f"rank {rank}"
        if rank > into.k and lost[taker]:
            reason += " (rank {} went to {})".format(*lost[taker].popleft())
        ledger.take(into, index, reason)
        if into.remaining < 0:  # copies of its last image; nested sets count them all
            later = [s for s in sets[taker] if s.k > into.k]
            if later:
                later[0].target = max(0, later[0].target + into.remaining)
    ledger.notes += _displaced(displaced, [s for of_taker in sets.values() for s in of_taker])


def _displaced(displaced: Counter[str], sets: list[ForgetSet]) -> list[Note]:
    """Return a note on each set most of whose images went to others, on many sets a single one."""
    code, remedy = "forget-set-displaced", "so use less similar prompts or a smaller k"
    found = [s for s in sets if 2 * displaced[s.id] > s.target]
    if len(found) <= NAMED:
        return [
            Note(
                code,
                f"{s.id}: {displaced[s.id]} of its {s.target} images went to other sets; "
                f"it holds lower ranks instead, {remedy}",
                (s.id,),
            )
            for s in found
        ]
    ids = [s.id for s in found]
    text = (
        f"most images of {len(ids)} of {len(sets)} sets ({', '.join(ids[:NAMED])}, …) went to "
        f"other sets; they hold lower ranks instead, {remedy}"
    )
    return [Note(code, text, tuple(ids))]


def _least_similar(ledger: ForgetSetLedger) -> None:
    """Take the bottom K of each ranking."""
    bottom = ledger.ranking.groupby("place")["rank"].transform("max")
    queue = ledger.ranking.assign(priority=bottom - ledger.ranking["rank"])
    _allocate_exactly(ledger, Arm.LEAST_SIMILAR, queue, "rank {rank}")


def _random_candidate(ledger: ForgetSetLedger) -> None:
    """Draw from the images retrieved for the prompt that no set holds."""
    priority = np.empty(len(ledger.candidates), np.int64)
    rows_of = ledger.candidates.groupby("place").indices
    for place, prompt_id in enumerate(ledger.prompts):
        rows = rows_of.get(place, np.empty(0, np.int64))
        generator = rng("random_candidate", ledger.seed, prompt_id)
        priority[rows] = generator.permutation(len(rows))
    queue = ledger.candidates.assign(priority=priority)
    _allocate_exactly(ledger, Arm.RANDOM_CANDIDATE, queue, "random")


def _random_uniform(ledger: ForgetSetLedger) -> None:
    """Draw from the images of the whole catalogue that no set holds."""
    order = rng("random_uniform", ledger.seed).permutation(len(ledger.members))
    pool = deque(int(group) for group in order if int(group) not in ledger.owner)
    for sets in ledger.open_like_targeted(Arm.RANDOM_UNIFORM).values():
        for into in sets:
            passed = []
            while pool and into.remaining > 0:
                group = pool.popleft()
                if ledger.sizes[group] <= into.remaining:
                    ledger.take(into, int(ledger.members[group][0]), "random")
                else:
                    passed.append(group)
            pool.extendleft(reversed(passed))


def _allocate(
    ledger: ForgetSetLedger, queue: pd.DataFrame, sets: Sequence[list[ForgetSet]]
) -> Iterator[tuple[ForgetSet, int, int, str | None]]:
    """Offer images to takers in the order of ``priority``, ties in the order of takers.

    A taker is a prompt, or one of its rankings; ``place`` is its number in ``sets``. Yields set,
    index, rank and the owner (None if the image is free) until all sets are full, one after the
    other. Who comes first in this order gets the image: nobody who ranks it higher can still want
    it, which makes the outcome the stable matching of prompts and images.
    """
    waiting = [[s for s in of_taker if s.remaining > 0] for of_taker in sets]
    order = np.lexsort((queue["place"].to_numpy(), queue["priority"].to_numpy()))
    for start in range(0, len(order), _CHUNK):
        if not any(waiting):
            return
        rows = queue.iloc[order[start : start + _CHUNK]]
        columns = [rows[name].tolist() for name in ("place", "index", "rank", "group")]
        for place, index, rank, group in zip(*columns, strict=True):
            left = waiting[place]
            if left:
                yield left[0], index, rank, ledger.owner.get(group)
                while left and left[0].remaining <= 0:
                    left.pop(0)


def _allocate_exactly(ledger: ForgetSetLedger, arm: str, queue: pd.DataFrame, reason: str) -> None:
    """Fill sets as large as the targeted ones; a group of copies that does not fit is skipped."""
    sets = list(ledger.open_like_targeted(arm).values())
    for into, index, rank, owner in _allocate(ledger, queue, sets):
        if owner is None and ledger.sizes[ledger.group_of[index]] <= into.remaining:
            ledger.take(into, index, reason.format(rank=rank))


Take = Callable[[ForgetSetLedger], None]
ARMS: Registry[Take] = Registry(
    "arm",
    {
        Arm.IDS.value: _ids,
        Arm.FAMILY.value: _family,
        Arm.TARGETED.value: _targeted,
        Arm.LEAST_SIMILAR.value: _least_similar,
        Arm.RANDOM_CANDIDATE.value: _random_candidate,
        Arm.RANDOM_UNIFORM.value: _random_uniform,
    },
)

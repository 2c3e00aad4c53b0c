"""Forget sets: which images are removed together, for which prompt, in which arm, and why.

Sets are pairwise disjoint, copies are removed together, and control sets are as large as the set
that they are compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.vocabulary import ALONE, Arm
from untrain.counterfactual.arms import ARMS, families_of
from untrain.counterfactual.ledger import ForgetSetLedger


@dataclass(frozen=True)
class ForgetSets:
    """Forget sets, and what is unusual about them.

    Attributes
    ----------
    table : DataFrame
        One row per image: `untrain.core.tables.FORGET_SETS`.
    notes : tuple of Note
        ``forget-set-short``: a set holds fewer images than it should; ``forget-set-displaced``:
        most of its images went to other sets. Each is about a forget_set_id.
    """

    table: pd.DataFrame
    notes: tuple[Note, ...] = ()


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
    further: Mapping[str, pd.DataFrame] | None = None,
) -> ForgetSets:
    r"""Return the disjoint forget sets of all arms and prompts, one row per image.

    Arms: ``targeted`` (top K of the ranking), ``random_uniform`` (K of the whole catalogue),
    ``random_candidate`` (K of the prompt's retrieved candidates outside its targeted set),
    ``least_similar`` (bottom K of the ranking), ``family`` (all images of the prompt's true
    family) and ``ids`` (a user's list, for no prompt).

    **Overlaps.** The ids and family arms take their images first. An image that several prompts
    want in their targeted sets goes to the prompt that ranks it highest (ties: the prompt that
    comes first in ``ranking``), and the others continue down their rankings, so that sizes stay
    equal; least_similar likewise from the bottom. Random arms come last, in the order
    random_candidate, random_uniform, and draw from the images that no set holds; the targeted sets
    are set aside for this even if their arm is not requested.

    **Several rankings.** Each of ``further`` has an arm of its own, such as ``targeted:dtrak``,
    whose sets are the top K of that ranking for the same prompts. Two rankings of one prompt do not
    take images from each other: an image that both want belongs to the sets of both, with a row for
    each, and is removed in one forget set. The smallest size at which any of them wants it decides
    which: the top ten of two rankings are up to three forget sets, what only the first has
    (``targeted/p03/k10``), what only the second has (``targeted:dtrak/p03/k10``), and what both
    have (``targeted+targeted:dtrak/p03/k10``); ranks 11 to 100 that are in none of these likewise.
    So forget sets stay disjoint and are assigned independently, and the effect of a set is the sum
    of the main effects of the forget sets that it is made of, as with nested sizes below: exact at
    the smallest size. At a larger size a ranking may want only some images of a forget set that
    another wants at a smaller size; they count with their share of its effect, as if each of its
    images did as much as another. Prompts give way to each other as with one ranking.

    **Copies.** Byte-identical images, and those of a group in ``copies``, are removed together and
    all count toward K, so that no copy of a removed image stays, nor a copy of a copy; ``reason``
    says of which image they are copies. A targeted set that ends within such a group takes all of
    it and is larger than K by the rest of it. Random and
    least_similar sets match the size of their prompt's targeted set, copies included.

    **Nested K.** Sets are increments: with ``ks = [10, 100]`` the set ``targeted/p03/k10`` holds
    ranks 1–10 and ``targeted/p03/k100`` holds ranks 11–100, assigned independently. The effect of
    the whole top 100 is the sum of the two main effects, exactly and without assuming that effects
    add up. Let Y(a, b) be the mean outcome with the first increment removed if a and the second if
    b. Each is left out of a random half, independently, so the main effects are

        m₁ = ½[Y(1,0) − Y(0,0)] + ½[Y(1,1) − Y(0,1)]
        m₂ = ½[Y(0,1) − Y(0,0)] + ½[Y(1,1) − Y(1,0)]

    and m₁ + m₂ = Y(1,1) − Y(0,0): both removed minus both kept. (m₁ by itself is the effect of the
    top 10, averaged over ranks 11–100 being kept or removed. With three increments the sum leaves
    out only the three-way interaction.)

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
        requested they get no other. The k of this arm is the size of its largest family.
    user_ids : sequence of str
        The list of the ids arm, whose k is its size with copies.
    draws : int
        Number of sets per prompt in each random arm, disjoint like all others.
    copies : DataFrame, optional
        Groups of near copies in the catalogue, as `untrain.search.duplicates.duplicate_groups`
        gives them; without it copies are byte-identical.
    further : mapping of str to DataFrame, optional
        Rankings beside the first, as that one, by their arm.
    together : bool
        Join the sets of all prompts, of one arm, size and draw, into one forget set
        (`joined`); family sets stay separate.

    Returns
    -------
    ForgetSets
        A forget_set_id is ``arm/prompt/k10``, ``ids/k3`` of a user's list; ``/d0`` is added in
        random arms with several draws. Where rankings share images it is
        ``arm+arm/prompt/k10``, and the images have a row for each arm.

    Raises
    ------
    InputError
        If an arm, family or id is unknown, a K is below 1, or more is to be removed than there is.
    """
    further = dict(further or {})
    for arm in arms:
        ARMS[arm.partition(":")[0] if arm in further else arm]
    ks = sorted(set(ks))
    if not ks or ks[0] < 1 or draws < 1:
        raise InputError(f"k = {ks}, draws = {draws}: every size must be at least 1")
    controls = dict(families or {}) if Arm.FAMILY in arms else {}
    ledger = ForgetSetLedger(catalog, seed, ks, draws, user_ids, copies, together, controls)
    ledger.take_rankings(ranking, retrieval, further)
    _check_size(ledger, arms)
    for arm in ARMS:
        if arm in arms or arm == Arm.TARGETED:
            ARMS[arm](ledger)
    # The sets of all rankings are taken by the arm targeted, and listed after it.
    order = [each for arm in ARMS for each in (arm, *(further if arm == Arm.TARGETED else ()))]
    table = ledger.finish([arm for arm in order if arm in arms])
    return ForgetSets(joined(table) if together else table, tuple(ledger.notes))


def joined(sets: pd.DataFrame) -> pd.DataFrame:
    """Join the sets of all prompts, of one arm, size and draw: ``targeted/all/k10``.

    Each image keeps the prompt that it was taken for. The families of control prompts stay
    separate sets, because they are positive controls, and a user's list is one set already.
    """
    names = zip(sets["forget_set_id"], sets["arm"], sets["prompt_id"], strict=True)
    ids = [
        name if arm in ALONE else name.replace(f"/{prompt_id}/", "/all/", 1)
        for name, arm, prompt_id in names
    ]
    return sets.assign(forget_set_id=ids)


def sets_per_prompt(arms: Iterable[str], draws: int) -> int:
    """Return how many disjoint sets of the largest K each prompt gets in all arms together."""
    own = set(arms) - set(ALONE)
    return sum(draws if arm.startswith("random") else 1 for arm in own)


def _check_size(ledger: ForgetSetLedger, arms: Sequence[str]) -> None:
    """Raise `InputError` if more is to be removed than there is, before any image is taken."""
    per_prompt = sets_per_prompt(arms, ledger.draws)
    asked = per_prompt * len(ledger.prompts) * ledger.ks[-1]
    asked += len(ledger.user_ids) if Arm.IDS in arms else 0
    asked += sum(int((families_of(ledger) == f).sum()) for f in set(ledger.families.values()))
    if asked > len(ledger.catalog):
        raise InputError(
            f"{asked} images are to be removed ({len(ledger.prompts)} prompts × {ledger.ks[-1]} × "
            f"{per_prompt} sets, families and ids), but {ledger.catalog.name} has "
            f"{len(ledger.catalog)}; use a smaller k, fewer prompts or fewer arms"
        )

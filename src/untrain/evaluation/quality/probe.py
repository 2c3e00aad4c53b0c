"""The gate where the data have no attributes: for which of two prompts was a picture drawn?

A probe is shown two pictures and the two prompts that they were drawn for, and puts them together
by the training images of each prompt's captions. It is right for half of all pairs by chance,
whatever is preferred by it or by the model: grey pictures, or ones that are alike whatever they
were asked for, give no more than that. What it reaches on real pictures, each held out of what
stands for its prompts, is what can be reached (a two-alternative forced choice: D. Green and
J. Swets, 1966, *Signal Detection Theory and Psychophysics*).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.core.vocabulary import Gate
from untrain.encoders.store import FeatureStore
from untrain.evaluation.quality.features import JudgeEncoder
from untrain.evaluation.quality.judge import Space
from untrain.search.retrieve.candidates import text_index

OF_PROMPT = 10  # training images that stand for a prompt: those of the nearest captions
MOST = 200  # prompts that are compared, drawn at random
OTHERS = 1000  # training images, drawn at random, that features are scaled by
CHANCE = 0.5
REAL = 0.7  # of pairs of real pictures that the probe must be right about
ENOUGH = 0.7  # of the way from chance to real pictures, for a model that draws what it is asked for
LITTLE = 1 / 3  # of that way: a model that is certain not to reach this cannot draw
UNSEEN = 1 / 2  # of that way: nor can one that is at chance in a test that would have seen this
FEWEST = 4  # prompts: of three, one order in six is right by chance
LEVEL = 0.05
ORDERS = 9999  # of prompts, drawn again; all of them where they are few
ALL_ORDERS = 6  # prompts, of which every order is tried
SPREAD_ORDERS = 199  # that the spread of chance is taken over


@dataclass(frozen=True, eq=False)
class Told:
    """What the probe found.

    Attributes
    ----------
    record : dict
        ``right``, ``real_right``, ``chance``: shares of pairs, 0–1; ``reach``: how far pictures
        come from chance (0) to real pictures (1), with a 95 % interval ``low``, ``high`` over
        prompts; ``bound``, 1.645 standard deviations of chance (`order_spread`) above it; ``p`` of
        the order of the prompts; ``prompts``, ``pictures`` and ``photos``
        compared; ``verdict`` (`verdict_of`). Shares and what follows are None where fewer than two
        prompts can be compared.
    pictures : DataFrame
        Columns of `untrain.core.tables.JUDGED`: which prompt each picture looks most drawn for, and
        as ``confidence`` the share of pairs with it that are right.
    """

    record: dict[str, Any]
    pictures: pd.DataFrame


def tell_prompts(
    catalog: Catalog,
    prompts: pd.DataFrame,
    pictures: Sequence[tuple[str, np.ndarray]],
    encoder: JudgeEncoder,
    seed: int = 0,
) -> Told:
    """Tell for which prompt each picture was drawn.

    Parameters
    ----------
    catalog : Catalog
        The training images.
    prompts : DataFrame
        Columns prompt_id and prompt. One that shares no word with any caption is left out.
    pictures : sequence of (prompt_id, uint8 picture H×W×3)
        All of one size.
    encoder : JudgeEncoder
        Of that size.
    seed : int
        Of what is drawn at random.
    """
    of_prompt = nearest_captions(catalog, prompts)
    drawn = {p for p, _ in pictures}
    names = [p for p in of_prompt if p in drawn]
    if len(names) > MOST:
        names = sorted(rng("probe", seed, "prompts").choice(names, MOST, replace=False).tolist())
    compared = [(p, picture) for p, picture in pictures if p in set(names)]
    rows = np.unique(np.concatenate([of_prompt[p] for p in names] or [np.array([], int)]))
    counts = {"prompts": len(names), "pictures": len(compared), "photos": len(rows)}
    if len(names) < 2:
        return Told(_record(counts), pd.DataFrame())
    others = rng("probe", seed, "scale").permutation(len(catalog))[:OTHERS]
    known = np.unique(np.concatenate([rows, others]))
    ids = [catalog.ids[row] for row in known]
    real = FeatureStore(None, encoder).features(catalog, ids, "photos for the probe")
    space = Space.fit(real)
    scale = _scale(space.of(real))
    own = np.isin(known, rows)
    stand = _unit(space.of(real[own]) * scale)
    made = _unit(space.of(encoder.encode([picture for _, picture in compared])) * scale)
    sets = [np.searchsorted(rows, np.unique(of_prompt[p])) for p in names]
    scores = made @ np.stack([stand[each].mean(0) for each in sets]).T
    held_out = _held_out(stand, sets)
    whose = [[i for i, (p, _) in enumerate(compared) if p == name] for name in names]
    right = _pairs_right([scores[i] for i in whose])
    reference = _pairs_right([held_out[i] for i in sets])
    p = order_p(np.stack([scores[i].mean(0) for i in whose]), seed)
    spread = order_spread([scores[i] for i in whose], seed)
    return Told(
        _record(counts, right, reference, p, spread),
        _table(compared, names, scores, _of_each(scores, whose)),
    )


def nearest_captions(catalog: Catalog, prompts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return up to ten rows for each prompt, of the captions nearest to it; a copy counts once."""
    index, first = text_index(catalog), catalog.same_as
    found = {}
    for prompt_id, text in zip(prompts["prompt_id"], prompts["prompt"], strict=True):
        with suppress(InputError):  # it has no word that any caption has
            (positions,), (scores,) = index.query([text], 3 * OF_PROMPT)
            distinct = list(dict.fromkeys(first[positions[scores > 0]].tolist()))[:OF_PROMPT]
            if len(distinct) > 1:  # one must stand for the prompt while another is held out
                found[str(prompt_id)] = np.array(distinct)
    return found


def _scale(components: np.ndarray) -> np.ndarray:
    """Return factors that even out the components' variance, of those with little of it less so."""
    variance = components.var(0, dtype=np.float64)
    return np.asarray(1 / np.sqrt(variance + variance.mean() + 1e-12))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _held_out(stand: np.ndarray, sets: Sequence[np.ndarray]) -> np.ndarray:
    """Return how near each photo is to the others of each prompt, (photos, prompts)."""
    products = stand @ stand.T
    scores = np.empty((len(stand), len(sets)))
    for place, members in enumerate(sets):
        inside = np.isin(np.arange(len(stand)), members)
        sums = products[:, members].sum(1) - np.where(inside, products.diagonal(), 0)
        scores[:, place] = sums / (len(members) - inside)
    return scores


def _pairs_right(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Return the share of pairs of pictures put right for each two prompts, (prompts, prompts).

    ``scores`` has the pictures of each prompt, each (pictures, prompts); a tie is half right.
    """
    right = np.full((len(scores), len(scores)), np.nan)
    for a, first in enumerate(scores):
        for b in range(a):
            one = first[:, a] - first[:, b]
            two = scores[b][:, b] - scores[b][:, a]
            both = one[:, None] + two[None, :]
            right[a, b] = right[b, a] = (np.sign(both).mean() + 1) / 2
    return right


def order_p(means: np.ndarray, seed: int = 0) -> float:
    """Return how often pictures fit their prompts as well when the prompts change places.

    Parameters
    ----------
    means : ndarray, (prompts, prompts)
        How near the pictures of one prompt (row) are to what stands for another, on average.

    Returns
    -------
    float
        One-sided p of the sum of the diagonal: over all orders of up to six prompts, otherwise
        over drawn ones, with one added to both counts. The pictures of a prompt stay together.
    """
    n, own = len(means), np.arange(len(means))
    observed = np.trace(means) - 1e-9
    if n <= ALL_ORDERS:
        every = np.array(list(permutations(range(n))))
        return float((means[own, every].sum(1) >= observed).mean())
    random = rng("probe", seed, "orders")
    orders = random.permuted(np.tile(own, (ORDERS, 1)), axis=1)
    return float(((means[own, orders].sum(1) >= observed).sum() + 1) / (ORDERS + 1))


def order_spread(scores: Sequence[np.ndarray], seed: int = 0) -> float:
    """Return the standard deviation of the share of pairs put right over orders of the prompts.

    What chance alone does to the share, with these pictures: ``scores`` as of `_pairs_right`, of
    which as many pictures of each prompt count as the prompt with the fewest has.
    """
    n, fewest = len(scores), min(map(len, scores))
    made = np.stack([each[:fewest] for each in scores])  # prompts × pictures × prompts
    own, random = np.arange(n), rng("probe", seed, "spread")
    shares = []
    for _ in range(SPREAD_ORDERS):
        moved = made[:, :, random.permutation(n)]
        ahead = moved[own, :, own][:, :, None] - moved
        both = ahead[:, :, :, None] + ahead.transpose(2, 0, 1)[:, None, :, :]
        signs = np.sign(both).mean((1, 3))
        shares.append((signs.sum() / (n * (n - 1)) + 1) / 2)
    return float(np.std(shares))


def reached(right: np.ndarray, real: np.ndarray) -> tuple[float, float, float]:
    """Return how far pictures come from chance to real ones, with its 95 % interval over prompts.

    By the jackknife over prompts with Student's t (B. Efron and C. Stein, 1981, *The jackknife
    estimate of variance*): pairs that share a prompt are not independent. With few prompts it is
    wide.

    Parameters
    ----------
    right, real : ndarray, (prompts, prompts)
        Shares of pairs put right, of generated and of real pictures; NaN on the diagonal.
    """
    n = len(right)
    over = [np.nan_to_num(each - CHANCE, nan=0.0) for each in (right, real)]
    total, sums = [each.sum() for each in over], [each.sum(1) for each in over]
    if total[1] <= 0 or n < 3:
        return math.nan, math.nan, math.nan
    estimate = total[0] / total[1]
    rest = total[1] - 2 * sums[1]
    without = np.divide(total[0] - 2 * sums[0], rest, out=np.full(n, estimate), where=rest > 0)
    error = math.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    half = float(student.ppf(0.975, n - 1)) * error
    return float(estimate), float(estimate - half), float(estimate + half)


def verdict_of(found: dict[str, Any]) -> Gate:
    """Return the verdict on a probe's figures.

    - *cannot judge*: there are fewer than four prompts, or the probe is right for fewer than 70 %
      of pairs of real pictures, or pictures are told from chance neither way;
    - *passed*: pictures fit their prompts better than other orders of these (p ≤ 5 %), and come at
      least 70 % of the way from chance to real pictures;
    - *cannot draw*: the whole interval is below a third of that way; or p is above 5 %, and
      ``bound`` below half of it;
    - *failed*: in between.
    """
    if found["prompts"] < FEWEST or found["reach"] is None or found["real_right"] < REAL:
        return Gate.UNJUDGED
    told = found["p"] <= LEVEL
    if told and found["reach"] >= ENOUGH:
        return Gate.PASSED
    bounded = not told and found["bound"] is not None and found["bound"] < UNSEEN
    if found["high"] < LITTLE or bounded:
        return Gate.CANNOT_DRAW
    return Gate.FAILED if told else Gate.UNJUDGED


def _record(
    counts: dict[str, int],
    right: np.ndarray | None = None,
    real: np.ndarray | None = None,
    p: float | None = None,
    spread: float = math.nan,
) -> dict[str, Any]:
    names = ("right", "real_right", "reach", "low", "high", "p", "bound")
    found: dict[str, Any] = dict.fromkeys(names) | {"chance": CHANCE} | counts
    if right is not None and real is not None:
        reach, low, high = reached(right, real)
        shares = {"right": float(np.nanmean(right)), "real_right": float(np.nanmean(real))}
        most = shares["real_right"] - CHANCE
        bound = reach + 1.645 * spread / most if most > 0 else math.nan
        figures = {"reach": reach, "low": low, "high": high, "bound": bound}
        known = {name: None if math.isnan(x) else x for name, x in figures.items()}
        found |= shares | known | {"p": p}
    return found | {"verdict": verdict_of(found)}


def _of_each(scores: np.ndarray, whose: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the share of pairs put right with each picture, (pictures,)."""
    share = np.zeros(len(scores))
    for a, mine in enumerate(whose):
        ahead = [
            (scores[mine, a] - scores[mine, b])[:, None] + (scores[other, b] - scores[other, a])
            for b, other in enumerate(whose)
            if b != a
        ]
        share[list(mine)] = (np.sign(np.concatenate(ahead, axis=1)).mean(1) + 1) / 2
    return share


def _table(
    compared: Sequence[tuple[str, np.ndarray]],
    names: Sequence[str],
    scores: np.ndarray,
    share: np.ndarray,
) -> pd.DataFrame:
    """Return for each picture the prompt that it fits best, beside what others of the run do."""
    ids = [p for p, _ in compared]
    best = (scores - scores.mean(0)).argmax(1)
    return pd.DataFrame(
        {
            "prompt_id": ids,
            "generation": pd.Series(ids).groupby(ids).cumcount(),
            "attribute": "prompt",
            "asked": ids,
            "seen": [names[place] for place in best],
            "confidence": share,
            "answered": True,
        }
    )


def summary_of(found: dict[str, Any]) -> str:
    """Say in a line how often the probe is right, beside chance and real pictures."""
    if found["right"] is None:
        return f"too few prompts to compare: {found['prompts']}"
    return (
        f"of two pictures, a probe tells which was drawn for which of two prompts in "
        f"{found['right']:.0%} of pairs; by chance 50%, of real pictures {found['real_right']:.0%}"
    )

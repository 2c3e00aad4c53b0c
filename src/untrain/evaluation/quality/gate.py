"""The quality gate: generated pictures against what the judge makes of real photos like them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.files import rng
from untrain.core.tables import JUDGED
from untrain.core.vocabulary import Gate
from untrain.encoders import describe, load_encoder
from untrain.encoders.base import Encoder
from untrain.encoders.store import FeatureStore
from untrain.evaluation.quality.data import Sample, commonest, nearest, train
from untrain.evaluation.quality.distances import distances
from untrain.evaluation.quality.features import JudgeEncoder
from untrain.evaluation.quality.judge import Answers, Judge, Space
from untrain.evaluation.quality.probe import Told, summary_of, tell_prompts
from untrain.evaluation.quality.terms import article_names, colour_terms

RELATIVE = 0.85  # of what the judge reaches on real photos, pictures must reach this share
SILENCE = 0.75  # and it must answer for this share of pictures, relative to real photos
RESAMPLES = 2000
FIGURES = ("right", "answered", "real_right", "real_answered", "ratio", "low", "high")


@dataclass(frozen=True)
class Attribute:
    """Something that a picture shows and its prompt asks for.

    Attributes
    ----------
    columns : tuple of str
        Attributes of the catalogue that may hold it; the first that is there counts.
    names : callable
        From names as the catalogue has them to those that the judge tells apart, "" for none.
    """

    columns: tuple[str, ...]
    names: Callable[[Iterable[str]], list[str]]


ATTRIBUTES = {
    "article": Attribute(("article", "articleType"), article_names),
    "colour": Attribute(("colour", "baseColour"), colour_terms),
}


@dataclass(frozen=True, eq=False)
class Quality:
    """What the gate found.

    Attributes
    ----------
    record : dict
        For ``run.json``: ``verdict`` and ``passed`` (None where the judge cannot judge); ``n``
        pictures; ``article`` and ``colour``, the share of the pictures judged that are right; and
        ``attributes``, ``distance``, ``told``, ``encoder``, as `judge_pictures` says.
    pictures : DataFrame
        Table `untrain.core.tables.JUDGED`: what the judge said of every picture.
    """

    record: dict[str, Any]
    pictures: pd.DataFrame


def judge_pictures(
    catalog: Catalog,
    prompts: pd.DataFrame,
    pictures: Sequence[tuple[str, np.ndarray]],
    encoder: Encoder | None = None,
    seed: int = 0,
) -> Quality | None:
    """Judge whether pictures show what their prompts ask for: the article and the colour.

    Where the catalogue has no such attributes, or the judge cannot judge them, the verdict is that
    of a probe that tells for which prompt a picture was drawn (`untrain.evaluation.quality.probe`).
    Where they are not right, the probe says whether they have anything to do with their prompts.

    What a prompt asks for is its family's attribute where that is known, otherwise the
    commonest one among its ten nearest captions. The judge (`untrain.evaluation.quality.judge`)
    is trained on real photos of names that at least 30 different photos have. It abstains
    where it is not sure, which counts neither way; but it must be sure of nearly as many pictures
    as of real photos.

    Of each attribute the judge's verdict is

    - *cannot judge*, where the judge would not be right for 85 % of those real photos that it
      answers for, were it to answer for half of them;
    - *passed*, where the share of right pictures is at least `RELATIVE` of that among real photos
      of the kinds asked for, and the share answered at least `SILENCE` of that among them;
    - *failed* otherwise.

    The whole has the verdict of the article, unless that is passed and the colour failed.

    Parameters
    ----------
    catalog : Catalog
        With attributes ``article`` and ``colour`` (or ``articleType`` and ``baseColour``).
    prompts : DataFrame
        Columns prompt_id, prompt, family.
    pictures : sequence of (prompt_id, uint8 picture H×W×3)
        All of one size.
    encoder : Encoder, optional
        That of the run; the layout encoder by default.
    seed : int
        Of the sample of real photos, the folds and the draws.

    Returns
    -------
    Quality or None
        ``record["attributes"]`` has for each attribute ``right``, ``answered`` (shares of the
        pictures), ``real_right``, ``real_answered`` (of real photos of the same kinds, held out),
        ``ratio`` of right ones with a 95 % bootstrap interval ``low``, ``high`` over prompts and
        photos, ``pictures`` and ``prompts`` judged, ``verdict`` and the ``judge``
        (`Judge.describe`); it is empty where the catalogue has none. ``record["distance"]`` is as
        `distances` says, ``record["told"]`` as `Told` does; None where it was not asked. None where
        there are no pictures.
    """
    if not len(pictures):
        return None
    known = _names(catalog)
    encoder = load_encoder("layout") if encoder is None else encoder
    own = JudgeEncoder(encoder, pictures[0][1].shape[:2], catalog.resize)
    judged = None if known is None else _of_attributes(catalog, prompts, pictures, known, own, seed)
    if judged and judged.record["verdict"] == Gate.PASSED:
        return Quality(judged.record | {"encoder": describe(encoder)}, judged.pictures)
    told = tell_prompts(catalog, prompts, pictures, own, seed)
    found = _together(judged, told, len(pictures))
    return Quality(found.record | {"encoder": describe(encoder)}, found.pictures)


def _together(judged: Quality | None, told: Told, pictures: int) -> Quality:
    """Return what the judge of attributes did not pass, with what the probe says of it."""
    verdict, said = Gate(told.record["verdict"]), summary_of(told.record)
    if judged is None:
        judged = Quality({"n": pictures, "attributes": {}, "distance": None}, JUDGED.of([]))
    elif judged.record["verdict"] == Gate.FAILED and verdict != Gate.CANNOT_DRAW:
        verdict, said = Gate.FAILED, judged.record["summary"]
    found = {
        "verdict": verdict,
        "passed": None if verdict == Gate.UNJUDGED else verdict == Gate.PASSED,
        "told": told.record,
        "summary": said,
    }
    tables = [table for table in (judged.pictures, told.pictures) if len(table)]
    table = JUDGED.conform(pd.concat(tables)) if tables else JUDGED.of([])
    return Quality(judged.record | found, table)


def _of_attributes(
    catalog: Catalog,
    prompts: pd.DataFrame,
    pictures: Sequence[tuple[str, np.ndarray]],
    known: dict[str, np.ndarray],
    own: JudgeEncoder,
    seed: int,
) -> Quality:
    """Return what the judge of article and colour says; its record has all but the encoder."""
    sample = Sample.of(catalog, known["article"], seed)
    ids = [catalog.ids[row] for row in sample.rows]
    real = FeatureStore(None, own).features(catalog, ids, "photos for the judge")
    drawn = own.encode([picture for _, picture in pictures])
    prompt_ids = [prompt_id for prompt_id, _ in pictures]
    relevant = nearest(catalog, prompts)
    asked = {}
    for name, values in known.items():
        of_prompt = {p: commonest(values[rows]) for p, rows in relevant.items()}
        asked[name] = np.array([of_prompt[p] for p in prompt_ids], object)
    space = Space.fit(real) if len(real) else None
    judges = {
        name: train(real, values, sample, space, seed) if space else None
        for name, values in known.items()
    }
    answers = {name: judge(drawn) for name, judge in judges.items() if judge}
    found = {
        name: _against_real(judges[name], answers.get(name), wanted, prompt_ids, seed)
        for name, wanted in asked.items()
    }
    apart = space and distances(
        space.of(drawn),
        _kinds(asked),
        space.of(real),
        _kinds({name: values[sample.rows] for name, values in known.items()}),
        seed,
    )
    verdict = _verdict(found)
    record = {
        "verdict": verdict,
        "passed": None if verdict == Gate.UNJUDGED else verdict == Gate.PASSED,
        "n": len(pictures),
        **{name: each["right"] for name, each in found.items()},
        "attributes": found,
        "distance": apart,
        "told": None,
        "summary": _summary(found, len(pictures)),
    }
    tables = [
        _table(name, prompt_ids, asked[name], said, _known(judges[name], asked[name]))
        for name, said in answers.items()
    ]
    return Quality(record, JUDGED.conform(pd.concat(tables)) if tables else JUDGED.of([]))


def _names(catalog: Catalog) -> dict[str, np.ndarray] | None:
    """Return what each image shows, by attribute; None if the catalogue does not say."""
    names = {}
    for name, attribute in ATTRIBUTES.items():
        column = next((c for c in attribute.columns if c in catalog.attributes), None)
        if column is None:
            return None
        told = attribute.names(catalog.attributes[column].astype(str))
        names[name] = np.array(told, object)
    return names


def _summary(found: dict[str, Any], pictures: int) -> str:
    """Say in a line how many pictures are right, beside real photos."""
    parts = [
        f"right {name} {each['right']:.0%} (real photos {each['real_right']:.0%})"
        if each["right"] is not None
        else f"{name} not judged"
        for name, each in found.items()
    ]
    return f"{', '.join(parts)} of {pictures} pictures"


def _kinds(names: dict[str, np.ndarray]) -> list[str]:
    """Return one name for all the attributes of each picture."""
    return ["/".join(map(str, each)) for each in zip(*names.values(), strict=True)]


def _known(judge: Judge | None, wanted: np.ndarray) -> np.ndarray:
    """Return which pictures should show something that the judge has learned, bool (n,)."""
    return np.isin(wanted.astype(str), [] if judge is None else judge.model.classes_)


def _table(
    attribute: str, prompt_ids: list[str], wanted: np.ndarray, said: Answers, judged: np.ndarray
) -> pd.DataFrame:
    """Return what the judge said of each picture whose prompt asks for a name that it knows."""
    table = pd.DataFrame(
        {
            "prompt_id": prompt_ids,
            "generation": pd.Series(prompt_ids).groupby(prompt_ids).cumcount(),
            "attribute": attribute,
            "asked": wanted,
            "seen": said.seen,
            "confidence": said.confidence,
            "answered": said.answered,
        }
    )
    return table[judged]


def _against_real(
    judge: Judge | None,
    said: Answers | None,
    wanted: np.ndarray,
    prompt_ids: list[str],
    seed: int,
) -> dict[str, Any]:
    """Return an attribute's figures: pictures beside held-out real photos of the same kinds."""
    judged = _known(judge, wanted)
    found: dict[str, Any] = dict.fromkeys(FIGURES) | {
        "verdict": Gate.UNJUDGED,
        "pictures": int(judged.sum()),
        "prompts": len({p for p, known in zip(prompt_ids, judged, strict=True) if known}),
        "judge": judge.describe() if judge else None,
    }
    if judge is None or said is None or not judged.any() or np.isinf(judge.threshold):
        return found
    right = said.answered & (said.seen == wanted)
    each = pd.DataFrame(
        {"prompt": prompt_ids, "kind": wanted, "n": 1, "answered": said.answered, "right": right}
    )[judged]
    drawn = each.groupby("prompt", sort=False).agg(
        kind=("kind", "first"), n=("n", "sum"), answered=("answered", "sum"), right=("right", "sum")
    )
    real = _real(judge, drawn["kind"].unique())
    counts = drawn[["n", "answered", "right"]].to_numpy(float)
    kind = pd.Index(real.index).get_indexer(drawn["kind"])
    shares = real[["answered", "right"]].to_numpy(float) / real[["n"]].to_numpy(float)
    photos = (counts[:, :1] * shares[kind]).sum(0)
    if not photos[0]:  # the judge is not sure of any real photo of these kinds
        return found
    found |= _shares(counts.sum(0), photos)
    ratios = _resampled(counts, kind, real, rng("judge", "bootstrap", seed))
    if len(ratios):
        found["low"], found["high"] = (float(q) for q in np.quantile(ratios, (0.025, 0.975)))
    enough = found["answered"] >= SILENCE * found["real_answered"]
    passed = enough and found["ratio"] >= RELATIVE
    return found | {"verdict": Gate.PASSED if passed else Gate.FAILED}


def _real(judge: Judge, kinds: np.ndarray) -> pd.DataFrame:
    """Return how many held-out photos of each kind there are, are answered and are right."""
    answered = judge.held_out.answered
    table = pd.DataFrame(
        {"kind": judge.asked, "n": 1, "answered": answered, "right": answered & judge.right}
    )
    return table.groupby("kind")[["n", "answered", "right"]].sum().loc[list(kinds)]


def _shares(drawn: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Return shares of pictures and of real photos, and the ratio of right ones.

    They are of the counts (n, answered, right) of pictures, and of those that real photos in their
    place would have (answered, right).
    """
    n, answered, right = drawn
    found = {
        "right": right / answered if answered else 0.0,
        "answered": answered / n,
        "real_right": real[1] / real[0],
        "real_answered": real[0] / n,
    }
    ratio = found["right"] / found["real_right"] if found["real_right"] else 0.0
    return {name: float(share) for name, share in (found | {"ratio": ratio}).items()}


def _resampled(
    counts: np.ndarray, kind: np.ndarray, real: pd.DataFrame, random: np.random.Generator
) -> np.ndarray:
    """Return ratios of right pictures to right photos, of prompts and photos drawn again."""
    n = real["n"].to_numpy()
    parts = np.stack(
        [real["right"], real["answered"] - real["right"], real["n"] - real["answered"]], 1
    )
    again = random.multinomial(n, parts / n[:, None], (RESAMPLES, len(n))) / n[:, None]
    shares = np.stack([again[..., 0] + again[..., 1], again[..., 0]], -1)
    rows = random.integers(0, len(counts), (RESAMPLES, len(counts)))
    drawn = counts[rows].sum(1)
    in_place = shares[np.arange(RESAMPLES)[:, None], kind[rows]]
    photos = (counts[rows][..., :1] * in_place).sum(1)
    some = (drawn[:, 1] > 0) & (photos[:, 1] > 0)
    pictures = drawn[some, 2] / drawn[some, 1]
    return np.asarray(pictures * photos[some, 0] / photos[some, 1])


def _verdict(found: dict[str, Any]) -> Gate:
    article, colour = (found[name]["verdict"] for name in ATTRIBUTES)
    return Gate(colour if article == Gate.PASSED and colour == Gate.FAILED else article)

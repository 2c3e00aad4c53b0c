"""Asking attributors: which training images do pictures stand on, by one method or several?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.attribution.agreement import Agreement, agreement, order, places
from untrain.attribution.base import Attributor, Evidence, Scores
from untrain.attribution.calibration import Calibration
from untrain.attribution.registry import ATTRIBUTORS, make_attributor
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.schema import records
from untrain.core.vocabulary import ATTRIBUTOR

HIT = ("method", "prompt_id", "rank", "image_id", "score", "caption", "same_as")
EFFECT = ("effect", "low", "high")


@dataclass(frozen=True, eq=False)
class Attributed:
    """What attributors said of some queries.

    Attributes
    ----------
    table : DataFrame
        The first images of each method and query, best first: ``method``, ``prompt_id``, ``rank``
        from 1, ``image_id``, ``score``, ``caption``, ``same_as`` (the image above with the very
        same bytes, else empty). With a calibration ``effect``, ``low`` and ``high``, too: what the
        removal of this image by itself would cost, in ``unit``.
    removals : DataFrame
        What the removal of the images of ``table`` together would cost, a row for each method and
        query: ``method``, ``prompt_id``, ``k``, ``score`` (the sum), ``effect``, ``low``, ``high``
        (NaN where a method is not calibrated).
    values : mapping of str to ndarray of float32, shape (queries, images)
        All scores by method, the first that was asked for first; NaN where there is none.
    prompts : DataFrame
        ``prompt_id``, ``prompt``, ``pictures`` (their number): the rows of ``values``.
    image_ids : sequence of str
        The columns of ``values``.
    agreement : mapping of (str, str) to Agreement
        Of the first method and each further one, by (further method, prompt_id).
    seconds : mapping of str to float
        What each method took, all queries together.
    unit : str
        Of effects.
    calibrated : str or None
        The method whose effects are given.
    notes : tuple of Note
    """

    table: pd.DataFrame
    removals: pd.DataFrame
    values: Mapping[str, np.ndarray]
    prompts: pd.DataFrame
    image_ids: Sequence[str]
    agreement: Mapping[tuple[str, str], Agreement]
    seconds: Mapping[str, float]
    unit: str
    calibrated: str | None
    notes: tuple[Note, ...]

    @property
    def methods(self) -> list[str]:
        """The methods, in the order that they were asked for in."""
        return list(self.values)

    def places(self, method: str, prompt_id: str) -> np.ndarray:
        """Return the place of every image by a method for a query, from 1; 0 without a score."""
        row = int(np.flatnonzero(self.prompts["prompt_id"] == prompt_id)[0])
        found: np.ndarray = places(self.values[method][row])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all but the scores of images not shown, as JSON holds it; undefined is None."""
        queries = []
        for asked in self.prompts.to_dict("records"):
            prompt_id = asked["prompt_id"]
            methods = []
            for method in self.methods:
                hits = _of(self.table, method, prompt_id).drop(columns=["method", "prompt_id"])
                (removal,) = records(_of(self.removals, method, prompt_id))
                del removal["method"], removal["prompt_id"]
                found = {"method": method, "hits": records(hits), "removal": removal}
                agreed = self.agreement.get((method, prompt_id))
                methods.append(found | ({"agreement": agreed.to_dict()} if agreed else {}))
            queries.append({**asked, "methods": methods})
        return {
            "images": len(self.image_ids),
            "unit": self.unit,
            "calibrated": self.calibrated,
            "queries": queries,
            "seconds": {part: round(took, 4) for part, took in self.seconds.items()},
            "notes": [note.to_dict() for note in self.notes],
        }


def attribute_all(
    evidence: Evidence,
    methods: Sequence[str | Attributor],
    top: int = 10,
    unit: str = "",
    calibration: Calibration | None = None,
) -> Attributed:
    """Score every training image for every query by each method.

    Parameters
    ----------
    evidence : Evidence
    methods : sequence of str or Attributor
        Names in `untrain.attribution.registry.ATTRIBUTORS`, or attributors; each once. The others
        are compared with the first.
    top : int
        Images of ``table`` for each query; 0 for all.
    unit : str
        Of effects on these queries, such as ``bits/token``.
    calibration : Calibration, optional
        Turns the scores of the method that it is of into effects.

    Raises
    ------
    InputError
        A method is unknown, given twice or lacks what it needs; `top` is negative; or none of the
        methods is the calibration's.
    """
    if top < 0:
        raise InputError(f"top is {top}; expected the number of images to show, or 0 for all")
    attributors = _opened(methods)
    if calibration is not None and calibration.method not in attributors:
        raise InputError(
            f"the calibration is of {calibration.method}, which was not asked for "
            f"({', '.join(attributors)}): scores of another method have another scale"
        )
    for attributor in attributors.values():
        check_evidence(attributor, evidence)
    count = min(top, len(evidence.catalog)) or len(evidence.catalog)
    values: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    notes: list[Note] = []
    for name, attributor in attributors.items():
        start = time.perf_counter()
        scored: Scores = attributor.scores(evidence)
        seconds[name] = time.perf_counter() - start
        values[name] = scored.values
        notes += scored.notes
    tables, removals = [], []
    for name, scores in values.items():
        of_method = calibration if calibration and calibration.method == name else None
        for prompt_id, row in zip(evidence.prompt_ids, scores, strict=True):
            hits, removal = _hits(evidence, row, count, of_method)
            key = {"method": name, "prompt_id": prompt_id}
            tables.append(hits.assign(**key)[[*HIT, *(EFFECT if of_method else ())]])
            removals.append({**key, **removal})
    if calibration is None:
        text = (
            "scores are uncalibrated: they order images, and say nothing in "
            f"{unit or 'the unit of the measure'} (`untrain calibrate` fits that on runs whose "
            "removals were measured)"
        )
        notes.append(Note("uncalibrated", text))
    first, *others = values
    agreed = {
        (other, prompt_id): agreement(values[first][row], values[other][row], count)
        for other in others
        for row, prompt_id in enumerate(evidence.prompt_ids)
    }
    return Attributed(
        pd.concat(tables, ignore_index=True),
        pd.DataFrame(removals),
        values,
        _prompts(evidence),
        evidence.catalog.ids,
        agreed,
        seconds,
        unit,
        calibration.method if calibration else None,
        tuple(dict.fromkeys(notes)),
    )


def check_evidence(attributor: Attributor, evidence: Evidence) -> None:
    """Raise `InputError` if an attributor lacks what it needs, and name those that would do."""
    why = attributor.missing(evidence)
    if why is None:
        return
    able = []
    for name in ATTRIBUTORS:
        try:
            if make_attributor(name).missing(evidence) is None:
                able.append(name)
        except InputError:  # it takes an argument
            continue
    raise InputError(
        f"{attributor.name} cannot be used: {why}; what is left: {', '.join(able) or 'nothing'}"
    )


def _opened(methods: Sequence[str | Attributor]) -> dict[str, Attributor]:
    if not methods:
        raise InputError(f"no method was named; expected one or more, such as {ATTRIBUTOR}")
    found: dict[str, Attributor] = {}
    for method in methods:
        attributor = make_attributor(method) if isinstance(method, str) else method
        if attributor.name in found:
            raise InputError(f"the method {attributor.name} was given twice; give each once")
        found[attributor.name] = attributor
    return found


def _hits(
    evidence: Evidence, scores: np.ndarray, count: int, calibration: Calibration | None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the first images of one query, and what their removal together would cost."""
    catalog = evidence.catalog
    best = order(scores)[:count]
    chosen = scores[best].astype(np.float64)
    content = pd.Series([catalog.hashes[i] for i in best])
    ids = pd.Series([catalog.ids[i] for i in best])
    first = ids.groupby(content).transform("first") if len(ids) else ids
    hits = pd.DataFrame(
        {
            "rank": np.arange(1, len(best) + 1),
            "image_id": ids,
            "score": chosen,
            "caption": [catalog.captions[i] for i in best],
            "same_as": first.where(first != ids, ""),
        }
    )
    removal: dict[str, Any] = {"k": len(best), "score": float(chosen.sum())}
    removal |= dict.fromkeys(EFFECT, float("nan"))
    if calibration is not None:
        for name, column in zip(EFFECT, calibration.effects(chosen), strict=True):
            hits[name] = column
        together = calibration.effects(chosen.sum(keepdims=True))
        removal |= {n: float(of[0]) for n, of in zip(EFFECT, together, strict=True)}
    return hits, removal


def _prompts(evidence: Evidence) -> pd.DataFrame:
    queries = evidence.queries
    counts = pd.Series([prompt_id for prompt_id, _ in queries.keys]).value_counts()
    ids = list(evidence.prompt_ids)
    pictures = [int(counts[i]) for i in ids]
    return pd.DataFrame({"prompt_id": ids, "prompt": evidence.texts, "pictures": pictures})


def _of(table: pd.DataFrame, method: str, prompt_id: str) -> pd.DataFrame:
    return table[(table["method"] == method) & (table["prompt_id"] == prompt_id)]

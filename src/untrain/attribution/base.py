"""The contract of attribution: queries × catalogue → scores.

An `Attributor` says how much worse each query would be for want of each training image. It gets an
`Evidence`, which holds values only: it knows neither runs nor settings. A new method is a class in
a file of its own, and a line in `untrain.attribution.registry.ATTRIBUTORS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from untrain.attribution.whole_comparison import WholeComparison
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.generators.base import Generator
from untrain.generators.differentiable import has_gradients
from untrain.generators.queries import Queries

if TYPE_CHECKING:  # so that whoever asks what can be scored need not wait for torch
    from untrain.attribution.gradients.store import Elsewhere
    from untrain.generators.recording import Checkpoint

FAMILY = "family"

Need = Literal["comparison", "families", "model", "gradients", "models", "checkpoints"]
"""What an attributor may need beyond captions, images and queries, which always are there."""

WHY_MISSING: dict[Need, str] = {
    "comparison": "the queries are not compared with the catalogue",
    "families": "the families of images or prompts are not known",
    "model": "there is no fitted model",
    "gradients": "there is no fitted model that gives gradients",
    "models": "there are no further models of the recipe",
    "checkpoints": "no checkpoints of the training can be had: they take the training once more, "
    "and are made on request",
}


@dataclass(eq=False)
class Evidence:
    """All that attributors may look at.

    Attributes
    ----------
    catalog : Catalog
        The training images.
    queries : Queries
        The pictures that are asked about. A prompt has one row of scores, for all its pictures.
    prompts : DataFrame
        Columns prompt_id, prompt, family (empty where unknown), role: at least the prompts of the
        queries. A file of scores may name the others too.
    compare : callable, optional
        Compares the queries with the catalogue by every metric; called once, when first needed.
    model : Generator, optional
        The fitted model that drew the queries; with gradients if it keeps the contract of
        `untrain.generators.differentiable.Differentiable`.
    seed : int
        Of what is random.
    models : sequence of Generator
        Further models of the same recipe and catalogue, with other seeds, for ensembles.
    record : callable, optional
        Trains the model once more and returns checkpoints of that; called once, when first needed.
    elsewhere : Elsewhere, optional
        Computes gradients of the training images on other machines; by default this process does.
    """

    catalog: Catalog
    queries: Queries
    prompts: pd.DataFrame
    compare: Callable[[], WholeComparison] | None = None
    model: Generator | None = None
    seed: int = 0
    models: Sequence[Generator] = ()
    record: Callable[[], Sequence[Checkpoint]] | None = None
    elsewhere: Elsewhere | None = None

    @cached_property
    def comparison(self) -> WholeComparison:
        """Every query compared with the whole catalogue."""
        if self.compare is None:
            raise InputError(WHY_MISSING["comparison"])
        return self.compare()

    @cached_property
    def checkpoints(self) -> Sequence[Checkpoint]:
        """The training of the model at some of its steps."""
        if self.record is None:
            raise InputError(WHY_MISSING["checkpoints"])
        return self.record()

    @cached_property
    def prompt_ids(self) -> tuple[str, ...]:
        """The prompts of the queries: the rows of scores."""
        return tuple(self.queries.prompt_ids)

    @property
    def texts(self) -> list[str]:
        """The text of each of `prompt_ids`."""
        return [self.queries.texts[prompt_id] for prompt_id in self.prompt_ids]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of scores: prompts, images."""
        return len(self.prompt_ids), len(self.catalog)

    @cached_property
    def families(self) -> np.ndarray | None:
        """Which images are of each prompt's family, bool (prompts, images); None if unknown."""
        known = self.prompts.set_index("prompt_id")["family"].reindex(list(self.prompt_ids))
        if FAMILY not in self.catalog.attributes or (known.fillna("") == "").any():
            return None
        of_images = self.catalog.attributes[FAMILY].astype(str).to_numpy()
        return of_images[None] == known.astype(str).to_numpy()[:, None]

    def has(self, need: Need) -> bool:
        """Tell whether this evidence holds what an attributor needs."""
        return {
            "comparison": lambda: self.compare is not None,
            "families": lambda: self.families is not None,
            "model": lambda: self.model is not None,
            "gradients": lambda: has_gradients(self.model),
            "models": lambda: bool(self.models),
            "checkpoints": lambda: self.record is not None,
        }[need]()


@dataclass(frozen=True, eq=False)
class Scores:
    """What an attributor says.

    Attributes
    ----------
    values : ndarray of float32, shape (prompts, images)
        Rows as `Evidence.prompt_ids`, columns as the catalogue's ids. Higher: removing the image
        from training makes the query worse. NaN where there is no score.
    seconds : float
        What it costs for each prompt, on its own, with features of the catalogue and indexes
        available; NaN if unknown.
    notes : tuple of Note
        What a reader must know, such as what was left out.
    once : float
        What it costs once for a model and its catalogue, seconds, whatever is asked: a gradient
        store, say. 0 where that was there already.
    """

    values: np.ndarray
    seconds: float = float("nan")
    notes: tuple[Note, ...] = ()
    once: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, np.float32))


class Attributor(ABC):
    """One way to say which training images a query stands on.

    Attributes
    ----------
    name : str
        What it is asked for by, and listed as.
    kind : str
        A word for the group that it belongs to, such as ``text``, ``metric`` or ``oracle``.
    needs : tuple of str
        What it cannot do without, of `Need`.
    """

    name: str
    kind: str
    needs: tuple[Need, ...] = ()

    @abstractmethod
    def scores(self, evidence: Evidence) -> Scores:
        """Score every training image for every prompt of the queries.

        Raises
        ------
        InputError
            What it needs is missing, or it is undefined for a prompt.
        """

    def missing(self, evidence: Evidence) -> str | None:
        """Return why it cannot score this evidence; None if it can."""
        lacking = [need for need in self.needs if not evidence.has(need)]
        return WHY_MISSING[lacking[0]] if lacking else None

    def draws(self) -> Sequence[Attributor]:
        """Return what is judged in its name, and averaged: itself, or several draws if random."""
        return [self]


def dense(table: pd.DataFrame, evidence: Evidence) -> np.ndarray:
    """Return a table of scores as float32 (prompts, images), NaN where it has none.

    Parameters
    ----------
    table : DataFrame
        Columns prompt_id, image_id, score; pairs that the evidence does not have are left out.
    evidence : Evidence
    """
    rows = pd.Index(evidence.prompt_ids).get_indexer(pd.Index(table["prompt_id"]))
    columns = pd.Index(evidence.catalog.ids).get_indexer(pd.Index(table["image_id"]))
    known = (rows >= 0) & (columns >= 0)
    scores = np.full(evidence.shape, np.nan, np.float32)
    scores[rows[known], columns[known]] = table["score"].to_numpy(np.float64)[known]
    return scores

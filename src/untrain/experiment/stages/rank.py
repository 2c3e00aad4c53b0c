"""The stage ``rank``: score and order training images for each prompt by every requested ranking.

Rankings of metrics order the candidates of a prompt. Attributors order the whole catalogue, or the
candidates, by what `untrain.attribution` makes of the model, the queries and the images.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from untrain.attribution.as_ranking import Scope, ranking_of
from untrain.attribution.base import Attributor, Evidence
from untrain.attribution.registry import is_search_ranking, make_attributor, options_of
from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.notes import Note
from untrain.core.outside import read_bytes
from untrain.core.vocabulary import Arm
from untrain.experiment.stages.base import Stage, section
from untrain.runs.evidence import fitted_model, further_models, run_evidence
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.search.rank.metric_table import Ranked
from untrain.search.rank.ranking import parse_method
from untrain.search.rank.ranking import rank as rank_by
from untrain.settings.config import Config

KEPT = 1000  # images of each prompt's order over the whole catalogue, at least
DEEPER = 20  # times the largest set: other prompts may have the first images of a prompt
BESIDE_MODEL = ("comparison", "families")
"""What attributors may need without needing the model."""


def settings(run: Run) -> Any:
    """Return the rankings, the content of files that one is read from, options of attributors."""
    config = run.config
    files = [parse_method(m).file for m in config.ranking.methods if is_search_ranking(m)]
    contents = [fingerprint(read_bytes(file, None)) for file in files if file and file.is_file()]
    asked = section(run, "ranking")
    scope = asked.pop("scope")
    key: list[Any] = [asked, contents]
    if config.attributors:
        key += [section(run, "attribution"), config.further_seeds, config.seed, scope]
        key += [_kept(config)] if scope == "catalogue" else []
    return key


def rank(run: Run) -> None:
    """Write ``ranking.parquet``."""
    attributors = RunAttributors(run)
    comparison, retrieval = run.table("comparison"), run.table("retrieval")

    def one(method: str) -> Ranked:
        if not is_search_ranking(method):
            return attributors.rank(method, retrieval)
        return rank_by(method, comparison, retrieval, run.prompts, run.catalog.ids)

    tables, notes = rank_all(run.config.ranking.methods, one, run.config.deciding_rankings)
    for note in notes:
        run.warn(note)
    run.keep("ranking", pd.concat(tables, ignore_index=True))


def rank_all(
    methods: Sequence[str], one: Callable[[str], Ranked], needed: Collection[str] = ()
) -> tuple[list[pd.DataFrame], list[Note]]:
    """Return a table for each ranking, and notes on those that are missing.

    Those that determine what is removed (the first, and the others ``needed``) must be defined;
    another that cannot be computed (the study's with negative features, for example) is left out
    with a note.

    Raises
    ------
    InputError
        A ranking that is needed cannot be computed.
    """
    tables, notes = [], []
    for method in methods:
        try:
            ranked = one(method)
        except InputError as error:
            if method in (methods[0], *needed):
                raise
            text = f"The ranking {method} is left out: {error}."
            notes.append(Note("ranking-left-out", text, (method,)))
            continue
        notes += [replace(note, text=f"{note}.") for note in ranked.notes]
        tables.append(ranked.table)
    return tables, notes


@dataclass(frozen=True, eq=False)
class RunAttributors:
    """The attributors of a run, and what they may look at, opened when first needed."""

    run: Run

    def make(self, method: str) -> Attributor:
        """Return an attributor with the options that the settings give it."""
        return make_attributor(method, **options_of(method, self.run.config.attribution.options))

    def rank(self, method: str, retrieval: pd.DataFrame) -> Ranked:
        """Return the ranking by an attributor, in the scope of the settings."""
        attributor = self.make(method)
        bare = set(attributor.needs) <= set(BESIDE_MODEL)
        return ranking_of(attributor, self._bare if bare else self._whole, self._scope(retrieval))

    def _scope(self, retrieval: pd.DataFrame) -> Scope:
        if self.run.config.ranking.scope == "candidates":
            return Scope(len(self.run.catalog), candidates=retrieval)
        return Scope(*_kept(self.run.config))

    @cached_property
    def _bare(self) -> Evidence:
        return run_evidence(self.run, read_queries(self.run.folder))

    @cached_property
    def _whole(self) -> Evidence:
        """Evidence with model A and the further models that the settings ask for."""
        if self.run.given_pictures:
            return self._bare
        return replace(self._bare, model=fitted_model(self.run), models=further_models(self.run))


def _kept(config: Config) -> tuple[int, int]:
    """Return how many of the first and of the last images of an order are kept.

    Sets are taken from the front, those that are least similar from the back; a prompt goes on
    down its order where others hold its images.
    """
    largest = DEEPER * config.removal.k[-1]
    last = largest if Arm.LEAST_SIMILAR in config.removal.arms else 0
    return max(KEPT, config.retrieval.top, largest), last


STAGE = Stage(
    name="rank",
    help=STAGE_HELP["rank"],
    work=rank,
    settings=settings,
    after=("compare",),
    outputs=("ranking.parquet",),
)

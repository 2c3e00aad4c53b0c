"""Attribution by similarity: one metric, a rule on several, fitted weights; or scores of a file."""

from __future__ import annotations

import numpy as np

from untrain.attribution.base import Attributor, Evidence, Scores, dense
from untrain.attribution.whole_comparison import clocked
from untrain.core.notes import Note
from untrain.search.rank.ranking import metrics_of, parse_method, rank


class ByRanking(Attributor):
    """A ranking of `untrain.search.rank.ranking`, over the whole catalogue.

    Parameters
    ----------
    name : str
        As `rank` takes it: one of its rules, ``metric:…``, ``fitted:FILE`` or ``scores:FILE``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = parse_method(name).kind or "ranking"
        if self.kind != "scores":
            self.needs = ("comparison",)

    def missing(self, evidence: Evidence) -> str | None:
        """Return why it cannot score this evidence, such as a metric that was not measured."""
        why = super().missing(evidence)
        if why is None and self.kind == "metric":
            (metric,) = metrics_of(self.name)
            if metric not in evidence.comparison.table:
                return f"{metric} was not measured"
        return why

    def scores(self, evidence: Evidence) -> Scores:
        """Rank all images, see `Attributor.scores`."""
        own = self.kind == "scores"
        compared = evidence.prompts if own else evidence.comparison.table
        found, seconds = clocked(
            lambda: rank(self.name, compared, None, evidence.prompts, evidence.catalog.ids)
        )
        cost = np.nan if own else evidence.comparison.cost(metrics_of(self.name))
        values = dense(found.table, evidence)
        return Scores(values, cost + seconds / len(values), _shortened(found.notes))


def _shortened(notes: tuple[Note, ...]) -> tuple[Note, ...]:
    """Return the first note, which stands for those alike."""
    if len(notes) < 2:
        return notes
    first = notes[0]
    return (Note(first.code, f"{first} (and {len(notes) - 1} more such)", first.about),)

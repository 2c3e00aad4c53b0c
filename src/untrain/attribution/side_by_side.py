"""Likeness and influence side by side: what a trace found, and what the model stands on.

A trace ranks only the images that it compared; influence ranks the whole catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from untrain.attribution.agreement import Agreement, agreement, places
from untrain.attribution.attribute import Attributed
from untrain.core.schema import records
from untrain.search.trace import Trace

COLUMNS = (
    *("image_id", "likeness_rank", "likeness_score", "influence_rank", "influence_score"),
    "caption",
)


@dataclass(frozen=True, eq=False)
class SideBySide:
    """The same pictures by likeness and by influence.

    Attributes
    ----------
    trace : Trace
    influence : Attributed
        Of the same pictures by the same names; its first method counts.
    captions : mapping of str to str
        Of each image that either of the two shows.
    top : int
        Images that each shows.
    """

    trace: Trace
    influence: Attributed
    captions: Mapping[str, str]
    top: int

    @property
    def method(self) -> str:
        """How influence was computed."""
        return self.influence.methods[0]

    @cached_property
    def agreement(self) -> dict[str, Agreement]:
        """How far the two agree, by query."""
        return {
            query: agreement(self._likeness(query), self._influence(query), self.top)
            for query in self.influence.prompts["prompt_id"]
        }

    def table(self, query: str) -> pd.DataFrame:
        """Return the images that either of the two shows of a query, nearest first.

        Columns image_id; likeness_rank and likeness_score, missing of images that the trace did not
        compare; influence_rank and influence_score, missing of images without a score; caption.
        """
        likeness, influence = self._likeness(query), self._influence(query)
        by = {"likeness": likeness, "influence": influence}
        ranks = {name: places(scores) for name, scores in by.items()}
        shown = np.zeros(len(likeness), bool)
        for ranked in ranks.values():
            shown |= (ranked > 0) & (ranked <= self.top)
        at = np.flatnonzero(shown)
        table = pd.DataFrame({"image_id": [self.influence.image_ids[i] for i in at.tolist()]})
        for name, ranked in ranks.items():
            table[f"{name}_rank"] = np.where(ranked[at] > 0, ranked[at], np.nan)
            table[f"{name}_score"] = by[name][at].astype(np.float64)
        table["caption"] = [self.captions[image_id] for image_id in table["image_id"]]
        return table.sort_values(
            ["likeness_rank", "influence_rank"], na_position="last", ignore_index=True
        )[list(COLUMNS)]

    def to_dict(self, query: str) -> dict[str, Any]:
        """Return what stands beside the hits of a query, as JSON holds it."""
        return {
            "method": self.method,
            "agreement": self.agreement[query].to_dict(),
            "side_by_side": records(self.table(query)),
        }

    def _likeness(self, query: str) -> np.ndarray:
        """Return the scores of the images compared in the order of their ranks, NaN of others."""
        ranked = self.trace.ranked[self.trace.ranked["query"] == query]
        scores = np.full(len(self.influence.image_ids), np.nan)
        scores[ranked["position"].to_numpy()] = ranked["score"].to_numpy()
        return scores

    def _influence(self, query: str) -> np.ndarray:
        row = int(np.flatnonzero(self.influence.prompts["prompt_id"] == query)[0])
        found: np.ndarray = self.influence.values[self.method][row]
        return found

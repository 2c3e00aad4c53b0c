"""Every measure of one model: of the queries, held-out pairs and the images that were removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from untrain.core import vocabulary
from untrain.encoders.base import Encoder
from untrain.evaluation import measures as ms
from untrain.generators.base import Generator, has_likelihood
from untrain.generators.queries import Queries


@dataclass(frozen=True, eq=False)
class Pairs:
    """Training or held-out pairs as a generator reads them.

    Attributes
    ----------
    samples : ndarray, shape (n, …)
        As `untrain.generators.base.Generator.encode` returns them.
    captions : sequence of str
    """

    samples: np.ndarray
    captions: Sequence[str]


class ModelMeasures:
    """What to measure of each model of a run.

    Parameters
    ----------
    queries : Queries
        With samples.
    references : mapping of str to ndarray
        The reference picture of each prompt_id, uint8 height × width × 3.
    encoder : Encoder
    held_out : Pairs, optional
        Pairs that no model saw.
    removed : mapping of str to Pairs, optional
        By prompt_id, the pairs of its primary forget set: did their removal work at all?
    """

    def __init__(
        self,
        queries: Queries,
        references: Mapping[str, np.ndarray],
        encoder: Encoder,
        held_out: Pairs | None = None,
        removed: Mapping[str, Pairs] | None = None,
    ) -> None:
        self.queries, self.encoder = queries, encoder
        self.held_out, self.removed = held_out, removed or {}
        self.pictures = np.stack(list(queries.pictures))
        self.features = encoder.encode(list(self.pictures))
        encoded = dict(zip(references, encoder.encode(list(references.values())), strict=True))
        self.reference_features = np.stack([encoded[prompt_id] for prompt_id, _ in queries.keys])

    def of_sampler(self, model_id: str, model: Generator) -> list[ms.Row]:
        """Measure the model that generated the queries; return rows of measures."""
        cosines = ms.cosine_rows(self.reference_features, self.features)
        rows = self._surprise(model_id, model)
        rows += [
            (model_id, *key, vocabulary.Measure.REFERENCE_COSINE, float(cosine))
            for key, cosine in zip(self.queries.keys, cosines, strict=True)
        ]
        return rows + self._dissimilarity(model_id, model, self.features)

    def of_model(
        self, model_id: str, model: Generator, redrawn: Sequence[np.ndarray]
    ) -> list[ms.Row]:
        """Measure another model by what it generated instead of the queries, aligned with them."""
        pictures = np.stack(list(redrawn))
        features = self.encoder.encode(list(pictures))
        rows = self._surprise(model_id, model)
        rows += ms.deviation_rows(
            model_id,
            self.queries.keys,
            self.pictures,
            pictures,
            self.features,
            features,
            self.reference_features,
        )
        return rows + self._dissimilarity(model_id, model, features)

    def _surprise(self, model_id: str, model: Generator) -> list[ms.Row]:
        """Return how surprised a model is by all of them, if it has a likelihood."""
        if not has_likelihood(model):
            return []
        surprise = ms.Surprise(model.log_likelihood, model.unit)  # type: ignore[attr-defined]
        samples = self.queries.samples
        assert samples is not None
        rows = surprise.rows(model_id, self.queries.keys, samples, self.queries.prompts)
        if self.held_out is not None:
            held = self.held_out
            rows.append(
                surprise.mean_row(model_id, None, held.samples, held.captions, vocabulary.held_out)
            )
        for prompt_id, pairs in self.removed.items():
            rows.append(
                surprise.mean_row(
                    model_id, prompt_id, pairs.samples, pairs.captions, vocabulary.removed
                )
            )
        return rows

    def _dissimilarity(self, model_id: str, model: Generator, features: np.ndarray) -> list[ms.Row]:
        """Return how dissimilar a model's pictures are to the queries, if it has no likelihood."""
        if has_likelihood(model):
            return []
        return ms.dissimilarity_rows(model_id, self.queries.keys, self.features, features)

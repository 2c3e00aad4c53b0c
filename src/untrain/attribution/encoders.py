"""Attribution by the features of an encoder: the cosine with a prompt's pictures, or its words."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from untrain.attribution.base import Attributor, Evidence, Scores
from untrain.attribution.whole_comparison import CHUNK, clocked
from untrain.encoders import load_encoder
from untrain.encoders.base import Encoder, encode_text, pooled
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.search.compare.features import cosine


class EncoderCosine(Attributor):
    """Mean cosine of pooled features, of each image with the prompt's pictures or its text.

    Parameters
    ----------
    name : str
        ``encoder:NAME``, as `untrain.encoders.load_encoder` takes the NAME.
    words : bool
        Ask by the prompt's text instead of its pictures; the encoder must read words.
    """

    kind = "encoder"

    def __init__(self, name: str, words: bool = False) -> None:
        self.words = words
        self.name = f"{name}, text" if words else name
        self._encoder_name = name.partition(":")[2]

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of pooled features."""
        return pooled(load_encoder(self._encoder_name))

    def missing(self, evidence: Evidence) -> str | None:
        """Return why it cannot score this evidence: the encoder does not read words."""
        if self.words and encode_text(self.encoder, evidence.texts[:1]) is None:
            return f"the encoder {self._encoder_name} does not read words"
        return super().missing(evidence)

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, a chunk of the catalogue at a time; see `Attributor.scores`."""
        bar = f"features, {self._encoder_name}"
        stored, rows = FeatureStore(None, self.encoder).index(evidence.catalog, bar)
        asked, encoding = clocked(lambda: self._asked(evidence))

        def compared() -> np.ndarray:
            parts = []
            for start in range(0, len(rows), CHUNK):
                block = widen(stored[rows[start : start + CHUNK]])
                parts.append(np.stack([cosine(of, block).mean(axis=0) for of in asked]))
            return np.concatenate(parts, axis=1)

        values, comparing = clocked(compared)
        return Scores(values, (encoding + comparing) / len(asked))

    def _asked(self, evidence: Evidence) -> list[np.ndarray]:
        """Return the features that each prompt is asked by, (m, d) each."""
        if self.words:
            features = encode_text(self.encoder, evidence.texts)
            assert features is not None
            return [row[None] for row in features]
        return [self.encoder.encode(own.pictures) for _, own in evidence.queries.by_prompt()]

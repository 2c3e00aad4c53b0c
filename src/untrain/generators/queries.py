"""Queries: the generated pictures that are asked about, with the prompts they were drawn for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from untrain.generators.base import Generator
from untrain.generators.noise import noise_batch


@dataclass(frozen=True, eq=False)
class Queries:
    """Generated pictures, one query each.

    Attributes
    ----------
    keys : tuple of (str, int)
        (prompt_id, generation) of each picture; those of a prompt follow each other.
    texts : mapping of str to str
        The text of each prompt_id, in the order of the prompts.
    pictures : sequence of ndarray of uint8, each height × width × 3
    samples : ndarray, shape (n, …), or None
        What the generator sampled (`untrain.generators.base.Generations.samples`), aligned with
        ``keys``; None where pictures were given instead of drawn.
    """

    keys: tuple[tuple[str, int], ...]
    texts: Mapping[str, str]
    pictures: Sequence[np.ndarray]
    samples: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def prompt_ids(self) -> list[str]:
        """Ids of the prompts that have pictures, each once, in order."""
        return list(dict.fromkeys(prompt_id for prompt_id, _ in self.keys))

    @property
    def prompts(self) -> list[str]:
        """The text of each picture's prompt, aligned with ``keys``."""
        return [self.texts[prompt_id] for prompt_id, _ in self.keys]

    def rows(self, prompt_id: str) -> np.ndarray:
        """Return the positions of a prompt's pictures, int64 (m,)."""
        return np.flatnonzero([each == prompt_id for each, _ in self.keys])

    def of(self, *prompt_ids: str) -> Queries:
        """Return the queries of some prompts, in the order of the prompts named."""
        rows = [row for prompt_id in prompt_ids for row in self.rows(prompt_id).tolist()]
        return self.take(rows)

    def take(self, rows: Sequence[int]) -> Queries:
        """Return the queries at some positions, with the prompts that they have."""
        keys = tuple(self.keys[row] for row in rows)
        return Queries(
            keys,
            {prompt_id: self.texts[prompt_id] for prompt_id, _ in keys},
            [self.pictures[row] for row in rows],
            None if self.samples is None else self.samples[list(rows)],
        )

    def by_prompt(self) -> Iterator[tuple[str, Queries]]:
        """Yield each prompt_id with its queries, in order."""
        for prompt_id in self.prompt_ids:
            yield prompt_id, self.of(prompt_id)


def draw(
    model: Generator, keys: Sequence[tuple[str, int]], texts: Mapping[str, str], seed: int
) -> Queries:
    """Draw pictures whose noise depends on the seed and their keys only.

    Parameters
    ----------
    model : Generator
        Fitted or loaded.
    keys : sequence of (prompt_id, generation)
    texts : mapping of str to str
        The text of each prompt_id.
    seed : int
        Seed of the noise. With the same keys and seed, every model draws with the same noise.
    """
    noise = noise_batch(model.noise, seed, keys)
    drawn = model.generate([texts[prompt_id] for prompt_id, _ in keys], noise)
    return Queries(tuple(keys), texts, list(drawn.images), drawn.samples)

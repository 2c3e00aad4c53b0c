"""What is measured of every model of a ladder: pairs and queries, encoded once and kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from untrain.banks.ladder.sets import LadderSet
from untrain.catalogs.base import Catalog
from untrain.core.atomic import atomic_folder
from untrain.core.files import fingerprint, read_json, rng, write_json
from untrain.core.tensors import read_arrays, write_arrays
from untrain.core.vocabulary import Group
from untrain.encoders.base import Encoder
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.evaluation.measures import Surprise
from untrain.generators.base import Generator
from untrain.generators.queries import Queries
from untrain.runs.run import Run

SAMPLE = 100
"""Retained pairs that are drawn at random, and held-out pairs, that are measured."""
NEIGHBOURS = 30
"""Retained pairs nearest to the forget set that are measured beside them."""
_VERSION = 1

Values = list[tuple[str, str, float]]
"""Group, item and value of everything that was measured of a model."""


@dataclass(frozen=True, eq=False)
class Items:
    """The pairs that are measured for one forget set, beside the queries.

    Attributes
    ----------
    groups : tuple of str
        The `Group` of each.
    ids : tuple of str
        The image of each.
    captions : tuple of str
    samples : ndarray, shape (n, …)
        As the generator's ``log_likelihood`` takes them.
    """

    groups: tuple[str, ...]
    ids: tuple[str, ...]
    captions: tuple[str, ...]
    samples: np.ndarray

    def measure(self, model: Generator, queries: Queries) -> Values:
        """Return the primary measure of every pair and every query; higher is worse."""
        surprise = Surprise(model.log_likelihood, model.unit)  # type: ignore[attr-defined]
        assert queries.samples is not None
        of_pairs = surprise(self.samples, self.captions)
        of_queries = surprise(queries.samples, queries.prompts)
        names = [f"{prompt_id}#{generation}" for prompt_id, generation in queries.keys]
        rows = list(zip(self.groups, self.ids, of_pairs.tolist(), strict=True))
        return rows + [
            (Group.QUERY.value, name, value)
            for name, value in zip(names, of_queries.tolist(), strict=True)
        ]

    def write(self, folder: Path) -> None:
        """Write them into a new folder."""
        with atomic_folder(folder) as temporary:
            write_arrays(temporary / "pairs.safetensors", {"samples": self.samples})
            told = {"groups": self.groups, "ids": self.ids, "captions": self.captions}
            write_json(temporary / "pairs.json", told)


def read_items(folder: Path) -> Items:
    """Read what `Items.write` wrote."""
    told = read_json(folder / "pairs.json")
    samples = read_arrays(folder / "pairs.safetensors")["samples"]
    groups, ids, captions = (tuple(told[name]) for name in ("groups", "ids", "captions"))
    return Items(groups, ids, captions, samples)


def items_key(run: Run, of: LadderSet) -> str:
    """Return the fingerprint of what is measured for a set beside the queries."""
    data = [run.catalog.fingerprint, run.held_out.fingerprint, run.trainer.shared.name]
    counts = [SAMPLE, NEIGHBOURS, run.config.seed, run.encoder.fingerprint]
    return fingerprint("ladder items", _VERSION, data, counts, list(of.ids))


def items_of(run: Run, of: LadderSet, features: Features) -> Items:
    """Choose and encode the pairs that are measured for a set; the generator must be prepared.

    All of the set; `SAMPLE` retained pairs at random, the same for all sets as far as they do not
    hold them, and the `NEIGHBOURS` nearest to the set; `SAMPLE` held-out pairs.
    """
    train, held_out, seed = run.catalog, run.held_out, run.config.seed
    near = features.nearest(of.ids, NEIGHBOURS)
    out = {*of.ids, *near}
    order = rng("ladder retained", seed).permutation(len(train))
    some = [i for i in (train.ids[row] for row in order[: SAMPLE + len(out)]) if i not in out]
    others = rng("ladder held out", seed).permutation(len(held_out))[:SAMPLE]
    chosen = [
        (Group.FORGET, train, of.ids),
        (Group.RETAINED, train, (*near, *some[:SAMPLE])),
        (Group.HELD_OUT, held_out, tuple(held_out.ids[row] for row in np.sort(others))),
    ]
    chosen = [(group, catalog, ids) for group, catalog, ids in chosen if ids]
    return Items(
        tuple(group.value for group, _, ids in chosen for _ in ids),
        tuple(image_id for _, _, ids in chosen for image_id in ids),
        tuple(c.captions[c.index[image_id]] for _, c, ids in chosen for image_id in ids),
        np.concatenate([_encoded(run.generator, c, ids) for _, c, ids in chosen]),
    )


class Features:
    """Features of all training images, read when they are first asked for.

    Parameters
    ----------
    catalog : Catalog
    encoder : Encoder
    """

    def __init__(self, catalog: Catalog, encoder: Encoder) -> None:
        self.catalog, self.encoder = catalog, encoder
        self._unit: np.ndarray | None = None

    def nearest(self, ids: Sequence[str], number: int) -> list[str]:
        """Return the images most similar to any of some others, by cosine; never one of them.

        Nor one with the same bytes as one of them.
        """
        if self._unit is None:
            stored, rows = FeatureStore(None, self.encoder).index(self.catalog, "features")
            found = widen(stored[rows])
            norms = np.linalg.norm(found, axis=1, keepdims=True)
            self._unit = np.divide(found, norms, out=np.zeros_like(found), where=norms > 0)
        own = [self.catalog.index[image_id] for image_id in ids]
        cosine = np.full(len(self.catalog), -np.inf)
        for row in own:
            np.maximum(cosine, self._unit @ self._unit[row], out=cosine)
        same = self.catalog.same_as
        cosine[np.isin(same, same[own])] = -np.inf
        best = np.argsort(-cosine, kind="stable")[:number]
        return [self.catalog.ids[row] for row in best if np.isfinite(cosine[row])]


def _encoded(generator: Generator, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
    return generator.encode(catalog.pixels(generator.image_size, ids))

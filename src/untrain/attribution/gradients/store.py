"""The gradient store: the projected gradient of a pair, computed once for a model.

It is known by the model's weights, what the model was fitted on, the output and the projection, so
that all queries and all methods that need the same rows share them. Rows are known by their pairs:
of pictures that were added only theirs are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Yields
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch

from untrain.attribution.gradients.kernel import Rows, inverse, remaining
from untrain.attribution.gradients.layers import factors, sizes_of
from untrain.attribution.gradients.outputs import Output
from untrain.attribution.gradients.projection import Projection, make_projection
from untrain.catalogs.base import Catalog
from untrain.core.cache import cache_folder, cached
from untrain.core.digests import digests_of_texts
from untrain.core.errors import InputError, is_disk_full
from untrain.core.files import fingerprint
from untrain.core.growing import GrowingTable
from untrain.core.hardware import device
from untrain.core.progress import bar
from untrain.core.tensors import read_array, write_array
from untrain.generators.base import Generator
from untrain.generators.differentiable import Batch, Differentiable, differentiable
from untrain.generators.queries import Queries

KIND = "gradients"
VERSION = 2
BATCH = 32  # pairs in one pass
PART = 8 * BATCH  # pairs that another machine gets at a time
BLOCK = 1 << 25  # bytes written at a time: what a kill can lose

Parts = Yields[tuple[np.ndarray, np.ndarray], None, None]
"""What `GradientStore.compute` returns, of some pairs after others."""


class Elsewhere(Protocol):
    """Computes the rows of a store on other machines."""

    def __call__(self, store: GradientStore, parts: Sequence[Sequence[str]]) -> Parts:
        """Yield what ``compute`` returns of each part, ids of pairs of the store's catalogue."""
        ...


class GradientStore:
    """Rows of gradients of a fitted model, on disk, memory-mapped.

    Under ``<cache>/gradients/<key>/`` lies an `untrain.core.growing.GrowingTable` of ``rows``,
    half-precision rows of length one, and ``scales``, their lengths, by id, caption and content of
    the pair. What is made of all rows, such as `inverse`, is of the pairs that the model was
    fitted on, whatever else is stored.

    Parameters
    ----------
    generator : Generator
        Fitted, with the differentiable contract.
    catalog : Catalog
        What it was trained on.
    output : Output
        What is differentiated.
    dimensions : int
        Numbers in a row, shared out among the layers; 0 is all parameters of the layers.
    draws : int
        Over how many draws of what is random in training a gradient is the mean.
    seed : int
        Of the projection.
    folder : Path, optional
        Where stores are kept; default: the user's cache.
    elsewhere : Elsewhere, optional
        Computes what is missing; by default this process does.

    Raises
    ------
    InputError
        The generator has no such output, or its gradients are not finite.
    """

    def __init__(
        self,
        generator: Generator,
        catalog: Catalog,
        output: Output,
        dimensions: int,
        draws: int = 1,
        seed: int = 0,
        folder: Path | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        if why := output.missing(generator):
            raise InputError(why)
        self.generator, self.catalog, self.output, self.draws = generator, catalog, output, draws
        self.seed, self.elsewhere = seed, elsewhere
        self.dimensions = dimensions  # as asked for; a projection has about as many
        self.asked = differentiable(generator)
        self.projection: Projection = make_projection(sizes_of(self.asked), dimensions, seed)
        self.key = fingerprint(
            "gradients", VERSION, weights_of(generator), generator.fingerprint(catalog),
            catalog.fingerprint, output.name, self.projection.dimensions, draws, seed,
        )  # fmt: skip
        self.folder = (cache_folder(KIND) if folder is None else folder) / self.key
        self.table = GrowingTable(
            self.folder,
            {"rows": ("float16", self.projection.dimensions), "scales": ("float32", 1)},
            {"version": VERSION},
            lambda: {"description": self.name},
        )

    @cached_property
    def rows(self) -> Rows:
        """The gradients of all pairs it was trained on, in order; those missing are computed."""
        return self.rows_of(self.catalog)

    def rows_of(self, catalog: Catalog) -> Rows:
        """Return the gradients of pairs, in their order; those missing are computed and stored.

        Parameters
        ----------
        catalog : Catalog
            What the model was trained on, some of it, or more. Of a catalogue that it was not
            trained on, the generator must be able to make batches.

        Raises
        ------
        InputError
            A gradient is not finite, the disk is full, or the generator knows no other catalogue.
        """
        digests = digests_of_pairs(catalog)
        while (at := self.table.find(digests)).size and at.min() < 0:
            self._write(catalog, digests, np.flatnonzero(at < 0))
        scales = self.table.column("scales")[:, 0]
        layers = list(self.projection.columns.values())
        return Rows(self.table.column("rows"), np.asarray(scales), layers, at)

    def inverse(self, damping: float) -> np.ndarray:
        """Return `untrain.attribution.gradients.kernel.inverse` of the rows, memory-mapped."""
        return self._kept("inverse", damping, lambda: inverse(self.rows, damping))

    def strength(self, damping: float) -> float:
        """Return λ of a damping: that times the mean squared length of the rows."""
        mean = self._kept("mean square", 0.0, lambda: self.rows.squares().mean(keepdims=True))
        return damping * float(mean[0])

    def remaining(self, damping: float) -> np.ndarray:
        """Return `untrain.attribution.gradients.kernel.remaining` of the rows."""
        return self._kept(
            "leverage", damping, lambda: remaining(self.rows, self.inverse(damping), damping)
        )

    def _kept(self, what: str, damping: float, make: Callable[[], np.ndarray]) -> np.ndarray:
        found, _ = cached(
            KIND,
            f"{self.key}-{fingerprint(what, damping)}",
            {"description": f"{what} of {self.name}", "rows": len(self.catalog)},
            make=make,
            save=lambda made, path: write_array(path.with_suffix(".npy"), made),
            load=lambda path: read_array(path.with_suffix(".npy")),
        )
        return found

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"{self.output.name} gradients of a model of {self.catalog.name}"

    def of_queries(self, own: Queries) -> np.ndarray:
        """Return the gradient of each query, float32 (queries, dimensions).

        Raises
        ------
        InputError
            The queries have no samples, or their gradients are not finite.
        """
        found = []
        for part, batch in query_batches(self.asked, own):
            projected = self._projected(batch, len(part), self.output.of_queries)
            names = [f"query {generation} of {prompt_id}" for prompt_id, generation in part.keys]
            found.append(finite(projected, names))
        return np.concatenate(found)

    def _write(self, catalog: Catalog, digests: np.ndarray, missing: np.ndarray) -> None:
        """Compute the rows of the pairs at ``missing``, and write them as they come."""
        if len(missing) == len(digests) - missing[0]:  # all from a place on, where a stop was:
            start = missing[0] - missing[0] % BATCH  # so that a pass holds the same pairs anyway
            missing = np.arange(start, len(digests))
        pending: list[tuple[np.ndarray, np.ndarray]] = []
        first = end = 0
        ids = [catalog.ids[row] for row in missing]
        with (
            bar(f"gradients, {self.output.name}", len(ids)) as advance,
            closing(self._computed(catalog, ids)) as parts,
        ):
            for rows, scales in parts:
                pending.append((rows, scales))
                advance(len(rows))
                end += len(rows)
                if (end - first) * rows[:1].nbytes >= BLOCK or end == len(missing):
                    both = (np.concatenate(each) for each in zip(*pending, strict=True))
                    self.add(digests[missing[first:end]], *both)
                    pending, first = [], end

    def _computed(self, catalog: Catalog, ids: Sequence[str]) -> Parts:
        """Yield what `compute` returns of all pairs, of a pass or a part at a time."""
        if self.elsewhere is not None and catalog is self.catalog:
            yield from self.elsewhere(
                self, [ids[start : start + PART] for start in range(0, len(ids), PART)]
            )
            return
        for start in range(0, len(ids), BATCH):
            yield self.compute(catalog, ids[start : start + BATCH])

    def compute(self, catalog: Catalog, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of pairs as they are stored, and their scales; nothing is written.

        Rows are float16 (n, dimensions), scales float32 (n,).

        Raises
        ------
        InputError
            A gradient is not finite.
        """
        batches = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
        gradients = np.concatenate([self._of_pairs(catalog, batch) for batch in batches])
        lengths = np.linalg.norm(gradients, axis=1)
        scales = np.where(lengths > 0, lengths, 1).astype(np.float32)
        # Of length √dimensions, numbers are about one, where half precision is at its best.
        scales /= np.float32(np.sqrt(self.projection.dimensions))
        return (gradients / scales[:, None]).astype(np.float16), scales

    def _of_pairs(self, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
        total = torch.zeros(len(ids), self.projection.dimensions, device=device())
        for draw in range(self.draws):
            batch = self.asked.training_batch(catalog, ids, draw)
            total += self._projected(batch, len(ids), self.output.of_pairs)
        return finite(total / self.draws, ids)

    def _projected(self, batch: Batch, n: int, output: object) -> torch.Tensor:
        rows = torch.zeros(n, self.projection.dimensions, device=device())
        factors(self.asked, output, batch, lambda *of: self.projection.add(rows, *of))  # type: ignore[arg-type]
        return rows

    def add(self, digests: np.ndarray, rows: np.ndarray, scales: np.ndarray) -> None:
        """Store what `compute` returned, by what `digests_of_pairs` says of the pairs.

        Of a row that is there already the stored one stays.

        Raises
        ------
        InputError
            The disk is full.
        """
        try:
            self.table.add(digests, {"rows": rows, "scales": scales})
        except OSError as error:
            if not is_disk_full(error):
                raise
            size = len(self.catalog) * rows[:1].nbytes / 2**20
            raise InputError(
                f"the disk is full: the gradients of {len(self.catalog):,} pairs take "
                f"{size:,.0f} MiB in {self.folder}. What is there is kept: make room, ask for "
                "fewer dimensions or set UNTRAIN_CACHE, and start again"
            ) from None


def digests_of_pairs(catalog: Catalog) -> np.ndarray:
    """Return what the pairs of a catalogue are known by, uint64 (n, 4).

    It depends on a pair's id, caption and bytes and on how its picture is brought to size.
    """
    pairs = zip(catalog.ids, catalog.captions, catalog.hashes, strict=True)
    return digests_of_texts("\0".join((*pair, catalog.resize)) for pair in pairs)


def query_batches(generator: Differentiable, queries: Queries) -> Iterator[tuple[Queries, Batch]]:
    """Yield queries, a few at a time, with their batch.

    Raises
    ------
    InputError
        They have no samples.
    """
    if queries.samples is None:
        raise InputError(
            "the pictures have no samples, which the model would need to say how likely they "
            "are: encode them with the generator first"
        )
    for start in range(0, len(queries), BATCH):
        part = queries.take(range(start, min(start + BATCH, len(queries))))
        assert part.samples is not None
        yield part, generator.query_batch(part.samples, part.prompts)


def weights_of(generator: Generator) -> str:
    """Return the fingerprint of what a fitted generator has learnt."""
    module = differentiable(generator).module()
    learnt = ((n, p) for n, p in module.named_parameters() if p.requires_grad)
    return fingerprint(*(part for n, p in learnt for part in (n, cast(np.ndarray, _array(p)))))


def _array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().float().cpu().numpy()


def finite(rows: torch.Tensor, names: Sequence[str]) -> np.ndarray:
    """Return rows as an array; name those that are not finite."""
    broken = (~torch.isfinite(rows).all(1)).nonzero().flatten().tolist()
    if broken:
        named = ", ".join(names[row] for row in broken[:5])
        raise InputError(
            f"the gradient of {named}{' and others' if len(broken) > 5 else ''} is not finite: "
            "the model says infinity or no number there. Train it again with a lower rate, or "
            "leave these images out"
        )
    return rows.cpu().numpy()

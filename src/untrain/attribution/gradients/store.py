"""The gradient store: the projected gradient of every pair of a catalogue, computed once.

It is known by the model's weights, the catalogue, the output and the projection, so that all
queries and all methods that need the same rows share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from filelock import FileLock

from untrain.attribution.gradients.kernel import Rows, inverse, remaining
from untrain.attribution.gradients.layers import factors, sizes_of
from untrain.attribution.gradients.outputs import Output
from untrain.attribution.gradients.projection import Projection, make_projection
from untrain.catalogs.base import Catalog
from untrain.core.cache import cache_folder, cached, mark_used
from untrain.core.errors import InputError, is_disk_full
from untrain.core.files import fingerprint, mark, read_json, write_json
from untrain.core.growing import append_at, bytes_in
from untrain.core.hardware import device
from untrain.core.progress import bar
from untrain.generators.base import Generator
from untrain.generators.differentiable import Batch, Differentiable, differentiable
from untrain.generators.queries import Queries

KIND = "gradients"
FILES = ("rows.bin", "scales.bin", "meta.json", "lock")
VERSION = 1
BATCH = 32  # pairs in one pass
BLOCK = 1 << 25  # bytes written at a time: what a kill can lose


class GradientStore:
    """Rows of gradients of a fitted model, on disk, memory-mapped.

    Under ``<cache>/gradients/<key>/`` lie ``rows.bin``, half-precision rows of length one, and
    ``scales.bin``, their lengths, in the order of the catalogue, and ``meta.json``. Rows are only
    ever added, under a lock, rows before scales: a row counts if both files hold all of it, and
    what a kill or a full disk left of another is cut off before the next is written.

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
    ) -> None:
        if why := output.missing(generator):
            raise InputError(why)
        self.generator, self.catalog, self.output, self.draws = generator, catalog, output, draws
        self.asked = differentiable(generator)
        self.projection: Projection = make_projection(sizes_of(self.asked), dimensions, seed)
        self.key = fingerprint(
            "gradients", VERSION, weights_of(generator), generator.fingerprint(catalog),
            catalog.fingerprint, output.name, self.projection.dimensions, draws, seed,
        )  # fmt: skip
        self.folder = (cache_folder(KIND) if folder is None else folder) / self.key

    @cached_property
    def rows(self) -> Rows:
        """The gradients of all pairs, in the order of the catalogue; those missing are computed."""
        while (known := self._known()) < len(self.catalog):
            self._extend(known)
        mark_used(self.folder)
        shape = len(self.catalog), self.projection.dimensions
        stored = np.memmap(self.folder / "rows.bin", np.float16, "r", shape=shape)
        scales = np.fromfile(self.folder / "scales.bin", np.float32, len(self.catalog))
        return Rows(stored, scales, list(self.projection.columns.values()))

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
            save=lambda made, path: np.save(path.with_suffix(".npy"), made),
            load=lambda path: np.load(path.with_suffix(".npy"), mmap_mode="r"),
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

    def _extend(self, known: int) -> None:
        """Compute the rows from ``known`` on, and write them as they come."""
        self._begin()
        pending: list[np.ndarray] = []
        ids, row_bytes = self.catalog.ids, 2 * self.projection.dimensions
        with bar(f"gradients, {self.output.name}", len(ids) - known) as advance:
            for start in range(known, len(ids), BATCH):
                part = ids[start : start + BATCH]
                pending.append(self._of_pairs(part))
                advance(len(part))
                waiting = sum(map(len, pending))
                last = start + len(part) == len(ids)
                if waiting * row_bytes >= BLOCK or last:
                    if not self._append(start + len(part) - waiting, np.concatenate(pending)):
                        return
                    pending = []

    def _of_pairs(self, ids: Sequence[str]) -> np.ndarray:
        total = torch.zeros(len(ids), self.projection.dimensions, device=device())
        for draw in range(self.draws):
            batch = self.asked.training_batch(self.catalog, ids, draw)
            total += self._projected(batch, len(ids), self.output.of_pairs)
        return finite(total / self.draws, ids)

    def _projected(self, batch: Batch, n: int, output: object) -> torch.Tensor:
        rows = torch.zeros(n, self.projection.dimensions, device=device())
        factors(self.asked, output, batch, lambda *of: self.projection.add(rows, *of))  # type: ignore[arg-type]
        return rows

    def _known(self) -> int:
        """Return how many rows are there."""
        if not self._begun():
            return 0
        rows = bytes_in(self.folder / "rows.bin") // (2 * self.projection.dimensions)
        return min(rows, bytes_in(self.folder / "scales.bin") // 4, len(self.catalog))

    def _begun(self) -> bool:
        """Tell whether the folder says that it holds such rows."""
        try:
            meta = read_json(self.folder / "meta.json")
            found = meta["version"], meta["dimensions"]
        except (OSError, ValueError, TypeError, KeyError):
            return False
        return bool(found == (VERSION, self.projection.dimensions))

    def _begin(self) -> None:
        if self._begun():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        mark(self.folder, FILES)
        write_json(
            self.folder / "meta.json",
            {
                "version": VERSION,
                "dimensions": self.projection.dimensions,
                "description": self.name,
                "rows": len(self.catalog),
                "created": datetime.now(UTC).isoformat(),
            },
        )

    def _append(self, start: int, gradients: np.ndarray) -> bool:
        """Write rows that begin at row ``start``, unless another process was quicker.

        Return whether the rows before them are there: somebody may have emptied the cache.
        """
        lengths = np.linalg.norm(gradients, axis=1)
        scales = np.where(lengths > 0, lengths, 1).astype(np.float32)
        # Of length √dimensions, numbers are about one, where half precision is at its best.
        scales /= np.float32(np.sqrt(self.projection.dimensions))
        rows = (gradients / scales[:, None]).astype(np.float16)
        try:
            with FileLock(self.folder / "lock"):
                known = self._known()
                if known < start:
                    return False
                if known < start + len(rows):
                    append_at(self.folder / "rows.bin", start * rows[:1].nbytes, rows)
                    append_at(self.folder / "scales.bin", start * 4, scales)
        except OSError as error:
            if not is_disk_full(error):
                raise
            size = len(self.catalog) * rows[:1].nbytes / 2**20
            raise InputError(
                f"the disk is full: the gradients of {len(self.catalog):,} pairs take "
                f"{size:,.0f} MiB in {self.folder}. What is there is kept: make room, ask for "
                "fewer dimensions or set UNTRAIN_CACHE, and start again"
            ) from None
        return True


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

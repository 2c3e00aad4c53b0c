"""A training done once more, to look into it: checkpoints of a model of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from untrain.catalogs.base import Catalog
from untrain.core.cache import cached, recall
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.progress import bar
from untrain.core.tensors import read_torch, write_torch
from untrain.generators.base import Generator
from untrain.generators.recording import SHARES, Checkpoint, recording

KIND = "checkpoints"


class _Unrecorded(Exception):
    """A training has begun that no recorder knows of."""


def record(
    generator: Generator, catalog: Catalog, seed: int, shares: Sequence[float] = SHARES
) -> list[Checkpoint]:
    """Train ``generator`` on everything, and return checkpoints of that.

    Parameters
    ----------
    generator : Generator
        Prepared, and of no further use afterwards than any other that is fitted.
    catalog : Catalog
        With pictures, if the generator reads them.
    seed : int
        Of the training, which is the same to the bit as without a recorder.
    shares : sequence of float
        As `untrain.generators.recording.recording` takes them.

    Raises
    ------
    InputError
        The generator does not train through `untrain.generators.paired.descend`: noticed as soon
        as it reports progress.
    """
    with (
        recording(shares) as recorder,
        bar("training for checkpoints", generator.fit_work(catalog)) as advance,
    ):

        def told(n: int) -> None:
            if not recorder.begun:
                raise _Unrecorded
            advance(n)

        try:
            generator.fit(catalog, [], seed, told)
            if not recorder.checkpoints:
                raise _Unrecorded
        except _Unrecorded:
            raise InputError(
                f"no checkpoints can be had of the generator {type(generator).__qualname__}: it "
                "does not train through untrain.generators.paired.descend, which keeps them"
            ) from None
    return recorder.checkpoints


def recorded(
    generator: Generator, catalog: Catalog, seed: int, shares: Sequence[float] = SHARES
) -> list[Checkpoint]:
    """Do what `record` does, unless the cache has the checkpoints."""
    found, _ = cached(
        KIND,
        _key(generator, catalog, seed, shares),
        {"description": f"checkpoints of a model of {catalog.name}", "rows": len(shares)},
        make=lambda: record(generator, catalog, seed, shares),
        save=_save,
        load=_load,
    )
    return found


def are_recorded(
    generator: Generator, catalog: Catalog, seed: int, shares: Sequence[float] = SHARES
) -> bool:
    """Tell whether the cache has the checkpoints of a training."""
    key = _key(generator, catalog, seed, shares)
    return recall(KIND, key, lambda path: (path / "checkpoints.json").is_file()) or False


def _key(generator: Generator, catalog: Catalog, seed: int, shares: Sequence[float]) -> str:
    return fingerprint("checkpoints-1", generator.fingerprint(catalog), seed, list(shares))


def _save(made: list[Checkpoint], folder: Path) -> None:
    told = []
    for number, each in enumerate(made):
        write_torch(folder / f"{number}-weights.safetensors", each.weights)
        if each.second_moments is not None:
            write_torch(folder / f"{number}-moments.safetensors", each.second_moments)
        told.append({"step": each.step, "rate": each.rate, "epsilon": each.epsilon})
    write_json(folder / "checkpoints.json", told)


def _load(folder: Path) -> list[Checkpoint]:
    found = []
    for number, told in enumerate(read_json(folder / "checkpoints.json")):
        moments = folder / f"{number}-moments.safetensors"
        made = Checkpoint(
            weights=read_torch(folder / f"{number}-weights.safetensors"),
            second_moments=read_torch(moments) if moments.is_file() else None,
            **told,
        )
        found.append(made)
    return found

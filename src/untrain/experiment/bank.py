"""Training the models of a run: found by fingerprint, else trained by an engine."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.errors import InputError
from untrain.experiment.engines import Batch
from untrain.experiment.run import Run
from untrain.experiment.workers import report
from untrain.files import atomic_path, fingerprint, read_json, write_json
from untrain.generators.dalle import DalleGenerator
from untrain.generators.presets import preset_of


@dataclass(frozen=True)
class Order:
    """A model that is wanted: its name, its seed and what it is trained without."""

    model_id: str
    seed: int
    removed: tuple[str, ...]


def train_all(run: Run, orders: Sequence[Order], label: str, threads: int = 1) -> pd.DataFrame:
    """Have every ordered model in ``models/<fingerprint>`` and return the table of models.

    A model is known by catalogue, recipe, frozen parts, seed, thread count and removed ids; one
    that this run or a run beside it has is not trained again. Models that differ in name alone
    are one.

    Parameters
    ----------
    run : Run
    orders : sequence of Order
    label : str
        For the progress bar.
    threads : int
        A model; paired models must have the same.

    Returns
    -------
    DataFrame
        Columns model_id, seed, fingerprint, path (relative to the run folder).
    """
    keys = {order.model_id: _key(run, order, threads) for order in orders}
    missing = {keys[o.model_id]: o for o in orders if not _found(run, keys[o.model_id])}
    _write_index(run)
    run.engine.train(
        Batch(
            job=train_one,
            folder=run.folder,
            shared=run.shared_folder,
            config=run.config.to_dict(),
            models=tuple((key, o.seed, o.removed) for key, o in missing.items()),
            threads=threads,
            workers=run.config.workers,
            label=label,
            work=run.generator.fit_work(run.catalog) * len(missing),
            warn=run.warn,
        )
    )
    return pd.DataFrame(
        [(o.model_id, o.seed, keys[o.model_id], f"models/{keys[o.model_id]}") for o in orders],
        columns=["model_id", "seed", "fingerprint", "path"],
    )


def _key(run: Run, order: Order, threads: int) -> str:
    recipe = run.generator.shared_fingerprint
    where = {**platform(), "threads": str(threads)}
    return fingerprint("model-2", recipe, order.seed, sorted(order.removed), where)


def platform() -> dict[str, str]:
    """What decides the bits of a result beside recipe and threads: device and library."""
    import torch

    from untrain.generators.hardware import device, precision

    return {"torch": torch.__version__, "device": device().type, "precision": precision()}


def _found(run: Run, key: str) -> bool:
    """Tell whether the model is here, fetching it from a run beside this one if need be."""
    here = run.path("models", key)
    if (here / "removed.json").exists():
        return True
    elsewhere = run.find_elsewhere("models", key)
    if elsewhere is None:
        return False
    adopt(elsewhere, here)
    return True


def adopt(source: Path, target: Path) -> None:
    """Copy a folder from a run beside this one: by hard links where the disk allows it."""

    def link(a: str, b: str) -> None:
        try:
            os.link(a, b)
        except OSError:
            shutil.copy2(a, b)

    with atomic_path(target) as temporary:
        shutil.copytree(source, temporary, copy_function=link)


def train_one(
    folder: str, shared: str, config: dict, key: str, seed: int, removed: list[str]
) -> float:
    """Train one model in a worker and save it; return the seconds that took."""
    start = time.perf_counter()
    settings = config["generator"]
    generator = DalleGenerator(
        preset_of(settings["preset"], **settings["settings"]), seed=config["seed"]
    )
    catalog = read_index(Path(folder))
    generator.prepare(catalog, Path(shared), lambda n: None)
    generator.fit(catalog, removed, seed, report)
    seconds = time.perf_counter() - start
    with atomic_path(Path(folder) / "models" / key) as temporary:
        generator.save(temporary)
        write_json(temporary / "removed.json", {"seed": seed, "removed": sorted(removed)})
    return seconds


def load_model(run: Run, path: str) -> DalleGenerator:
    """Return a generator of the run with the weights of ``path``, for looking and measuring."""
    generator = DalleGenerator(run.generator.preset, seed=run.generator.seed)
    generator.prepare(run.catalog, run.shared_folder, lambda n: None)
    return generator.load(run.folder / path)


def _write_index(run: Run) -> None:
    """Keep what a worker needs to know of the catalogue: everything but the pictures."""
    catalog = run.catalog
    run.keep(
        "catalog",
        pd.DataFrame(
            {"image_id": catalog.ids, "caption": catalog.captions, "content": catalog.hashes}
        ),
    )


def read_index(folder: Path) -> Catalog:
    """Return the run's training catalogue without its pictures: ids, captions and hashes."""
    table = pd.read_parquet(folder / "catalog.parquet")

    def no_pictures(image_id: str) -> bytes:
        raise InputError(f"the index of a run holds no pictures (asked for '{image_id}')")

    return Catalog(
        name=folder.name,
        ids=tuple(table["image_id"]),
        captions=tuple(table["caption"]),
        hashes=tuple(table["content"]),
        read=no_pictures,
        attributes=pd.DataFrame(index=range(len(table))),
    )


def losses(run: Run, path: str) -> list[float]:
    """Return the loss curve of a model."""
    return list(read_json(run.folder / path / "model.json")["losses"])

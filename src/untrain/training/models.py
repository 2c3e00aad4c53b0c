"""Training the models of a run: found by fingerprint, else trained by an engine."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.catalogs.base import PAD, Catalog
from untrain.core.errors import InputError, UntrainError
from untrain.core.files import atomic_folder, fingerprint, read_json, write_json
from untrain.core.notes import Note
from untrain.generators.base import Generator
from untrain.generators.registry import GENERATORS, takes_precision
from untrain.runs.inputs import open_generator, open_inputs
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.settings.sections import GeneratorConfig
from untrain.training.engines import ENGINES, Batch, Model, Way
from untrain.training.worker import report


@dataclass(frozen=True)
class Order:
    """A model that is wanted: its name, its seed and what it is trained without."""

    model_id: str
    seed: int
    removed: tuple[str, ...]


def train_all(run: Run, orders: Sequence[Order], label: str, paired: bool = True) -> pd.DataFrame:
    """Have every ordered model in ``models/<fingerprint>`` and return the table of models.

    A model is known by catalogue, recipe, frozen parts, seed, removed ids, machine and way of
    training; one that this run or a run beside it has is not trained again. Models that differ in
    name alone are one.

    Parameters
    ----------
    run : Run
    orders : sequence of Order
    label : str
        For the progress bar.
    paired : bool
        Whether models are compared with each other. They must then be trained in one way, which
        is one thread a model or, on a GPU, stacks of one size. A model that is not compared may
        have all threads, or several GPUs.

    Returns
    -------
    DataFrame
        Columns model_id, seed, fingerprint, path (relative to the run folder).

    Notes
    -----
    A model's bits must follow from its fingerprint, and asking for more models, or for those that
    a kill left undone, must find the others again. In a stack the rounding depends on how many
    models there are, but not on which they are. So the fingerprint has the size and nothing else
    of a stack; the size follows from recipe and GPU alone, never from how many models are wanted
    or missing; and a stack that is short of models is filled up with some that lack nothing,
    which are thrown away. On a GPU whose memory allows another size, models are trained anew.
    """
    way = _way(run, paired)
    keys = {order.model_id: _key(run, order, way) for order in orders}
    missing = {keys[o.model_id]: o for o in orders if not _found(run, keys[o.model_id])}
    groups = _groups(missing, way.stack)
    write_index(run)
    engine = ENGINES[run.config.engine.name](run.config.engine.address)
    engine.train(
        Batch(
            job=train_group,
            folder=run.folder,
            shared=run.shared_folder,
            config=_for_workers(run),
            groups=groups,
            way=way,
            workers=_workers(run),
            label=label,
            work=run.generator.fit_work(run.catalog) * len(groups) * way.stack,
            warn=run.warn,
        )
    )
    return pd.DataFrame(
        [(o.model_id, o.seed, keys[o.model_id], f"models/{keys[o.model_id]}") for o in orders],
        columns=["model_id", "seed", "fingerprint", "path"],
    )


def _for_workers(run: Run) -> dict[str, Any]:
    """Return the configuration, its generator by a name that other processes know, and settled."""
    from untrain.core.hardware import PRECISIONS

    config = run.config.to_dict()
    settings = config["generator"]
    precision = run.generator.precision
    if precision in PRECISIONS and takes_precision(settings["name"]):
        settings["precision"] = precision  # a worker does not choose again
    settings["name"] = GENERATORS.address(settings["name"]) or settings["name"]
    return config


def _workers(run: Run) -> int | None:
    """Return how many models to train at once; one where only this process has the generator."""
    name = run.config.generator.name
    if GENERATORS.address(name) or run.config.workers == 1:
        return run.config.workers
    if run.config.engine.name != "local":
        raise InputError(
            f"the generator '{name}' is defined in the script or notebook itself, which no other "
            "machine has: put it into a module, or use the engine 'local'"
        )
    text = (
        f"The generator '{name}' is defined in the script or notebook itself, so its models are "
        "trained one after another; in a module of its own, other processes would find it."
    )
    run.warn(Note("trained-in-turn", text))
    return 1


def _way(run: Run, paired: bool) -> Way:
    """Return how models are trained here."""
    import torch

    if paired:
        return Way(stack=run.generator.stack_size)
    processes = run.generator.processes
    return Way(threads=torch.get_num_threads() if processes == 1 else 1, processes=processes)


def _groups(missing: dict[str, Order], size: int) -> tuple[tuple[Model, ...], ...]:
    """Return which models are trained in one pass: of one seed, ``size`` at most."""
    of_seed: dict[int, list[Model]] = {}
    for key, order in missing.items():
        of_seed.setdefault(order.seed, []).append(Model(key, order.seed, order.removed))
    return tuple(
        tuple(models[i : i + size])
        for models in of_seed.values()
        for i in range(0, len(models), size)
    )


def _key(run: Run, order: Order, way: Way) -> str:
    recipe = run.generator.fingerprint(run.catalog)
    where = {**platform(run.generator.precision), "threads": str(way.threads)}
    # A model trained by itself is known as it was before there were other ways.
    where |= {"stack": str(way.stack)} if way.stack > 1 else {}
    where |= {"processes": str(way.processes)} if way.processes > 1 else {}
    return fingerprint("model-2", recipe, order.seed, sorted(order.removed), where)


def platform(precision: str | None) -> dict[str, str]:
    """What decides the bits of a result beside recipe and threads: library, device, precision.

    A generator whose ``precision`` is None decides that for itself, in its recipe.
    """
    import torch

    from untrain.core.hardware import device

    where = {"torch": torch.__version__, "device": device().type}
    return {**where, "precision": precision} if precision else where


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

    with atomic_folder(target) as temporary:
        shutil.copytree(source, temporary, copy_function=link, dirs_exist_ok=True)


def train_group(
    folder: str, shared: str, config: dict, group: tuple[Model, ...], way: Way
) -> float:
    """Train the models of a group in a worker and save each; return the seconds that took."""
    start = time.perf_counter()
    settings = GeneratorConfig.model_validate(config["generator"])
    generator = open_generator(settings, config["seed"])
    catalog = read_index(Path(folder))
    if generator.reads_pictures:
        catalog = _with_pictures(catalog, config)
    generator.prepare(catalog, Path(shared), lambda n: None)
    fitted = _fit(generator, catalog, group, way)
    seconds = time.perf_counter() - start
    for model, each in zip(group, fitted, strict=False):  # not those that filled a stack up
        with atomic_folder(Path(folder) / "models" / model.key) as temporary:
            each.save(temporary)
            if not (temporary / "model.json").exists():
                told = {"losses": list(map(float, each.losses)), "precision": each.precision}
                write_json(temporary / "model.json", told)
            removed = {"seed": model.seed, "removed": sorted(model.removed)}
            write_json(temporary / "removed.json", removed)
    return seconds


def _fit(generator: Generator, catalog: Catalog, group: tuple[Model, ...], way: Way) -> list[Any]:
    """Return a fitted generator for each model of a group, and for what fills its stack up."""
    import torch

    stacked: Any = generator  # which has these methods if it says so
    seed, removed = group[0].seed, [model.removed for model in group]
    try:
        if way.stack > 1:
            removed += [()] * (way.stack - len(removed))
            return stacked.fit_stack(catalog, removed, seed, report)
        if way.processes > 1:
            stacked.fit_across(catalog, removed[0], seed, report, way.processes)
        else:
            generator.fit(catalog, removed[0], seed, report)
        return [generator]
    except torch.cuda.OutOfMemoryError:
        raise UntrainError(
            f"the GPU has too little free memory to train {way.stack} of these models in one pass: "
            "end what else uses it, or set fewer workers, and run the same command again"
        ) from None


def load_model(run: Run, path: str) -> Any:
    """Return a generator of the run with the weights of ``path``, for looking and measuring."""
    generator = run.new_generator()
    generator.prepare(run.catalog, run.shared_folder, lambda n: None)
    return generator.load(run.folder / path)


def write_index(run: Run) -> None:
    """Keep what a worker needs to know of the catalogue: everything but the pictures."""
    catalog = run.catalog
    index = pd.DataFrame(
        {"image_id": catalog.ids, "caption": catalog.captions, "content": catalog.hashes}
    )
    index.attrs["resize"] = catalog.resize  # the fingerprint knows it
    run.keep("catalog", index)


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
        resize=table.attrs.get("resize", PAD),
    )


def _with_pictures(index: Catalog, config: dict[str, Any]) -> Catalog:
    """Open the catalogue of a configuration once more, in a worker whose generator reads it."""
    found = open_inputs(Config.model_validate(config)).train
    if found.fingerprint != index.fingerprint:
        raise InputError(
            f"the data of this run ({found.name}, {len(found)} images) are not what they were when "
            f"it began ({len(index)} images): they changed meanwhile, or this machine has others"
        )
    return found


def losses(run: Run, path: str) -> list[float]:
    """Return the loss curve of a model; nothing where its generator keeps none."""
    return list(read_json(run.folder / path / "model.json").get("losses") or [])

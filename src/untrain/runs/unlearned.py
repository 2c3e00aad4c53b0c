"""Unlearned models of a run: ``unlearned/<method>-<key>``, or where the user wants them.

Such a folder holds what the generator's ``save`` wrote, so that it serves wherever the folder of a
model does, and beside it

- ``unlearned.json``: what was asked, done and spent, and fingerprints of everything before and
  after, by which a third party can check it;
- ``before-after.png``: pictures of the run's prompts by both models, from the same noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import untrain
from untrain.catalogs.base import Catalog
from untrain.catalogs.sheet import contact_sheet
from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError, UntrainError, closest
from untrain.core.files import fingerprint, read_json, rng, write_json
from untrain.core.hardware import platform
from untrain.core.marks import MARKER
from untrain.core.outside import read_bytes
from untrain.core.progress import bar
from untrain.core.targets import check_folder_target
from untrain.core.verifying import clear
from untrain.core.vocabulary import SAMPLER
from untrain.generators.base import Generator
from untrain.generators.differentiable import differentiable, has_gradients
from untrain.generators.queries import draw
from untrain.runs.evidence import has_fitted_model, model_path
from untrain.runs.queries import SAMPLES, read_queries
from untrain.runs.run import Run
from untrain.training.index import FILE as INDEX
from untrain.training.index import read_index
from untrain.unlearning.base import Task, Unlearned
from untrain.unlearning.registry import check_budget, check_task, kind_of, make_method, unlearn

RECORD, SHEET = "unlearned.json", "before-after.png"
SCHEMA_VERSION = 1
FOLDER = "unlearned"

SAMPLE = 256
"""Retained and held-out pairs whose loss is looked at before and after."""
_BATCH = 64
_PROMPTS, _EACH = 12, 4  # on the sheet, at most
_BESIDE = {MARKER, RECORD, SHEET, "model.json", "removed.json"}


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be forgotten, and how.

    Attributes
    ----------
    ids : sequence of str
        Training images of the run.
    method : str
        Of `untrain.unlearning.registry.METHODS`, with options after a colon if there are any.
    budget : float
        Share of one training.
    options : mapping
        Of the method, before those in its name.
    seed : int or None
        None: that of the run.
    named : str
        The model that is to forget, as `untrain.runs.evidence.fitted_model` takes it.
    out : Path or None
        A new folder for the model; None: one in the run folder.
    """

    ids: Sequence[str]
    method: str
    budget: float
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    named: str = SAMPLER
    out: Path | None = None


def unlearn_in_run(run: Run, asked: Asked) -> Path:
    """Have a model of a run forget images, and return the folder of the new model.

    What was done before, with everything the same, is not done again.

    Parameters
    ----------
    run : Run
        Done up to ``fit`` at least.
    asked : Asked

    Raises
    ------
    InputError
        Unknown images ("did you mean"), method or option; none or all of the images; a budget that
        cannot be; no model, or other data than it was fitted on; a target that is not free. All
        this is found before anything is made.
    """
    method = make_method(asked.method, **asked.options)
    check_budget(asked.budget)
    start = _checked_model(run, asked.named)
    seed = run.config.seed if asked.seed is None else asked.seed
    absent = _absent(start) & run.catalog.index.keys()
    forget = known_ids(run.catalog, run.held_out, asked.ids)
    before = model_digest(start)
    options, kind = asdict(method), kind_of(asked.method)  # type: ignore[call-overload]
    where = {**platform(run.generator.precision), "threads": torch.get_num_threads()}
    known_by = [untrain.__version__, before, run.catalog.fingerprint, sorted(forget), kind]
    key = fingerprint("unlearned-1", *known_by, options, asked.budget, seed, where)
    folder = asked.out or run.path(FOLDER, f"{kind}-{key[:12]}")
    clear(folder)
    if (folder / RECORD).is_file() and read_json(folder / RECORD).get("key") == key:
        return folder
    folder = check_folder_target(folder) if asked.out else folder
    blank = run.generator
    check_task(Task(blank, run.catalog, forget, asked.budget, seed, _silent, absent=absent))
    with run.lock():
        run.trainer.prepare()
        model = run.trainer.load(str(start))
        queries = read_queries(run.folder) if run.path(SAMPLES).is_file() else None
        work = int(asked.budget * model.fit_work(run.catalog))
        with bar(f"unlearning by {kind}", work) as advance:
            task = Task(
                model, run.catalog, forget, asked.budget, seed, advance, queries, absent=absent
            )
            done = unlearn(asked.method, task, **asked.options)
        record = {
            "schema_version": SCHEMA_VERSION,
            "key": key,
            "run": run.config.name,
            "model": {"named": asked.named, "folder": _from_run(run, start), "absent": len(absent)},
            "method": kind,
            "options": options,
            "budget": asked.budget,
            "seed": seed,
            "spent": {
                **asdict(done.spent),
                "pairs": done.spent.pairs,
                "share": done.spent.share,
            },
            "forget": [
                {"image_id": each, "content": run.catalog.hashes[run.catalog.index[each]]}
                for each in forget
            ],
            "absent": sorted(absent),
            "losses": _losses(run, task, done),
            "versions": {**run.record.get("versions", {}), "untrain": untrain.__version__},
            "machine": where,
        }
        _write(run, folder, model, done, record, before)
    return folder


def read_unlearned(folder: Path) -> dict[str, Any]:
    """Return the record of an unlearned model.

    Raises
    ------
    InputError
        The folder holds none, or one of another version.
    """
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder} is not the folder of an unlearned model: it has no {RECORD}")
    found: dict[str, Any] = read_json(folder / RECORD)
    if found.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{folder / RECORD} was written with schema {found.get('schema_version')}; this "
            f"untrain reads {SCHEMA_VERSION}"
        )
    return found


def model_digest(folder: Path) -> str:
    """Return the fingerprint of what a model has learnt: of its files, but not of descriptions."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    own = [path for path in files if path.name not in _BESIDE]
    own = own or [path for path in files if path.name == "model.json"]
    names = [path.relative_to(folder).as_posix() for path in own]
    return fingerprint("weights-1", names, *(read_bytes(path, None) for path in own))


def known_ids(catalog: Catalog, held_out: Catalog, ids: Iterable[str]) -> tuple[str, ...]:
    """Return ids of training images, each once, in the catalogue's order.

    Raises
    ------
    InputError
        One is none: how many, and what the first might mean.
    """
    asked = dict.fromkeys(str(each) for each in ids)
    unknown = [each for each in asked if each not in catalog.index]
    if unknown:
        first, more = unknown[0], len(unknown) - 1
        also = f" (and {more} more of the {len(asked)})" if more else ""
        if first in held_out.index:
            raise InputError(
                f"'{first}'{also} is held out: no model has seen it, so there is nothing to forget"
            )
        near = closest(first, catalog.ids)
        hint = f" — did you mean '{near}'?" if near else f"; ids look like '{catalog.ids[0]}'"
        raise InputError(f"'{first}'{also} is no training image of the run{hint}")
    return tuple(each for each in catalog.ids if each in asked)


def _checked_model(run: Run, named: str) -> Path:
    """Return the folder of the model that is to forget; its data must be as they were."""
    if run.given_pictures:
        raise InputError(
            "the pictures were given (generations.path): there is no model that could forget"
        )
    if not has_fitted_model(run) or not run.path(INDEX).is_file():
        raise InputError(
            f"{run.folder} has no fitted model: run the experiment first (`untrain run FILE`)"
        )
    index = read_index(run.folder)
    if index.fingerprint != run.catalog.fingerprint:
        raise InputError(
            f"the data of {run.folder} are not what its models were fitted on: "
            f"{_difference(index, run.catalog)}. Restore them, or run the experiment again"
        )
    return run.folder / model_path(run, named)


def _difference(before: Catalog, now: Catalog) -> str:
    gone = [each for each in before.ids if each not in now.index]
    new = [each for each in now.ids if each not in before.index]
    both = [each for each in before.ids if each in now.index]
    other = [
        each
        for each in both
        if (before.hashes[before.index[each]], before.captions[before.index[each]])
        != (now.hashes[now.index[each]], now.captions[now.index[each]])
    ]
    kinds = {"gone": gone, "new": new, "changed": other}
    told = [f"{len(ids):,} images {word}, such as '{ids[0]}'" for word, ids in kinds.items() if ids]
    return "; ".join(told) or "their order is another"


def _absent(model: Path) -> set[str]:
    """Return what a model was trained without or has forgotten."""
    found: set[str] = set()
    if (model / "removed.json").is_file():
        found |= set(read_json(model / "removed.json")["removed"])
    if (model / RECORD).is_file():
        record = read_unlearned(model)
        found |= {*record["absent"], *(each["image_id"] for each in record["forget"])}
    return found


def _from_run(run: Run, folder: Path) -> str:
    inside = folder.resolve().is_relative_to(run.folder.resolve())
    own = folder.resolve().relative_to(run.folder.resolve()) if inside else folder.resolve()
    return own.as_posix()


def _losses(run: Run, task: Task, done: Unlearned) -> dict[str, dict[str, float]]:
    """Return the mean training loss of some groups of pairs before and after.

    This looks at the models from outside, and is not part of the budget.
    """
    if not has_gradients(task.generator):
        return {}
    drawn = rng("unlearned losses", task.seed)
    groups = {
        "forget": (run.catalog, task.forgotten),
        "retained": (run.catalog, task.retained),
        "held_out": (run.held_out, run.held_out.ids),
    }
    found = {}
    for name, (catalog, ids) in groups.items():
        if not len(ids):
            continue
        rows = np.sort(drawn.permutation(len(ids))[:SAMPLE])
        chosen = [ids[row] for row in rows]
        values = [_mean_loss(each, catalog, chosen) for each in (task.generator, done.generator)]
        found[name] = {"pairs": len(chosen), "before": values[0], "after": values[1]}
    return found


@torch.no_grad()
def _mean_loss(generator: Generator, catalog: Catalog, ids: Sequence[str]) -> float:
    asked = differentiable(generator)
    parts = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
    each = [asked.pair_losses(asked.training_batch(catalog, part)) for part in parts]
    return float(torch.cat(each).double().mean())


def _write(
    run: Run,
    folder: Path,
    before: Generator,
    done: Unlearned,
    record: Mapping[str, Any],
    digest: str,
) -> None:
    with atomic_folder(folder) as temporary:
        done.generator.save(temporary)
        _check_saved(done.generator, before, temporary)
        if not (temporary / "model.json").exists():
            told = {"losses": list(map(float, before.losses)), "precision": before.precision}
            write_json(temporary / "model.json", told)
        fingerprints = {
            "catalog": run.catalog.fingerprint,
            "recipe": run.generator.fingerprint(run.catalog),
            "model_before": digest,
            "model_after": model_digest(temporary),
        }
        _draw(run, before, done.generator, temporary / SHEET)
        write_json(temporary / RECORD, {**record, "fingerprints": fingerprints})


def _check_saved(changed: Generator, blank: Generator, folder: Path) -> None:
    """Make sure that what was changed is what was saved: averages kept beside it might not be."""
    if not has_gradients(changed):
        return
    again = copy(blank).load(folder)
    states = [differentiable(each).module().state_dict() for each in (changed, again)]
    if any(not torch.equal(value, states[1][name]) for name, value in states[0].items()):
        raise UntrainError(
            f"{type(changed).__qualname__} saves other weights than module() gives: what a method "
            "changed would be lost. `save` must write the parameters of module()"
        )


def _draw(run: Run, before: Generator, after: Generator, file: Path) -> None:
    """Write a sheet of the run's prompts: from the left by the model before, then after."""
    prompts = run.prompts.head(_PROMPTS)
    each = min(_EACH, run.config.per_prompt)
    keys = [(p, g) for p in prompts["prompt_id"] for g in range(each)]
    drawn = [draw(model, keys, run.texts, run.config.seed).pictures for model in (before, after)]
    pictures: list[np.ndarray] = []
    labels: list[str] = []
    for row, prompt_id in enumerate(prompts["prompt_id"]):
        for own, label in zip(drawn, (f"{prompt_id}: before", "after"), strict=True):
            pictures += own[row * each : (row + 1) * each]
            labels += [label, *[""] * (each - 1)]
    contact_sheet(pictures, 2 * each, 96, labels).save(file)


def _silent(n: int) -> None: ...

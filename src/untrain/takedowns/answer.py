"""From a folder of pictures to an answer: find, measure, take out, check, report."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from untrain.catalogs.base import Catalog
from untrain.core import disk
from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json, write_text
from untrain.core.manifest import NAME as CHECKSUMS
from untrain.core.manifest import begin, root_of
from untrain.core.marks import is_leftover
from untrain.core.progress import console
from untrain.core.steps import Steps
from untrain.core.targets import check_folder_target
from untrain.core.text import lines
from untrain.core.threads import default_threads, threads_set
from untrain.core.verifying import clear
from untrain.experiment.pipeline import run_stages
from untrain.report.page.takedown import Pictures, takedown_page
from untrain.runs.evidence import has_fitted_model
from untrain.runs.inputs import whole_catalog
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.takedowns import influence, record, removing
from untrain.takedowns.checks import after_removal
from untrain.takedowns.deciding import check_decisions, removed_ids
from untrain.takedowns.finding import NEAR, Found, find
from untrain.takedowns.hashes import digest_of
from untrain.takedowns.options import TRIAL, Options
from untrain.takedowns.parts import HELD_OUT, TRAINING
from untrain.takedowns.request import Request, as_folder, read_request
from untrain.takedowns.trial import own_trial, trial_config
from untrain.takedowns.with_model import (
    one_training,
    planned_way,
    seen_after,
    taken_out,
    told_influence,
)

FOLDER = "takedowns"
STARTED = "request.json"


@dataclass(frozen=True)
class Answered:
    """The answer to a request.

    Attributes
    ----------
    folder : Path
        Where it lies: ``report.html``, ``record.json``, ``ids.txt``.
    record : dict
        The content of ``record.json``.
    """

    folder: Path
    record: dict[str, Any] = field(repr=False)


def answer_in_data(folder: Path, catalog: Catalog, out: Path, options: Options) -> Answered:
    """Find the pictures of a request in a catalogue, without any model.

    Parameters
    ----------
    folder : Path
        Of the request.
    catalog : Catalog
    out : Path
        The answer lies in a folder of it, called by the reference.
    options : Options
        Of which ``reference``, ``not_copies`` and ``also`` count.
    """
    request, reference, target = _start(folder, options, out)
    steps = Steps(target / "steps")
    parts = dict.fromkeys(catalog.ids, TRAINING)
    found = _found(steps, request, catalog, parts, options.copies or NEAR)
    ids = _removed_ids(found, catalog, options)
    whole = _head(request, reference, options, found, ids, catalog)
    return _write(target, whole, request, catalog)


def answer_of_run(folder: Path, config: Config, options: Options) -> Answered:
    """Answer a request for a run; of settings that were not run yet, run them first.

    Parameters
    ----------
    folder : Path
        Of the request.
    config : Config
        Of the run. Where it has not been run, the requested images are kept out of its held-out
        part, so that what they do can be measured.
    options : Options

    Raises
    ------
    InputError
        As `read_request`; the data of the run have changed; there is no model, and one is needed;
        or another request has the same reference.
    """
    options.check()
    request = read_request(folder)
    if not (config.folder / "run.json").exists():
        config = _begin(request, config, options)
    run = Run(config)
    _check_unchanged(run)
    _, reference, target = _start(folder, options, run.path(FOLDER))
    steps = Steps(target / "steps")
    with run.lock(), threads_set(config.threads or default_threads()):
        parts = dict.fromkeys(run.held_out.ids, HELD_OUT) | dict.fromkeys(run.catalog.ids, TRAINING)
        whole_data = whole_catalog(config)
        found = _found(steps, request, whole_data, parts, _copies(config, options))
        ids = _removed_ids(found, run.catalog, options)
        write_text(target / record.IDS, lines(ids))
        told = _head(request, reference, options, found, ids, run.catalog)
        told["run"] = _about(run)
        if not ids:
            return _write(target, told, request, whole_data)
        if run.given_pictures:
            told["influence"] = {"copies": influence.near_copies(run, ids), "leaning": None}
            return _write(target, told, request, whole_data)
        if not has_fitted_model(run):
            raise InputError(
                f"{run.folder} has no fitted model yet: `untrain run {run.folder / 'config.yaml'}`"
            )
        key = [request.fingerprint, ids, run.catalog.fingerprint, removing.model_before(run)]
        seconds = one_training(steps, run)
        how = planned_way(run, options, seconds)
        if how not in (None, removing.NONE):
            removing.check_some_remain(run, ids)
        told["influence"] = told_influence(steps, run, ids, options, key)
    if options.measure == TRIAL:
        own = trial_config(run.config, reference, target / record.IDS, options.models)
        told["trial"] = steps.done(
            "trial",
            f"models with and without the list ({own.folder})",
            [key, own.to_dict()],
            lambda: own_trial(own, ids),
        )
    told["removal"] = taken_out(steps, run, ids, options, how, key)
    with run.lock(), threads_set(config.threads or default_threads()):
        told["removal"] |= {"asked": options.remove, "expected_seconds": seconds}
        told["after"] = seen_after(steps, run, ids, options, told["removal"], key, target)
        told["checks"] = after_removal(run, ids, told)
        return _write(target, told, request, whole_data)


def _start(folder: Path, options: Options, out: Path) -> tuple[Request, str, Path]:
    """Read the request and claim its folder; refuse one that another request has."""
    options.check()
    request = read_request(folder)
    reference = as_folder(options.reference) if options.reference else request.reference
    target = out / reference
    started = target / STARTED
    clear(target)
    if known := _known_request(target):
        if known != request.fingerprint:
            raise InputError(
                f"{target} answers another request, or these files have changed since: give this "
                "one another --reference"
            )
    elif target.exists() and any(not _is_begun(path) for path in target.iterdir()):
        check_folder_target(target)  # which refuses it
    disk.make_folder(target)
    if root_of(started) is None:
        begin(target)
    write_json(started, {"kind": record.KIND, "request": request.fingerprint})
    for each in request.unreadable:
        console.print(f"[yellow]left out:[/] {each.name}: {each.reason}", soft_wrap=True)
    return request, reference, target


def _is_begun(path: Path) -> bool:
    """Tell whether this is what a stop leaves before there is anything of a request."""
    return is_leftover(path) or path.name == CHECKSUMS


def _known_request(target: Path) -> str:
    """Return the fingerprint of the request that is answered in a folder; empty if there is none.

    The answer has it too, for where the file that the folder began with is gone.
    """
    if (target / STARTED).is_file():
        return str(read_json(target / STARTED).get("request"))
    with suppress(InputError, KeyError, TypeError):
        return str(record.read_record(target)["request"]["fingerprint"])
    return ""


def _begin(request: Request, config: Config, options: Options) -> Config:
    """Run settings up to the model's pictures, with the requested images kept in the training."""
    whole = whole_catalog(config)
    found = find(request, whole, {}, _copies(config, options))
    keep = sorted({match.image_id for match in found.copies()})
    kept = config.data.model_copy(update={"keep_in": tuple({*_listed(config), *keep})})
    config = config.model_copy(update={"data": kept})
    config = Config.model_validate(config.to_dict())
    run_stages(Run(config), until="rank")
    return config


def _listed(config: Config) -> Collection[str]:
    from untrain.runs.inputs import read_lines

    asked = config.data.keep_in
    return read_lines(asked, "image id") if isinstance(asked, Path) else tuple(asked or ())


def _check_unchanged(run: Run) -> None:
    known = run.record.get("fingerprints", {}).get("catalog")
    if known and known != run.catalog.fingerprint:
        raise InputError(
            f"the data of {run.folder} are not what they were when it was run: its model knows "
            "other images than those that would be searched. Bring the data back, or run the "
            "experiment again under another name"
        )


def _copies(config: Config, options: Options) -> str:
    return options.copies or config.removal.duplicates


def _found(
    steps: Steps, request: Request, catalog: Catalog, parts: dict[str, str], copies: str
) -> Found:
    held = sorted(image_id for image_id, part in parts.items() if part == HELD_OUT)
    known = steps.done(
        "found",
        f"{len(request)} pictures in {len(catalog):,} images",
        [request.fingerprint, catalog.fingerprint, held, len(parts), copies],
        lambda: find(request, catalog, parts, copies).to_dict(),
    )
    return Found.from_dict(known)


def _removed_ids(found: Found, catalog: Catalog, options: Options) -> list[str]:
    check_decisions(found, catalog, options.not_copies, options.also)
    return removed_ids(found.to_dict()["matches"], _decisions(options))


def _decisions(options: Options) -> dict[str, list[str]]:
    return {"not_copies": list(options.not_copies), "also": list(options.also)}


def _head(
    request: Request,
    reference: str,
    options: Options,
    found: Found,
    ids: list[str],
    catalog: Catalog,
) -> dict[str, Any]:
    hashes = {i: catalog.hashes[catalog.index[i]] for i in ids}
    told = found.to_dict()
    return {
        **record.head(request, reference, options.to_dict()),
        "run": None,
        "found": told,
        "counts": record.counts(
            len(request), len(request.unreadable), told["matches"], len(ids), _decisions(options)
        ),
        "ids": hashes,
        "decisions": _decisions(options),
        "influence": None,
        "trial": None,
        "removal": None,
        "after": None,
        "checks": [],
    }


def _about(run: Run) -> dict[str, Any]:
    config = run.path("config.yaml")
    return {
        "name": run.config.name,
        "config_sha256": digest_of(config) if config.is_file() else None,
        "catalog": run.catalog.fingerprint,
        "training_images": len(run.catalog),
        "held_out_images": len(run.held_out),
        "given_pictures": bool(run.given_pictures),
        "model": removing.model_before(run) if has_fitted_model(run) else None,
        "frozen": "" if run.given_pictures else run.generator.frozen,
    }


def _write(target: Path, told: dict[str, Any], request: Request, catalog: Catalog) -> Answered:
    """Write the page, the list and, last, the record, which has the hashes of the others."""
    pictures = Pictures(request, catalog, target)
    write_text(target / record.IDS, lines(told["ids"]))
    write_text(target / record.REPORT, takedown_page(told, pictures))
    files = {name: digest_of(target / name) for name in (record.REPORT, record.IDS)}
    whole = {**told, "files": files}
    write_json(target / record.RECORD, whole)
    return Answered(target, whole)

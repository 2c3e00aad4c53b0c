"""From a folder of pictures to an answer: find, measure, take out, check, report."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import (
    check_folder_target,
    is_leftover,
    read_json,
    write_json,
    write_text,
)
from untrain.core.progress import console
from untrain.core.steps import Steps
from untrain.core.threads import default_threads, threads_set
from untrain.core.vocabulary import ATTRIBUTOR
from untrain.experiment.pipeline import run_stages
from untrain.experiment.planned import in_words
from untrain.report.page.takedown import Pictures, takedown_page
from untrain.runs.evidence import fitted_model, has_fitted_model
from untrain.runs.inputs import whole_catalog
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.takedowns import checking, influence, record, removing
from untrain.takedowns.checks import after_removal
from untrain.takedowns.deciding import check_decisions, removed_ids
from untrain.takedowns.finding import COPIES, NEAR, Found, find
from untrain.takedowns.hashes import digest_of, hashes_of
from untrain.takedowns.parts import HELD_OUT, TRAINING
from untrain.takedowns.request import Request, as_folder, read_request
from untrain.takedowns.trial import own_trial, trial_config

ESTIMATE, TRIAL, NOTHING = "estimate", "trial", "none"
MEASURES = (ESTIMATE, TRIAL, NOTHING)
FOLDER = "takedowns"
STARTED = "request.json"


@dataclass(frozen=True)
class Options:
    """What is to be done about a request.

    Attributes
    ----------
    reference : str
        What the request is called; its letter's or its folder's name if empty.
    copies : {'near', 'exact'}, optional
        What counts as a copy: edited ones too, or only equal files and pixels; as the run's
        ``removal.duplicates`` has it if left out, and near without a run.
    measure : {'estimate', 'trial', 'none'}
        How the influence of the images is told: from the model as it is, or by models trained
        without them.
    remove : str
        ``exact`` (train again), ``none``, the name of a method of unlearning, or ``auto``: exact
        where one training is expected to take at most ``minutes``.
    budget : float
        Of a method of unlearning: share of one training, above 0 and at most 1.
    minutes : float
        The longest training that ``auto`` begins.
    method : str
        The attributor of the estimate.
    calibration : Path, optional
        Of its scores.
    models : int, optional
        Of the trial.
    probes : int
        Pictures drawn for the caption of each requested image; 0 for none.
    not_copies, also : tuple of str
        Ids that somebody looked at: found or alike, but not theirs; theirs, but not counted.
    """

    reference: str = ""
    copies: str | None = None
    measure: str = ESTIMATE
    remove: str = removing.AUTO
    budget: float = 0.05
    minutes: float = 60.0
    method: str = ATTRIBUTOR
    calibration: Path | None = None
    models: int | None = None
    probes: int = 4
    not_copies: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self) | {"calibration": str(self.calibration) if self.calibration else None}

    def check(self) -> None:
        """Raise `InputError` if an option cannot be."""
        if self.measure not in MEASURES:
            raise InputError(f"measure is '{self.measure}'; expected {', '.join(MEASURES)}")
        if self.copies not in (None, *COPIES):
            raise InputError(f"copies is '{self.copies}'; expected {' or '.join(COPIES)}")
        if self.probes < 0:
            raise InputError(f"probes is {self.probes}; expected 0 or more pictures a caption")
        removing.check_removal(self.remove, self.budget)


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
        write_text(target / record.IDS, "".join(f"{image_id}\n" for image_id in ids))
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
        seconds = _one_training(steps, run)
        how = _way(run, options, seconds)
        if how not in (None, removing.NONE):
            removing.check_some_remain(run, ids)
        told["influence"] = _influence(steps, run, ids, options, key)
    if options.measure == TRIAL:
        own = trial_config(run.config, reference, target / record.IDS, options.models)
        told["trial"] = steps.done(
            "trial",
            f"models with and without the list ({own.folder})",
            [key, own.to_dict()],
            lambda: own_trial(own, ids),
        )
    told["removal"] = _removal(steps, run, ids, options, how, key)
    with run.lock(), threads_set(config.threads or default_threads()):
        told["removal"] |= {"asked": options.remove, "expected_seconds": seconds}
        told["after"] = _after(steps, run, ids, options, told["removal"], key, target)
        told["checks"] = after_removal(run, ids, told)
        return _write(target, told, request, whole_data)


def _start(folder: Path, options: Options, out: Path) -> tuple[Request, str, Path]:
    """Read the request and claim its folder; refuse one that another request has."""
    options.check()
    request = read_request(folder)
    reference = as_folder(options.reference) if options.reference else request.reference
    target = out / reference
    started = target / STARTED
    if started.is_file():
        known = read_json(started).get("request")
        if known != request.fingerprint:
            raise InputError(
                f"{target} answers another request, or these files have changed since: give this "
                "one another --reference"
            )
    elif target.exists() and any(not is_leftover(path) for path in target.iterdir()):
        check_folder_target(target)  # which refuses it
    target.mkdir(parents=True, exist_ok=True)
    write_json(started, {"kind": record.KIND, "request": request.fingerprint})
    for each in request.unreadable:
        console.print(f"[yellow]left out:[/] {each.name}: {each.reason}", soft_wrap=True)
    return request, reference, target


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


def _one_training(steps: Steps, run: Run) -> float | None:
    """Return about how long one training takes here; measured once."""

    def measured() -> dict[str, Any]:
        return {"seconds": removing.expected_seconds(run)}

    recipe = run.generator.recipe()
    found = steps.done("plan", "what one training takes", [recipe, len(run.catalog)], measured)
    return found["seconds"]


def _way(run: Run, options: Options, seconds: float | None) -> str | None:
    """Return how the images are removed, and say what that will take; None where it is too long."""
    told = "of unknown length" if seconds is None else f"about {in_words(seconds)} on one thread"
    how: str | None = options.remove
    if how == removing.AUTO:
        fits = seconds is not None and seconds <= 60 * options.minutes
        how = removing.EXACT if fits else None
    if options.measure == TRIAL:
        models = options.models or run.config.design.models
        console.print(f"plan: {models} models for the trial, each {told}", soft_wrap=True)
    if how is None:
        console.print(
            f"plan: no new model, as one training is {told}; --remove exact trains it all the same",
            soft_wrap=True,
        )
    elif how == removing.EXACT:
        console.print(f"plan: one model without the images, {told}", soft_wrap=True)
    elif how != removing.NONE:
        console.print(
            f"plan: {how}, {options.budget:.1%} of one training, which is {told}", soft_wrap=True
        )
    return how


def _influence(
    steps: Steps, run: Run, ids: list[str], options: Options, key: Any
) -> dict[str, Any]:
    copies = influence.near_copies(run, ids)
    if options.measure == NOTHING:
        return {"copies": copies, "leaning": None}
    file = options.calibration
    known = file.read_text(encoding="utf-8") if file and file.is_file() else str(file)

    def scored() -> dict[str, Any]:
        try:
            return influence.leaning(run, ids, options.method, file)
        except InputError as error:  # a model without gradients, mostly
            return {"missing": str(error)}

    says = f"which prompts lean on them, by {options.method}"
    leaning = steps.done("influence", says, [key, options.method, known], scored)
    return {"copies": copies, "leaning": leaning}


def _removal(
    steps: Steps,
    run: Run,
    ids: list[str],
    options: Options,
    how: str | None,
    key: Any,
) -> dict[str, Any]:
    """Take the images out; the run is not locked, as each way of doing it locks it itself."""
    if how is None or how == removing.NONE:
        return {"how": removing.NONE, "fingerprint": None, "fidelity": None}
    exactly, budget, threads = how == removing.EXACT, options.budget, run.config.threads
    says = "one training" if exactly else f"{how} at {budget:.1%} of one training,"

    def work() -> dict[str, Any]:
        if not exactly:
            with threads_set(threads or default_threads()):
                return removing.remove_by(run, ids, how, budget)
        with run.lock(), threads_set(threads or default_threads()):
            return removing.remove_exactly(run, ids)

    says = f"{says} without {len(ids)} images"
    done = steps.done("removal", says, [key, how, 1 if exactly else budget], work)
    if not (run.folder / done["path"]).is_dir():  # somebody deleted it
        done = work()
    return {
        **done,
        "fidelity": removing.fidelity_of(run, how, options.budget),
        "files": hashes_of(run.folder / done["path"]),
    }


def _after(
    steps: Steps,
    run: Run,
    ids: list[str],
    options: Options,
    removal: dict[str, Any],
    key: Any,
    target: Path,
) -> dict[str, Any]:
    """Measure both models, and draw the same pictures with both."""
    cheaper = "path" in removal and removal["how"] != removing.EXACT
    twin = removing.exact_twin(run, ids) if cheaper else None

    def measured() -> dict[str, Any]:
        before = fitted_model(run)
        after = fitted_model(run, removal["path"]) if "path" in removal else None
        models = {"before": before} | ({"after": after} if after is not None else {})
        if twin is not None and after is not None:
            models["exact"] = fitted_model(run, twin)
        return {
            "surprise": checking.surprise(run, models, ids),
            "drawn": checking.drawn_again(run, before, after, ids, options.probes, target),
        }

    if not options.probes and "path" not in removal:
        return {"surprise": None, "drawn": None}
    says = "losses and pictures, before and after"
    files = removal.get("files")
    return steps.done("after", says, [key, files, options.probes, twin], measured)


def _write(target: Path, told: dict[str, Any], request: Request, catalog: Catalog) -> Answered:
    """Write the page, the list and, last, the record, which has the hashes of the others."""
    pictures = Pictures(request, catalog, target)
    write_text(target / record.IDS, "".join(f"{image_id}\n" for image_id in told["ids"]))
    write_text(target / record.REPORT, takedown_page(told, pictures))
    files = {name: digest_of(target / name) for name in (record.REPORT, record.IDS)}
    whole = {**told, "files": files}
    write_json(target / record.RECORD, whole)
    return Answered(target, whole)

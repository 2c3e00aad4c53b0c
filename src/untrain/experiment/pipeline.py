"""Running the stages in order: what is done and unchanged is skipped."""

from __future__ import annotations

import time
from pathlib import Path

from untrain import __version__
from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import fingerprint
from untrain.core.progress import console
from untrain.core.threads import default_threads, threads_set
from untrain.experiment import mending
from untrain.experiment.checks import check, check_given_pictures
from untrain.experiment.stages import (
    compare,
    evaluate,
    fit,
    generate,
    judge,
    rank,
    regenerate,
    remove,
    report,
    retrain,
    retrieve,
    take_pictures,
)
from untrain.experiment.stages.base import Stage
from untrain.experiment.telling import Telling
from untrain.experiment.tracking import tracked
from untrain.runs.run import Run
from untrain.settings.config import Config

STAGES = (
    fit.STAGE,
    generate.STAGE,
    judge.STAGE,
    retrieve.STAGE,
    compare.STAGE,
    rank.STAGE,
    remove.STAGE,
    retrain.STAGE,
    regenerate.STAGE,
    evaluate.STAGE,
    report.STAGE,
)
STAGES_OF_GIVEN_PICTURES = (
    take_pictures.STAGE,
    judge.STAGE,
    retrieve.STAGE_OF_GIVEN_PICTURES,
    compare.STAGE_OF_GIVEN_PICTURES,
    rank.STAGE,
    report.STAGE_OF_GIVEN_PICTURES,
)
NAMES = tuple(stage.name for stage in STAGES)


def stages_of(config: Config) -> tuple[Stage, ...]:
    """Return the stages of an experiment in order."""
    return STAGES if config.given is None else STAGES_OF_GIVEN_PICTURES


def keys(run: Run) -> dict[str, str]:
    """Return the fingerprint of each stage: of its settings and of the stages before it."""
    known: dict[str, str] = {}
    for stage in stages_of(run.config):
        before = [known[name] for name in stage.after]
        known[stage.name] = fingerprint(__version__, stage.name, stage.settings(run), before)
    return known


def is_done(run: Run, stage: Stage, key: str) -> bool:
    """Tell whether the stage was finished with these settings and its files are as it left them."""
    entry = run.record["stages"].get(stage.name, {})
    if entry.get("state") != "done" or entry.get("key") != key:
        return False
    if found := mending.faults(run, stage):
        mending.tell(stage, found)
        return False
    return all(_is_here(run, output) for output in stage.outputs)


def _is_here(run: Run, output: str) -> bool:
    """Tell whether an output exists; a table of models needs its models too."""
    path = run.path(*output.split("/"))
    if not path.exists() or output not in ("model_a.parquet", "models.parquet"):
        return path.exists()
    return all((run.folder / model).exists() for model in run.table(path.stem)["path"])


def run_stages(
    run: Run, until: str = "report", again: bool = False, telling: Telling | None = None
) -> Path:
    """Run every stage up to ``until`` that is not done yet; return the run folder.

    Parameters
    ----------
    run : Run
    until : str
        Name of the last stage to run.
    again : bool
        Run the last stage even if it is done.
    telling : Telling, optional
        Says why and how long, and shows pictures.

    Raises
    ------
    InputError
        An unknown stage, or a fault in configuration or data.
    UntrainError
        The disk is full, or the machine lacks something else.
    """
    stages = stages_of(run.config)
    asked = stages[: _position(stages, until) + 1]
    with run.lock() as deletions, threads_set(run.config.threads or default_threads()):
        known = keys(run)
        due = [stage for stage in asked if not is_done(run, stage, known[stage.name])]
        if again and asked[-1] not in due:
            due.append(asked[-1])
        if not due:
            if telling:
                for stage in asked:
                    telling.after(stage.name)  # what a stop may have come before
            return run.folder
        (check if stages is STAGES else check_given_pictures)(run, [stage.name for stage in due])
        with tracked(run) as after:
            run.describe()
            if telling:
                telling.start([stage.name for stage in due])
            altered: set[str] = set()
            for number, stage in enumerate(asked, 1):
                # What was made again because it was damaged may have come out otherwise, as with
                # another version of a library: then what was made of it is made again as well.
                before = None
                if stage in due or altered.intersection(stage.after):
                    before = mending.digests(run, stage)
                    console.print(f"[bold]{number:>2}/{len(stages)} {stage.name}[/]  {stage.help}")
                    if telling:
                        telling.before(stage.name)
                    _run_stage(run, stage, known[stage.name])
                if telling:
                    telling.after(stage.name)
                if before is not None:
                    mending.tidy(run, stage)
                    if before and before != mending.digests(run, stage):
                        altered.add(stage.name)
                after(stage.name)
            deletions.check()
    return run.folder


def _position(stages: tuple[Stage, ...], name: str) -> int:
    """Return the position of a stage; raise `InputError` if the experiment does not have it."""
    names = [stage.name for stage in stages]
    if name in names:
        return names.index(name)
    if name not in NAMES:
        raise InputError(f"unknown stage '{name}'{did_you_mean(name, NAMES)}")
    raise InputError(
        f"there is no stage '{name}' where pictures are given (generations.path): without a model "
        f"nothing can be removed; the stages are {', '.join(names)}"
    )


def _run_stage(run: Run, stage: Stage, key: str) -> None:
    run.start(stage.name, key)
    start = time.perf_counter()
    stage.work(run)
    seconds = time.perf_counter() - start
    run.record["stages"][stage.name].update(state="done", seconds=round(seconds, 2))
    run.save_record()
    console.print(f"      done in {seconds:.1f} s")

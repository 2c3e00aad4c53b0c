"""Running the stages in order, each once: what is done and unchanged is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from untrain import __version__
from untrain.core.errors import InputError, UntrainError, did_you_mean, is_disk_full
from untrain.core.files import fingerprint
from untrain.core.progress import console
from untrain.encoders import load_encoder
from untrain.experiment.checks import check
from untrain.experiment.stages import evaluate as evaluation
from untrain.experiment.stages import searching, stages
from untrain.experiment.stages.names import HELP_OF_GIVEN, OF_GIVEN, STAGE_HELP
from untrain.experiment.tracking import tracked
from untrain.runs import given_pictures as given
from untrain.runs.run import Run
from untrain.search.rank.ranking import parse_method
from untrain.search.retrieve.candidates import needs_pictures
from untrain.settings.config import Config
from untrain.settings.sections import EncoderConfig


@dataclass(frozen=True)
class Stage:
    """A step of an experiment.

    Attributes
    ----------
    name : str
    work : callable
        Does it, leaving files in the run folder.
    settings : callable
        The part of the configuration that it depends on.
    after : tuple of str
        The stages whose results it reads.
    outputs : tuple of str
        Files or folders of the run folder that it leaves.
    """

    name: str
    work: Callable[[Run], None]
    settings: Callable[[Run], Any]
    after: tuple[str, ...]
    outputs: tuple[str, ...]


STAGES = (
    Stage(
        "fit",
        stages.fit,
        lambda r: [
            *(r.catalog.fingerprint, r.generator.recipe()),
            *(r.generator.precision, r.config.seed),
        ],
        (),
        ("model_a.parquet", "shared"),
    ),
    Stage(
        "generate",
        stages.generate,
        lambda r: [r.prompts.to_dict("list"), r.config.generations, r.config.seed],
        ("fit",),
        ("queries.safetensors", "queries", "prompts.csv"),
    ),
    Stage(
        "retrieve",
        searching.retrieve,
        lambda r: [
            *(r.catalog.fingerprint, r.prompts.to_dict("list")),
            *(_section(r, "retrieval"), _searched_pictures(r)),
        ],
        (),
        ("retrieval.parquet",),
    ),
    Stage(
        "compare",
        searching.compare,
        lambda r: [
            _encoder(r, r.config.encoder),
            _section(r, "copies"),
            _encoder(r, r.config.copies.encoder),
        ],
        ("generate", "retrieve"),
        ("comparison.parquet", "copies.parquet"),
    ),
    Stage(
        "rank",
        searching.rank,
        lambda r: [_section(r, "ranking"), _ranking_files(r)],
        ("compare",),
        ("ranking.parquet",),
    ),
    Stage(
        "remove",
        stages.remove,
        lambda r: [_section(r, "removal"), r.user_ids, r.config.ranking.method, r.config.seed],
        ("rank",),
        ("forget_sets.parquet",),
    ),
    Stage(
        "retrain",
        stages.retrain,
        lambda r: [
            *(_section(r, "design"), r.config.seed, r.config.b_seed),
            *([] if r.paired else ["unpaired"]),
        ],
        ("fit", "remove"),
        ("models.parquet", "removals.parquet"),
    ),
    Stage(
        "regenerate",
        stages.regenerate,
        lambda r: None,
        ("generate", "retrain"),
        ("generations",),
    ),
    Stage(
        "evaluate",
        evaluation.evaluate,
        lambda r: [
            {**_section(r, "evaluation"), "margin": r.margin},
            _encoder(r, r.config.encoder),
        ],
        ("regenerate",),
        ("results/measures.parquet", "results/effects.parquet", "results/summary.json"),
    ),
    Stage(
        "report",
        stages.report,
        lambda r: None,
        ("evaluate", "rank"),
        ("report.html", "results/summary.md"),
    ),
)
NAMES = tuple(stage.name for stage in STAGES)
IDLE = [("together", False), ("paired", True)]
"""Settings that came later, at the values that change nothing: left out of keys, so that runs from
before them are still found done."""


def stages_of(config: Config) -> tuple[Stage, ...]:
    """Return the stages of an experiment in order."""
    if config.given is None:
        return STAGES
    taken = replace(
        STAGES[NAMES.index("generate")],
        work=given.take,
        settings=lambda r: [_given(r), r.prompts.to_dict("list")],
        outputs=("queries", "prompts.csv", "catalog.parquet"),
    )
    asked = [taken if s.name == "generate" else s for s in STAGES if s.name in OF_GIVEN]
    return tuple(replace(s, after=tuple(n for n in s.after if n in OF_GIVEN)) for s in asked)


def _given(run: Run) -> Any:
    return run.given and [run.given.catalog.fingerprint, run.catalog.fingerprint]


def _section(run: Run, name: str) -> Any:
    values = getattr(run.config, name).model_dump(mode="json")
    return {key: value for key, value in values.items() if (key, value) not in IDLE}


def _encoder(run: Run, section: EncoderConfig) -> Any:
    """Return what an encoder's features depend on, without loading its weights: their files."""
    folder = Path(str(section.options.get("path") or section.name))
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    # A function of the user's is quick to load, and known by what it returns.
    own = load_encoder(section.name, **section.options).fingerprint if ":" in section.name else ""
    return [section.model_dump(mode="json"), stamps, own]


def _searched_pictures(run: Run) -> Any:
    """Return what generated pictures and their features depend on, if a search is by pictures."""
    if not needs_pictures(run.config.retrieval.method):
        return None
    model = [run.generator.recipe(), run.generator.precision]
    drawn = [*model, run.config.seed, _given(run) or run.config.generations]
    return [*drawn, _encoder(run, run.config.encoder)]


def _ranking_files(run: Run) -> list[str]:
    """Return the fingerprint of each file that a ranking is read from."""
    files = [parse_method(method).file for method in run.ranking_methods]
    return [fingerprint(file.read_bytes()) for file in files if file and file.exists()]


def keys(run: Run) -> dict[str, str]:
    """Return the fingerprint of each stage: of its settings and of the stages before it."""
    known: dict[str, str] = {}
    for stage in stages_of(run.config):
        before = [known[name] for name in stage.after]
        known[stage.name] = fingerprint(__version__, stage.name, stage.settings(run), before)
    return known


def is_done(run: Run, stage: Stage, key: str) -> bool:
    """Tell whether the stage was finished with these settings and its files are still there."""
    entry = run.record["stages"].get(stage.name, {})
    here = all(_is_here(run, output) for output in stage.outputs)
    return entry.get("state") == "done" and entry.get("key") == key and here


def _is_here(run: Run, output: str) -> bool:
    """Tell whether an output is there; a table of models needs its models too."""
    path = run.path(*output.split("/"))
    if not path.exists() or output not in ("model_a.parquet", "models.parquet"):
        return path.exists()
    return all((run.folder / model).exists() for model in run.table(path.stem)["path"])


def run(config: Config, until: str = "report") -> Run:
    """Run an experiment up to a stage, skipping what is done; return the run for looking at.

    Parameters
    ----------
    config : Config
        As `untrain.load_config` reads it.
    until : str
        Name of the last stage to run: one of `NAMES`.
    """
    opened = Run(config)
    run_stages(opened, until)
    return opened


def run_stages(run: Run, until: str = "report", again: bool = False) -> Path:
    """Run every stage up to ``until`` that is not done yet; return the run folder.

    Parameters
    ----------
    run : Run
    until : str
        Name of the last stage to run.
    again : bool
        Run the last stage even if it is done.

    Raises
    ------
    InputError
        An unknown stage, or something wrong with configuration or data.
    UntrainError
        The disk is full.
    """
    if until not in NAMES:
        raise InputError(f"unknown stage '{until}'{did_you_mean(until, NAMES)}")
    with run.lock():
        known = keys(run)
        stages = stages_of(run.config)
        names = [stage.name for stage in stages]
        if until not in names:
            raise InputError(
                f"there is no stage '{until}' where pictures are given (generations.path): without "
                f"a model nothing can be removed; the stages are {', '.join(names)}"
            )
        asked = stages[: names.index(until) + 1]
        due = [stage for stage in asked if not is_done(run, stage, known[stage.name])]
        if again and asked[-1] not in due:
            due.append(asked[-1])
        if not due:
            return run.folder
        check(run, [stage.name for stage in due])
        with tracked(run) as after:
            run.describe()
            for stage in asked:
                if stage in due:
                    _run_stage(run, stage, known[stage.name])
                after(stage.name)
    return run.folder


def _run_stage(run: Run, stage: Stage, key: str) -> None:
    names = [each.name for each in stages_of(run.config)]
    number = names.index(stage.name) + 1
    says = (HELP_OF_GIVEN if run.given else STAGE_HELP)[stage.name]
    console.print(f"[bold]{number:>2}/{len(names)} {stage.name}[/]  {says}")
    record = run.record["stages"]
    record[stage.name] = {"state": "running", "key": key}
    run.stage = stage.name
    run.save_record()
    start = time.perf_counter()
    try:
        stage.work(run)
    except Exception as error:
        if is_disk_full(error):
            raise UntrainError(
                f"the disk is full: free some space where {run.folder} is and run the same "
                "command again; what is done is kept"
            ) from None
        raise
    seconds = time.perf_counter() - start
    record[stage.name].update(state="done", seconds=round(seconds, 2))
    run.save_record()
    console.print(f"      done in {seconds:.1f} s")

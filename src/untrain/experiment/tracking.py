"""Experiment tracking: a run's results are also sent to TensorBoard, MLflow or Weights & Biases.

A tracker is called after each stage and reads only the run folder: nothing is computed for it, and
no result, stage or model depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.core.outside import read_text
from untrain.core.progress import console
from untrain.core.vocabulary import SAMPLER
from untrain.runs.queries import read_queries, read_redrawn
from untrain.runs.run import Run
from untrain.training.trackers import TRACKERS, Tracker

CELL = 64  # pixels per picture on a sheet


@contextmanager
def tracked(run: Run) -> Iterator[Callable[[str], None]]:
    """Yield what to call after every stage; it does nothing unless the run is tracked.

    Stages that were done before are sent too, so a resumed run is tracked completely.

    Raises
    ------
    InputError
        The tool is not installed, or cannot be reached: found before anything is trained.
    """
    if run.config.tracking is None:
        yield lambda stage: None
        return
    tracker = _opened(run)
    lost = False

    def attempt(tell: Callable[[], None]) -> None:
        nonlocal lost
        if lost:
            return
        try:
            tell()
        except Exception as error:  # a server that is unreachable must not cost a training
            lost = True
            console.print(f"tracking stopped: {error}", style="yellow", markup=False)

    def after(stage: str) -> None:
        if stage in _TOLD:
            attempt(lambda: _TOLD[stage](run, tracker))

    failed = True
    try:
        yield after
        failed = False
    finally:
        attempt(lambda: tracker.close(failed))


def _opened(run: Run) -> Tracker:
    section = run.config.tracking
    assert section is not None
    try:
        return TRACKERS[section.name](run.folder, run.config.to_dict(), **section.options)
    except ModuleNotFoundError as error:
        raise InputError(
            f"tracking: '{section.name}' needs the package '{error.name}', which is not "
            f"installed: pip install {section.name}; or leave `tracking` out"
        ) from None
    except Exception as error:
        raise InputError(
            f"tracking: cannot start '{section.name}' with the options {section.options}: {error}"
        ) from None


def _others(run: Run) -> pd.DataFrame:
    """Return the models of the trial, without A."""
    models = run.table("models")
    return models[models["model_id"] != SAMPLER]


def _losses(models: pd.DataFrame, run: Run, tracker: Tracker) -> None:
    """Send the training curves of models."""
    from untrain.training.store import read_losses

    curves = {
        f"loss/{model}": read_losses(run.folder / path)
        for model, path in zip(models["model_id"], models["path"], strict=True)
    }
    for epoch in range(max(map(len, curves.values()), default=0)):
        now = {name: losses[epoch] for name, losses in curves.items() if epoch < len(losses)}
        tracker.numbers(now, epoch)


def _pictures(name: str, models: Sequence[str], run: Run, tracker: Tracker) -> None:
    """Send, for each prompt, a sheet with a row for A and each model, all from the same noise."""
    from untrain.catalogs.sheet import contact_sheet

    queries = read_queries(run.folder)
    count = max(len(queries.rows(prompt_id)) for prompt_id in queries.prompt_ids)
    drawn = [queries.pictures, *(read_redrawn(run.folder, model, queries) for model in models)]
    labels = [label for model in [SAMPLER, *models] for label in [model, *[""] * (count - 1)]]
    for prompt_id in queries.prompt_ids:
        rows = queries.rows(prompt_id)
        pictures = [own[row] for own in drawn for row in rows]
        sheet = contact_sheet(pictures, count, CELL, labels)
        tracker.picture(f"{name}/{prompt_id}", sheet, queries.texts[prompt_id])


def _evaluate(run: Run, tracker: Tracker) -> None:
    """Send every overall effect and its p, and how many prompts have each verdict."""
    effects = run.table("results/effects")
    effects = effects[effects["prompt_id"].isna() & (effects["design"] == run.config.design.kind)]
    values: dict[str, float] = {}
    for row in effects.to_dict("records"):
        size = "" if pd.isna(row["k"]) else f"-{row['k']}"
        name = f"{row['measure']}/{row['arm']}{size}"
        values |= {f"effect/{name}": row["effect"], f"p_value/{name}": row["p_value"]}
    verdicts = read_json(run.path("results", "summary.json"))["verdicts"]
    values |= {f"verdicts/{verdict}": count for verdict, count in verdicts.items()}
    tracker.numbers({name: float(v) for name, v in values.items() if not math.isnan(v)})


def _report(run: Run, tracker: Tracker) -> None:
    path = run.path("results", "summary.md")
    tracker.text("summary", read_text(path, encoding="utf-8"))


_TOLD: dict[str, Callable[[Run, Tracker], None]] = {
    "fit": lambda run, tracker: _losses(run.table("model_a"), run, tracker),
    "generate": lambda run, tracker: _pictures("drawn", [], run, tracker),
    "retrain": lambda run, tracker: _losses(_others(run), run, tracker),
    "regenerate": lambda run, tracker: _pictures(
        "redrawn", _others(run)["model_id"].tolist(), run, tracker
    ),
    "evaluate": _evaluate,
    "report": _report,
}
"""What is sent to a tracker after each stage."""

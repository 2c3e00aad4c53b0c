"""How long stages will take: from runs that are done, or from a few steps timed here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from untrain.core.errors import UntrainError
from untrain.core.files import read_json, read_yaml
from untrain.core.threads import default_threads
from untrain.runs.find import RECORD
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.training.worker import default_workers

STEPS, PAST, DEMO = "steps", "past", "demo"
TRAININGS = ("fit", "retrain")
BRIEF = 20_000  # pairs to pass: trainings below it are over before timing them is worth it
OF_MODELS = ("retrain", "regenerate", "evaluate")  # these take time by the number of models

# Seconds of the demo's stages on two idle cores (run.json of `untrain demo`).
DEMO_SECONDS = {
    "generate": 0.2,
    "judge": 3.1,
    "retrieve": 0.03,
    "compare": 3.9,
    "rank": 0.04,
    "remove": 0.03,
    "regenerate": 1.1,
    "evaluate": 3.9,
    "report": 5.4,
}
DEMO_TRAINING = 123.2  # seconds of its stages fit and retrain there


@dataclass(frozen=True)
class Expected:
    """How long a stage will take.

    Attributes
    ----------
    seconds : float
    source : {'past', 'steps', 'demo'}
        A finished run, a few steps timed here, or the demo's proportions.
    run : str
        Name of the finished run.
    """

    seconds: float
    source: str
    run: str = ""


def expected(run: Run, due: Collection[str]) -> dict[str, Expected]:
    """Return how long stages will take, of those where something is known of it.

    A stage that a run of the same data, model and pictures in the same folder went through takes
    what it took there, by the number of models. Otherwise trainings are timed by a few steps of the
    real networks, and the other stages of the demo have the demo's proportions to its trainings.

    Parameters
    ----------
    run : Run
    due : collection of str
        The stages to be done.
    """
    known = {name: found for name, found in _past(run).items() if name in due}
    trainings = set(TRAININGS) & set(due)
    if not trainings <= known.keys():
        known = {**_timed(run, trainings), **known}
    if run.config.data.format == "rendered" and trainings and trainings <= known.keys():
        scale = sum(known[name].seconds for name in trainings) / DEMO_TRAINING
        for name, seconds in DEMO_SECONDS.items():
            if name in due and name not in known:
                known[name] = Expected(seconds * scale, DEMO)
    return known


def _timed(run: Run, trainings: Collection[str]) -> dict[str, Expected]:
    """Time a few steps of what is to be trained; nothing where that cannot be, or is soon over."""
    config, models = run.config, run.config.design.models
    generator = run.generator
    work = generator.fit_work(run.catalog) * (1 + models) + generator.prepare_work(run.catalog)
    if work < BRIEF or not trainings:
        return {}
    try:
        cost, first = generator.cost(run.catalog), generator.prepare_seconds(run.catalog)
    except UntrainError:
        return {}
    if cost is None:
        return {}
    workers = min(config.workers or default_workers(), models)
    rounds = -(-models // workers)
    alone = 1 + len(config.further_seeds)
    seconds = {"fit": first + alone * cost.seconds, "retrain": rounds * cost.seconds}
    return {name: Expected(seconds[name], STEPS) for name in trainings}


def _past(run: Run) -> dict[str, Expected]:
    """Return what the stages took in the newest runs of the same data, model and pictures."""
    found: dict[str, Expected] = {}
    records = sorted(run.config.runs.glob(f"*/{RECORD}"), key=lambda p: p.stat().st_mtime)
    for path in records:
        other = _config(path.parent)
        if other is None or _compared(other) != _compared(run.config):
            continue
        record = read_json(path)
        threads = record.get("threads", {}).get("model_a")
        if threads != (run.config.threads or default_threads()):
            continue
        scale = run.config.design.models / other.design.models
        for name, stage in record.get("stages", {}).items():
            if stage.get("state") == "done" and "seconds" in stage:
                seconds = stage["seconds"] * (scale if name in OF_MODELS else 1)
                # Of a training the longest counts: others may have found models that were there.
                if name not in TRAININGS or name not in found or seconds > found[name].seconds:
                    found[name] = Expected(seconds, PAST, path.parent.name)
    return found


def _compared(config: Config) -> Any:
    """Return the settings that decide how long stages take, apart from the number of models."""
    return config.data, config.generator, config.prompts, config.generations, config.removal.arms


def _config(folder: Path) -> Config | None:
    """Return the settings of a run; None if they are of another version."""
    try:
        values = read_yaml(folder / "config.yaml") or {}
        return Config.model_validate(values)
    except (OSError, ValidationError, UntrainError, TypeError):
        return None

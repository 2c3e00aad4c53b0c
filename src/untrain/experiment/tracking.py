"""Experiment tracking: what a run leaves, also sent to TensorBoard, MLflow or Weights & Biases.

A tracker hears of a stage when it is done, and reads the run folder alone: nothing is computed for
it, and no result, stage or model depends on it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.core.progress import console
from untrain.core.registry import Registry
from untrain.evaluation.outcomes import SAMPLER

if TYPE_CHECKING:
    from PIL import Image

    from untrain.runs.run import Run

PROJECT = "untrain"
CELL = 64  # pixels of a picture on a sheet


class Tracker(Protocol):
    """One tracked run; made from the run and the options of the setting ``tracking``."""

    def __init__(self, run: Run, **options: Any) -> None: ...

    def numbers(self, values: dict[str, float], step: int | None = None) -> None:
        """Take numbers by name: a point of each curve, or without a step a result."""
        ...

    def picture(self, name: str, image: Image.Image, words: str) -> None:
        """Take a picture and what it shows."""
        ...

    def text(self, name: str, markdown: str) -> None:
        """Take a text."""
        ...

    def close(self, failed: bool) -> None:
        """End the tracked run."""
        ...


class TensorBoard:
    """Event files in ``tensorboard/`` of the run folder: ``tensorboard --logdir runs``."""

    def __init__(self, run: Run, **options: Any) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(**{"log_dir": str(run.path("tensorboard")), **options})
        settings = _flat(run.config.to_dict())
        table = [f"| {name} | {value} |" for name, value in settings.items()]
        self.text("settings", "\n".join(["| setting | value |", "|---|---|", *table]))

    def numbers(self, values: dict[str, float], step: int | None = None) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, name: str, image: Image.Image, words: str) -> None:
        self.writer.add_image(name, np.asarray(image), dataformats="HWC")

    def text(self, name: str, markdown: str) -> None:
        self.writer.add_text(name, markdown)

    def close(self, failed: bool) -> None:
        self.writer.close()


class MLflow:
    """A run of the experiment "untrain" where MLflow keeps its runs (``tracking_uri``)."""

    def __init__(
        self,
        run: Run,
        tracking_uri: str | None = None,
        experiment: str = PROJECT,
        **options: Any,
    ) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self.client = MlflowClient(tracking_uri)
        known = self.client.get_experiment_by_name(experiment)
        where = known.experiment_id if known else self.client.create_experiment(experiment)
        started = self.client.create_run(where, **{"run_name": run.config.name, **options})
        self.run_id = started.info.run_id
        settings = _flat(run.config.to_dict())
        parameters = [Param(name, str(value)[:500]) for name, value in settings.items()]
        self.client.log_batch(self.run_id, params=parameters)

    def numbers(self, values: dict[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        points = [Metric(name, value, now, step or 0) for name, value in values.items()]
        self.client.log_batch(self.run_id, metrics=points)

    def picture(self, name: str, image: Image.Image, words: str) -> None:
        self.client.log_image(self.run_id, image, f"{name}.png")

    def text(self, name: str, markdown: str) -> None:
        self.client.log_text(self.run_id, markdown, f"{name}.md")

    def close(self, failed: bool) -> None:
        self.client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")


class WandB:
    """A run of the project "untrain"; its files are in ``wandb/`` of the run folder."""

    def __init__(self, run: Run, **options: Any) -> None:
        import wandb

        defaults = {"project": PROJECT, "name": run.config.name, "dir": str(run.folder)}
        self.run = wandb.init(config=run.config.to_dict(), **{**defaults, **options})
        # Curves have steps of their own: W&B's must never fall, and each stage begins at 0.
        self.run.define_metric("epoch", hidden=True)
        self.run.define_metric("loss/*", step_metric="epoch")

    def numbers(self, values: dict[str, float], step: int | None = None) -> None:
        if step is None:
            self.run.summary.update(values)
        else:
            self.run.log({"epoch": step, **values})

    def picture(self, name: str, image: Image.Image, words: str) -> None:
        import wandb

        self.run.log({name: wandb.Image(image, caption=words)})

    def text(self, name: str, markdown: str) -> None:
        self.run.notes = markdown

    def close(self, failed: bool) -> None:
        self.run.finish(exit_code=int(failed))


TRACKERS: Registry[Callable[..., Tracker]] = Registry(
    "tracker", {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}
)


@contextmanager
def tracked(run: Run) -> Iterator[Callable[[str], None]]:
    """Yield what is to be called after every stage: nothing happens unless the run is tracked.

    Stages that were done before are told too, so that a resumed run is tracked whole.

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
        except Exception as error:  # a server that is away must not cost a training
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
        return TRACKERS[section.name](run, **section.options)
    except ModuleNotFoundError as error:
        raise InputError(
            f"tracking: '{section.name}' needs the package '{error.name}', which is not "
            f"installed: pip install {section.name}; or leave `tracking` out"
        ) from None
    except Exception as error:
        raise InputError(
            f"tracking: cannot start '{section.name}' with the options {section.options}: {error}"
        ) from None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level: ``{"data.format": "folder"}``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _others(run: Run) -> pd.DataFrame:
    """Return the models of the trial, without A."""
    models = run.table("models")
    return models[models["model_id"] != SAMPLER]


def _losses(models: pd.DataFrame, run: Run, tracker: Tracker) -> None:
    """Tell the training curves of models."""
    from untrain.training.models import losses

    curves = {
        f"loss/{model}": losses(run, path)
        for model, path in zip(models["model_id"], models["path"], strict=True)
    }
    for epoch in range(max(map(len, curves.values()), default=0)):
        now = {name: losses[epoch] for name, losses in curves.items() if epoch < len(losses)}
        tracker.numbers(now, epoch)


def _pictures(name: str, models: Sequence[str], run: Run, tracker: Tracker) -> None:
    """Tell, for each prompt, a sheet with a row for A and for each model: the same noise in all."""
    from untrain.catalogs.sheet import contact_sheet
    from untrain.runs.pictures import read_picture

    count = max(run.pictures.values())
    folders = [run.path("queries"), *(run.path("generations", model) for model in models)]
    labels = [label for model in [SAMPLER, *models] for label in [model, *[""] * (count - 1)]]
    for prompt_id, prompt in zip(run.prompts["prompt_id"], run.prompts["prompt"], strict=True):
        own = range(run.pictures[prompt_id])
        paths = [folder / prompt_id / f"{n}.png" for folder in folders for n in own]
        sheet = contact_sheet([read_picture(path) for path in paths], count, CELL, labels)
        tracker.picture(f"{name}/{prompt_id}", sheet, prompt)


def _evaluate(run: Run, tracker: Tracker) -> None:
    """Tell every overall effect and its p, and how many prompts have each verdict."""
    effects = pd.read_parquet(run.path("results", "effects.parquet"))
    effects = effects[(effects["prompt_id"] == "") & (effects["design"] == run.config.design.kind)]
    values: dict[str, float] = {}
    for row in effects.to_dict("records"):
        size = f"-{row['k']:g}" if row["k"] > 0 else ""
        name = f"{row['measure']}/{row['arm']}{size}"
        values |= {f"effect/{name}": row["estimate"], f"p/{name}": row["p_value"]}
    verdicts = read_json(run.path("results", "summary.json"))["verdicts"]
    values |= {f"verdicts/{verdict}": count for verdict, count in verdicts.items()}
    tracker.numbers({name: float(v) for name, v in values.items() if not math.isnan(v)})


def _report(run: Run, tracker: Tracker) -> None:
    path = run.path("results", "summary.md")
    tracker.text("summary", path.read_text(encoding="utf-8"))


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
"""What a tracker is told after each stage."""

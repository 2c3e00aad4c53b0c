"""Trackers: tools that also receive a run's curves, pictures and results.

TensorBoard, MLflow and Weights & Biases; each is imported when a run asks for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from untrain.core.registry import Registry

if TYPE_CHECKING:
    from PIL import Image

PROJECT = "untrain"


class Tracker(Protocol):
    """One tracked run.

    Parameters
    ----------
    folder : Path
        The run folder, whose name is the run's.
    settings : mapping
        Those of the experiment, nested.
    **options
        Of the setting ``tracking``.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], **options: Any) -> None: ...

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

    def __init__(self, folder: Path, settings: Mapping[str, Any], **options: Any) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(**{"log_dir": str(folder / "tensorboard"), **options})
        table = [f"| {name} | {value} |" for name, value in _flat(settings).items()]
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
        folder: Path,
        settings: Mapping[str, Any],
        tracking_uri: str | None = None,
        experiment: str = PROJECT,
        **options: Any,
    ) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self.client = MlflowClient(tracking_uri)
        known = self.client.get_experiment_by_name(experiment)
        where = known.experiment_id if known else self.client.create_experiment(experiment)
        started = self.client.create_run(where, **{"run_name": folder.name, **options})
        self.run_id = started.info.run_id
        flat = _flat(settings)
        parameters = [Param(name, str(value)[:500]) for name, value in flat.items()]
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

    def __init__(self, folder: Path, settings: Mapping[str, Any], **options: Any) -> None:
        import wandb

        defaults = {"project": PROJECT, "name": folder.name, "dir": str(folder)}
        self.run = wandb.init(config=dict(settings), **{**defaults, **options})
        # Curves have their own steps: W&B's must never decrease, and each stage begins at 0.
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


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level: ``{"data.format": "folder"}``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found

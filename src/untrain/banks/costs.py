"""What the training of models for a bank costs, before anything starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from untrain.experiment.plan import existing_folder
from untrain.experiment.planned import in_words
from untrain.runs.run import Run
from untrain.training.worker import default_workers


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the models of a bank that are missing cost.

    Attributes
    ----------
    missing : int
        How many models are still to be trained.
    workers : int
        How many are trained at once.
    seconds_per_model, megabytes_per_model : float or None
        None if the generator does not say.
    free_megabytes : float
        Free on the disk of the run folder.
    """

    missing: int
    workers: int
    seconds_per_model: float | None
    megabytes_per_model: float | None
    free_megabytes: float

    @property
    def seconds(self) -> float | None:
        """Of all training together; None if unknown."""
        if self.seconds_per_model is None:
            return None
        return -(-self.missing // self.workers) * self.seconds_per_model

    @property
    def megabytes(self) -> float | None:
        """Disk space that the new models take; None if unknown."""
        return None if self.megabytes_per_model is None else self.missing * self.megabytes_per_model

    def cost_lines(self) -> list[tuple[str, str]]:
        """Return the costs for people: what, and how much of it."""
        training = f"{self.missing}, {self.workers} at a time"
        each, size = self.seconds_per_model, self.megabytes_per_model
        if each is None or size is None or self.seconds is None or self.megabytes is None:
            return [("to be trained", f"{training}, for an unknown time")]
        disk = f"about {self.megabytes:.0f} MB ({size:.1f} MB per model); "
        return [
            ("to be trained", f"{training}, each {in_words(each)}"),
            ("time", f"about {in_words(self.seconds)} of training"),
            ("disk", f"{disk}{self.free_megabytes:.0f} MB are free"),
        ]


def costs(run: Run) -> dict[str, Any]:
    """Return the fields of `Costs` that depend on the run only: all but ``missing``."""
    cost = run.generator.cost(run.catalog)
    return {
        "workers": run.config.workers or default_workers(),
        "seconds_per_model": cost.seconds if cost else None,
        "megabytes_per_model": 4 * cost.parameters / 1e6 if cost else None,
        "free_megabytes": shutil.disk_usage(existing_folder(run)).free / 1e6,
    }

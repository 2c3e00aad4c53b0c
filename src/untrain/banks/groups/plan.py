"""What a bank of groups would cost, before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from untrain.banks.groups.bank import DRAW, known_models, wanted_models
from untrain.catalogs.groups import groups_of
from untrain.experiment.plan import existing_folder
from untrain.experiment.planned import in_words
from untrain.runs.run import Run
from untrain.training.worker import default_workers


@dataclass(frozen=True)
class GroupPlan:
    """What `untrain.banks.groups.bank.train_group_bank` would train, for how long.

    Attributes
    ----------
    by : str
    groups, smallest, largest : int
        How many groups, and the images of the smallest and the largest.
    draws, models, missing : int
        Models without random groups; all models; and those that are still to be trained.
    workers : int
        How many are trained at once.
    seconds_per_model, megabytes_per_model : float or None
        None if the generator does not say.
    free_megabytes : float
    """

    by: str
    groups: int
    smallest: int
    largest: int
    draws: int
    models: int
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

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan for people: what, and how much of it."""
        lines = [
            (f"groups by {self.by}", f"{self.groups}, of {self.smallest} to {self.largest} images"),
            ("models", f"{self.models}: {self.draws} without random groups, and their ends"),
        ]
        training = f"{self.missing}, {self.workers} at a time"
        if self.seconds is None or self.megabytes_per_model is None:
            return [*lines, ("to be trained", f"{training}, for an unknown time")]
        size = self.missing * self.megabytes_per_model
        return [
            *lines,
            ("to be trained", f"{training}, each {in_words(self.seconds_per_model or 0.0)}"),
            ("time", f"about {in_words(self.seconds)} of training"),
            ("disk", f"about {size:.0f} MB; {self.free_megabytes:.0f} MB are free"),
        ]


def plan_group_bank(
    run: Run,
    by: str,
    models: int | None,
    shares: Sequence[float],
    leave_one_out: int = 0,
    least: int = 1,
) -> GroupPlan:
    """Return what a bank of groups would train and what that would cost.

    Raises
    ------
    InputError
        What `untrain.banks.groups.bank.train_group_bank` would find wrong with the groups and the
        numbers.
    """
    groups = groups_of(run.catalog, by, least)
    wanted = wanted_models(run, groups, models, shares, leave_one_out).table
    known = known_models(run, groups)
    there = known["model_id"][[(run.folder / path).exists() for path in known["path"]]]
    cost = run.generator.cost(run.catalog)
    return GroupPlan(
        by=by,
        groups=len(groups),
        smallest=int(groups.sizes.min()),
        largest=int(groups.sizes.max()),
        draws=int((wanted["kind"] == DRAW).sum()),
        models=len(wanted),
        missing=int((~wanted["model_id"].isin(there)).sum()),
        workers=run.config.workers or default_workers(),
        seconds_per_model=cost.seconds if cost else None,
        megabytes_per_model=4 * cost.parameters / 1e6 if cost else None,
        free_megabytes=shutil.disk_usage(existing_folder(run)).free / 1e6,
    )

"""What a bank of groups would cost, before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from untrain.banks.costs import Costs, costs
from untrain.banks.groups.bank import DRAW, known_models, wanted_models
from untrain.catalogs.groups import groups_of
from untrain.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class GroupPlan(Costs):
    """What `untrain.banks.groups.bank.train_group_bank` would train, and its `Costs`.

    Attributes
    ----------
    by : str
    groups, smallest, largest : int
        How many groups, and the images of the smallest and the largest.
    draws, models : int
        Models without random groups, and all models.
    """

    by: str
    groups: int
    smallest: int
    largest: int
    draws: int
    models: int

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan for people: what, and how much of it."""
        return [
            (f"groups by {self.by}", f"{self.groups}, of {self.smallest} to {self.largest} images"),
            ("models", f"{self.models}: {self.draws} without random groups, and their ends"),
            *self.cost_lines(),
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
    return GroupPlan(
        by=by,
        groups=len(groups),
        smallest=int(groups.sizes.min()),
        largest=int(groups.sizes.max()),
        draws=int((wanted["kind"] == DRAW).sum()),
        models=len(wanted),
        missing=int((~wanted["model_id"].isin(there)).sum()),
        **costs(run),
    )

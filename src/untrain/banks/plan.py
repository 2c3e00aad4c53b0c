"""What a bank of random subsets would cost, before anything starts."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from untrain.banks.bank import depends_on, known_models, remembered
from untrain.banks.subsets import check_bank, copy_groups, requested_subsets
from untrain.experiment.plan import existing_folder
from untrain.experiment.planned import in_words
from untrain.runs.run import Run
from untrain.training.worker import default_workers


@dataclass(frozen=True)
class BankPlan:
    """What `train_bank` would train, for how long and on how much disk.

    Attributes
    ----------
    pairs : int
        Training pairs.
    models : dict of float to int
        How many models there will be for each share of the data removed; 0 is the model trained on
        everything.
    missing : int
        How many of them are still to be trained.
    workers : int
        How many are trained at once.
    seconds_per_model : float or None
        None if the generator does not say.
    megabytes_per_model : float or None
    free_megabytes : float
        Free on the disk of the run folder.
    """

    pairs: int
    models: dict[float, int]
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

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan for people: what, and how much of it."""
        words = [
            f"{n} without {share:.3g} of the data" for share, n in self.models.items() if share
        ]
        words += ["1 on all data"] * (0.0 in self.models)
        lines = [
            ("training pairs", str(self.pairs)),
            ("models", f"{sum(self.models.values())}: {', '.join(words)}"),
        ]
        training = f"{self.missing}, {self.workers} at a time"
        each, size = self.seconds_per_model, self.megabytes_per_model
        if each is None or size is None or self.seconds is None or self.megabytes is None:
            return [*lines, ("to be trained", f"{training}, for an unknown time")]
        disk = f"about {self.megabytes:.0f} MB ({size:.1f} MB per model); "
        return [
            *lines,
            ("to be trained", f"{training}, each {in_words(each)}"),
            ("time", f"about {in_words(self.seconds)} of training"),
            ("disk", f"{disk}{self.free_megabytes:.0f} MB are free"),
        ]


def plan_bank(run: Run, models: int = 64, shares: Sequence[float] = (0.5,)) -> BankPlan:
    """Return what `train_bank` would train and what that would cost.

    Models that another run in the same folder already has are not taken into account; they would
    cost nothing. The cost of
    the stages up to ``generate`` is not included; `untrain plan` states it.

    Raises
    ------
    InputError
        A share or a number of models that is impossible.
    """
    seed = run.config.seed
    check_bank(run.catalog, models, shares, seed)
    known = _trained(run)
    asked = requested_subsets(known, models, shares, copy_groups(run.catalog), seed)
    cost = run.generator.cost(run.catalog)
    return BankPlan(
        pairs=len(run.catalog),
        models=dict(Counter(subset.share for subset in asked)),
        missing=len(asked) - len(known),
        workers=run.config.workers or default_workers(),
        seconds_per_model=cost.seconds if cost else None,
        megabytes_per_model=4 * cost.parameters / 1e6 if cost else None,
        free_megabytes=shutil.disk_usage(existing_folder(run)).free / 1e6,
    )


def _trained(run: Run) -> pd.DataFrame:
    """Return the models of the bank that exist and would be reused."""
    known = known_models(run)
    needed = (run.trainer.shared / "shared.json", run.path("queries.safetensors"))
    if known.empty or not all(path.exists() for path in needed):
        return known[:0]
    run.trainer.prepare()
    if remembered(run.path("bank")).get("models") != depends_on(run)["models"]:
        return known[:0]
    return known[[(run.folder / path).exists() for path in known["path"]]]

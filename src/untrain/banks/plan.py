"""What a bank of random subsets would cost, before anything starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from untrain.banks.bank import depends_on, known_models, remembered
from untrain.banks.costs import Costs, costs
from untrain.banks.subsets import check_bank, copy_groups, requested_subsets
from untrain.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class BankPlan(Costs):
    """What `train_bank` would train, and its `Costs`.

    Attributes
    ----------
    pairs : int
        Training pairs.
    models : dict of float to int
        How many models there will be for each share of the data removed; 0 is the model trained on
        everything.
    """

    pairs: int
    models: dict[float, int]

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan for people: what, and how much of it."""
        words = [
            f"{n} without {share:.3g} of the data" for share, n in self.models.items() if share
        ]
        words += ["1 on all data"] * (0.0 in self.models)
        return [
            ("training pairs", str(self.pairs)),
            ("models", f"{sum(self.models.values())}: {', '.join(words)}"),
            *self.cost_lines(),
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
    return BankPlan(
        pairs=len(run.catalog),
        models=dict(Counter(subset.share for subset in asked)),
        missing=len(asked) - len(known),
        **costs(run),
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

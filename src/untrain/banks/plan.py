"""What a bank of random parts would cost, before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pandas as pd

from untrain.banks import bank as parts
from untrain.banks.subsets import Part, check, copy_groups, wanted
from untrain.experiment.plan import existing_folder
from untrain.experiment.planned import in_words
from untrain.runs.run import Run
from untrain.training.worker import default_workers


def plan_bank(run: Run, models: int, shares: Sequence[float]) -> list[tuple[str, str]]:
    """Return what `train_bank` would train, for how long and on how much disk, as lines.

    Models that a run beside this one has are not looked for: they would cost nothing. What the
    stages up to ``generate`` cost is not in it; `untrain plan` says so.

    Raises
    ------
    InputError
        A share or a number of models that cannot be.
    """
    seed = run.config.seed
    check(run.catalog, models, shares, seed)
    known = _trained(run)
    asked = wanted(known, models, shares, copy_groups(run.catalog), seed)
    missing = len(asked) - len(known)
    cost = run.generator.cost(run.catalog)
    workers = run.config.workers or default_workers()
    free = shutil.disk_usage(existing_folder(run)).free / 1e6
    lines = [
        ("training pairs", str(len(run.catalog))),
        ("models", f"{len(asked)}: {_counted(asked)}"),
    ]
    if cost is None:
        return [*lines, ("to be trained", f"{missing}, {workers} at a time, of unknown length")]
    seconds, size = cost.seconds, 4 * cost.parameters / 1e6
    return [
        *lines,
        ("to be trained", f"{missing}, {workers} at a time, each {in_words(seconds)}"),
        ("time", f"about {in_words(-(-missing // workers) * seconds)} of training"),
        ("disk", f"about {missing * size:.0f} MB ({size:.1f} MB a model); {free:.0f} MB are free"),
    ]


def _trained(run: Run) -> pd.DataFrame:
    """Return the models of the bank that are there and would be used again."""
    known = parts.known_models(run)
    needed = (run.trainer.shared / "shared.json", run.path("queries.safetensors"))
    if known.empty or not all(path.exists() for path in needed):
        return known[:0]
    run.trainer.prepare()
    if parts.remembered(run.path("bank")).get("models") != parts.depends_on(run)["models"]:
        return known[:0]
    return known[[(run.folder / path).exists() for path in known["path"]]]


def _counted(asked: Sequence[Part]) -> str:
    """Return how many models there are of each share."""
    counts = pd.Series([part.share for part in asked]).value_counts(sort=False)
    words = [f"{n} without {share:.3g} of the data" for share, n in counts.items() if share]
    return ", ".join(words + ["1 with everything"] * (0.0 in counts.index))

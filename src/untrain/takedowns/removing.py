"""Taking the images out of a model: training it again without them, or a method of unlearning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.tables import MODEL_A
from untrain.core.unlearning_tables import FIDELITY
from untrain.core.vocabulary import Group
from untrain.runs.run import Run
from untrain.runs.unlearned import Asked, read_unlearned, unlearn_in_run
from untrain.takedowns.hashes import hashes_of
from untrain.training.base import ModelRequest
from untrain.unlearning.registry import check_budget, make_method

EXACT, NONE, AUTO = "exact", "none", "auto"


def check_removal(how: str, budget: float) -> None:
    """Raise `InputError` unless there is such a way of removal, and such a budget."""
    if how not in (EXACT, NONE, AUTO):
        make_method(how)
    check_budget(budget)


def expected_seconds(run: Run) -> float | None:
    """Return about how long one training takes on one thread here; None if that is unknown."""
    cost = run.generator.cost(run.catalog)
    return None if cost is None else cost.seconds


def check_some_remain(run: Run, ids: Sequence[str]) -> None:
    """Raise `InputError` if nothing would be left to train on."""
    if len(set(ids)) >= len(run.catalog):
        raise InputError(
            f"the request covers all {len(run.catalog)} training images: nothing would be left to "
            "train on, so there is no model without them; do not use this one any longer"
        )


def remove_exactly(run: Run, ids: Sequence[str]) -> dict[str, Any]:
    """Train model A again without the images: same seed, same order of the data.

    Returns
    -------
    dict
        ``how``, ``path`` (of the model in the run folder), ``fingerprint``, ``seed``, ``seconds``.
    """
    check_some_remain(run, ids)
    run.trainer.prepare()
    start = time.perf_counter()
    row = run.trainer.train([_without(run, ids)], "model without the request", paired=False).iloc[0]
    return {
        "how": EXACT,
        "path": str(row["path"]),
        "fingerprint": str(row["fingerprint"]),
        "seed": int(row["seed"]),
        "seconds": round(time.perf_counter() - start, 1),
    }


def exact_twin(run: Run, ids: Sequence[str]) -> str | None:
    """Return the path of model A trained again without the images, if it was."""
    return run.trainer.known(_without(run, ids), paired=False)


def _without(run: Run, ids: Sequence[str]) -> ModelRequest:
    return ModelRequest("A-without", run.config.seed, tuple(sorted(ids)))


def remove_by(run: Run, ids: Sequence[str], method: str, budget: float) -> dict[str, Any]:
    """Have model A forget the images by a method of unlearning.

    The changed model lies in the run's ``unlearned``, with a record of its own
    (`untrain.runs.unlearned`). The run must not be locked.

    Returns
    -------
    dict
        As `remove_exactly`, with ``budget``, the ``options`` of the method and what was ``spent``,
        shares of one training.
    """
    check_some_remain(run, ids)
    start = time.perf_counter()
    folder = unlearn_in_run(run, Asked(list(ids), method, budget))
    about = read_unlearned(folder)
    return {
        "how": method,
        "budget": budget,
        "options": about["options"],
        "spent": about["spent"]["share"],
        "path": folder.relative_to(run.folder).as_posix(),
        "fingerprint": about["fingerprints"]["model_after"],
        "seed": about["seed"],
        "seconds": round(time.perf_counter() - start, 1),
    }


def fidelity_of(run: Run, method: str, budget: float) -> dict[str, Any] | None:
    """Return how near the method came to exact retraining on this run's ladder; None if unknown.

    The row of the forgotten images, over all kinds of sets, at the budget nearest to the one that
    was asked for and not above it.
    """
    if not FIDELITY.path(run.folder).is_file():
        return None
    table = FIDELITY.read(run.folder)
    kind = "kind" in table and table["kind"].isna()
    rows = table[(table["method"] == method) & (table["group"] == Group.FORGET) & kind]
    rows = rows[(rows["budget"] <= budget + 1e-9) & rows["rho"].notna()]
    if rows.empty:
        return None
    row = rows.sort_values("budget").iloc[-1]
    numbers = {name: row[name] for name in ("budget", "rho", "low", "high")}
    return {name: None if pd.isna(n) else float(n) for name, n in numbers.items()}


def model_before(run: Run) -> dict[str, Any]:
    """Return model A as the record names it: path, fingerprint, files."""
    row = MODEL_A.read(run.folder).iloc[0]
    path = str(row["path"])
    return {
        "path": path,
        "fingerprint": str(row["fingerprint"]),
        "files": hashes_of(run.folder / path),
    }

"""Taking the images out of a model: training it again without them, or a method of unlearning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from untrain.core.errors import InputError
from untrain.core.files import atomic_folder, write_json
from untrain.core.progress import bar
from untrain.core.tables import MODEL_A
from untrain.runs.evidence import fitted_model
from untrain.runs.run import Run
from untrain.takedowns.hashes import hashes_of
from untrain.training.base import ModelRequest
from untrain.unlearning.registry import METHODS, unlearn

EXACT, NONE, AUTO = "exact", "none", "auto"
MODEL = "model"
"""The folder, in that of the takedown, of a model that a method of unlearning made."""


def check_removal(how: str, budget: float) -> None:
    """Raise `InputError` unless there is such a way of removal, and such a budget."""
    if how not in (EXACT, NONE, AUTO):
        METHODS.check(how)
    if not 0 < budget <= 1:
        raise InputError(
            f"the budget is a share of one training, above 0 and at most 1, found {budget:g}"
        )


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
    request = ModelRequest("A-without", run.config.seed, tuple(sorted(ids)))
    start = time.perf_counter()
    row = run.trainer.train([request], "model without the request", paired=False).iloc[0]
    return {
        "how": EXACT,
        "path": str(row["path"]),
        "fingerprint": str(row["fingerprint"]),
        "seed": int(row["seed"]),
        "seconds": round(time.perf_counter() - start, 1),
    }


def remove_by(
    run: Run, ids: Sequence[str], method: str, budget: float, folder: Path
) -> dict[str, Any]:
    """Change model A by a method of unlearning, and keep the changed model in ``folder/model``.

    Returns
    -------
    dict
        As `remove_exactly`, with ``budget``; ``path`` is that in the run folder.
    """
    check_some_remain(run, ids)
    model = fitted_model(run)
    start = time.perf_counter()
    work = max(1, round(budget * model.fit_work(run.catalog)))
    with bar(method, work) as advance:
        changed = unlearn(method, model, run.catalog, sorted(ids), budget, run.config.seed, advance)
    with atomic_folder(folder / MODEL) as temporary:
        changed.save(temporary)
        about = {"seed": run.config.seed, "removed": sorted(ids), "unlearned_by": method}
        write_json(temporary / "removed.json", about | {"budget": budget})
    return {
        "how": method,
        "budget": budget,
        "path": str((folder / MODEL).relative_to(run.folder)),
        "fingerprint": None,
        "seed": run.config.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }


def model_before(run: Run) -> dict[str, Any]:
    """Return model A as the record names it: path, fingerprint, files."""
    row = MODEL_A.read(run.folder).iloc[0]
    path = str(row["path"])
    return {
        "path": path,
        "fingerprint": str(row["fingerprint"]),
        "files": hashes_of(run.folder / path),
    }

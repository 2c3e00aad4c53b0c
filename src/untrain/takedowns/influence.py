"""What a run's pictures have to do with the requested images: near copies, and prompts that lean.

Both are read off the model as it is; neither needs a training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from untrain.attribution.attribute import attribute_all
from untrain.attribution.calibrating import fit_calibration
from untrain.attribution.calibration import Calibration, recipe_key
from untrain.banks.measured import measured_sets
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.core.tables import COPIES
from untrain.runs.evidence import asked_prompts, fitted_model, run_evidence
from untrain.runs.queries import queries_key, read_queries
from untrain.runs.run import Run
from untrain.runs.trial import is_finished_trial

LISTS = 1000  # random lists of as many images that the request's scores are compared with


def near_copies(run: Run, ids: Sequence[str]) -> dict[str, Any]:
    """Return which of the run's pictures its own copy test calls near copies of the images.

    Returns
    -------
    dict
        ``tested`` pictures, None where the run has not tested any; ``alpha`` of the test, its
        ``false_positive_rate`` on held-out images, and ``pictures``, the flagged ones.
    """
    if not COPIES.path(run.folder).is_file():
        return {"tested": None, "pictures": [], "alpha": None, "false_positive_rate": None}
    table = run.table("copies")
    own = table[table["near_copy"] & table["image_id"].isin(list(ids))]
    summary = run.record.get("copies") or {}
    return {
        "tested": len(table),
        "alpha": run.config.copies.alpha,
        "false_positive_rate": summary.get("false_positive_rate"),
        "pictures": [
            {
                "prompt_id": row["prompt_id"],
                "prompt": run.texts.get(row["prompt_id"], ""),
                "generation": int(row["generation"]),
                "image_id": row["image_id"],
                "distance": float(row["distance"]),
                "p_value": _number(row["p_value"]),
            }
            for row in own.to_dict("records")
        ],
    }


def leaning(
    run: Run, ids: Sequence[str], method: str, calibration: Path | None = None
) -> dict[str, Any]:
    """Return how much each prompt's pictures lean on the images, by an attributor's scores.

    The sum of the images' scores for a prompt is compared with that of `LISTS` lists of as many
    images drawn at random: ``share`` is how many of them have as large a sum, (1 + larger) /
    (1 + lists). With a calibration the sum becomes an effect with an interval.

    Parameters
    ----------
    run : Run
        With a fitted model.
    ids : sequence of str
        Training images.
    method : str
        The attributor.
    calibration : Path, optional
        As `untrain calibrate` writes it. Left out, one is fitted on the run's own trial, where that
        is finished.

    Returns
    -------
    dict
        ``method``, ``unit``, ``images``, ``calibrated`` (what on, or None), ``notes``, and
        ``prompts``: prompt_id, prompt, score, share, best_rank and, calibrated, effect, low, high.
        Those that lean most come first.
    """
    model = fitted_model(run)
    queries = read_queries(run.folder)
    evidence = run_evidence(run, queries, asked_prompts(queries, run.prompts), model=model)
    scale, told = _calibration(run, method, calibration)
    found = attribute_all(evidence, [method], 1, run.unit)
    scores = np.nan_to_num(found.values[method].astype(np.float64))
    rows = np.array([run.catalog.index[image_id] for image_id in ids])
    draws = rng("takedown", run.config.seed)
    lists = np.stack([draws.permutation(len(run.catalog))[: len(rows)] for _ in range(LISTS)])
    prompts = []
    for asked, of_prompt in zip(found.prompts.to_dict("records"), scores, strict=True):
        total = float(of_prompt[rows].sum())
        chance = of_prompt[lists].sum(axis=1)
        place = np.argsort(np.argsort(-of_prompt, kind="stable"), kind="stable")
        effect = scale.effects(np.array([total])) if scale else ()
        prompts.append(
            {
                "prompt_id": asked["prompt_id"],
                "prompt": asked["prompt"],
                "score": total,
                "share": (1 + int((chance >= total).sum())) / (1 + LISTS),
                "best_rank": int(place[rows].min()) + 1,
                **dict(
                    zip(
                        ("effect", "low", "high"), (float(each[0]) for each in effect), strict=False
                    )
                ),
            }
        )
    prompts.sort(key=lambda row: (row["share"], -row["score"]))
    if scale:
        key, recipe = queries_key(run.folder), recipe_key(run.generator)
        checked = scale.check(run.unit, recipe, run.catalog.fingerprint, key)
        told += [note.text for note in checked]
    return {
        "method": method,
        "unit": run.unit,
        "images": len(run.catalog),
        "calibrated": [each["name"] for each in scale.about["runs"]] if scale else None,
        "notes": told,
        "prompts": prompts,
    }


def _calibration(run: Run, method: str, file: Path | None) -> tuple[Calibration | None, list[str]]:
    """Return the calibration of a file, or one of the run's own trial, and what to know of it."""
    if file is not None:
        found = Calibration.load(file)
        if found.method != method:
            raise InputError(
                f"{file} calibrates {found.method}, but scores are those of {method}: "
                f"give --method {found.method}"
            )
        return found, []
    if not is_finished_trial(run.folder):
        return None, []
    try:
        return fit_calibration([measured_sets(run, method)]), []
    except InputError as error:  # too few prompts
        return None, [f"no estimate in {run.unit}: {error}"]


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)

"""The leaderboard: attributors compared on a bank of models without random halves of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from untrain.attribution.base import Attributor, Evidence
from untrain.attribution.fitting import check_unseen
from untrain.attribution.registry import check_ranking, every_attributor, is_search_ranking
from untrain.banks.judging import Truth, judge, limits
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.progress import console
from untrain.core.tables import PROMPTS
from untrain.evaluation.lds import LEAST_MODELS, Estimate
from untrain.runs.evidence import (
    CANDIDATES,
    fitted_model,
    further_models,
    has_fitted_model,
    run_evidence,
)
from untrain.runs.examples import read_examples
from untrain.runs.leaderboard import COLUMNS, Leaderboard
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.search.rank.ranking import check_method, parse_method
from untrain.search.rank.weights import Weights

if TYPE_CHECKING:
    from untrain.banks.bank import Bank

HALF = 0.5  # the share of the data removed from the models that count here


def leaderboard(
    run: Run,
    bank: Bank,
    k: int = 10,
    rankings: Sequence[str] = (),
    encoders: Sequence[str] = (),
    candidates: int = CANDIDATES,
) -> Leaderboard:
    """Benchmark every available attributor on models trained on random halves of the data.

    A query is a prompt, its outcome the mean over the pictures that A generated for it; control
    prompts are left out. Attributors: captions (``text``, by TF-IDF, and ``bm25``), every metric of
    the comparison, every ranking, the run's own rankings, those and the encoders given, chance (the
    mean of 20 draws) and, where families are known, ``family``: 1 for images of the prompt's own
    family and 0 for others, an upper reference that knows what no attributor does.

    Parameters
    ----------
    run : Run
        Done up to ``generate`` at least.
    bank : Bank
        As `untrain.banks.bank.read_bank` returns it; models of other shares are left out.
    k : int
        How many of the first images count for the effect and the family precision.
    rankings : sequence of str
        Further ones, such as ``fitted:weights.json`` or ``scores:influence.parquet``.
    encoders : sequence of str
        Further ones, for the cosine of pooled features.
    candidates : int
        How many images a prompt's pictures are compared with; with a larger catalogue the others
        count as the lowest.

    Returns
    -------
    Leaderboard

    Raises
    ------
    InputError
        The run has no pictures or other ones, the bank too few models or queries that are not
        measured, weights were fitted on this run, or what the user gave cannot be had.
    """
    _check(run, k, candidates)
    prompts = run.prompts[run.prompts["role"] == "query"].reset_index(drop=True)
    kept, outcomes = half_outcomes(run, bank, list(prompts["prompt_id"]))
    groups = pd.factorize(pd.Series(run.catalog.hashes))[0]
    evidence = evidence_of(run, list(prompts["prompt_id"]), candidates)
    truth = Truth(kept, outcomes, groups, evidence.families, k)
    asked = list(dict.fromkeys([*run.config.ranking.methods, *rankings]))
    notes = [note for method in asked for note in _check_method(run, method)]
    records: list[dict[str, Any]] = []
    scored: dict[str, Estimate] = {}
    for attributor in every_attributor(asked, encoders, run.config.attribution.options):
        why = attributor.missing(evidence)
        if why is None:
            try:
                judged, record, told = _judged(attributor, evidence, truth)
            except InputError as error:
                if attributor.name in rankings:
                    raise
                text = f"{attributor.name} is left out: {error}"
                notes.append(Note("attributor-left-out", text, (attributor.name,)))
                continue
            scored[attributor.name] = judged
            records.append(record)
            notes += told
        elif attributor.name in rankings:
            raise InputError(f"{attributor.name} cannot be tried: {why}")
    own = run.config.ranking.method
    reference = own if own in scored else "text"  # which always is there
    for record in records:
        lead = scored[record["name"]] - scored[reference]
        record |= limits("lead", lead, 2.0)
    table = pd.DataFrame(records, columns=COLUMNS)
    table = table.sort_values(["lds", "name"], ascending=[False, True], ignore_index=True)
    return Leaderboard(
        table,
        name=run.config.name,
        k=k,
        models=len(kept),
        queries=len(prompts),
        images=len(run.catalog),
        candidates=min(candidates, len(run.catalog)),
        reference=reference,
        unit=run.unit,
        notes=tuple(notes),
    )


def evidence_of(run: Run, prompt_ids: Sequence[str], candidates: int = CANDIDATES) -> Evidence:
    """Return what attributors may use: the pictures that A generated for some prompts of a run."""
    queries = read_queries(run.folder).of(*prompt_ids)
    if not has_fitted_model(run):
        return run_evidence(run, queries, candidates=candidates)
    found = run_evidence(run, queries, candidates=candidates, model=fitted_model(run))
    return replace(found, models=further_models(run))


def _check_method(run: Run, method: str) -> tuple[Note, ...]:
    """Check a requested ranking; weights must not have been fitted on this run."""
    check_ranking(method)
    if not is_search_ranking(method):
        return ()
    check_method(method)
    parsed = parse_method(method)
    if parsed.kind != "fitted":
        return ()
    try:
        examples = read_examples(run.folder).describe()["examples"]
    except InputError:  # no effects here that anything could have been fitted on
        examples = None
    weights = Weights.load(Path(parsed.argument))
    return check_unseen(method, weights, run.config.name, run.catalog.fingerprint, examples)


def keep_leaderboard(run: Run, board: Leaderboard) -> None:
    """Write ``results/leaderboard``: Parquet, CSV, JSON, Markdown and a figure."""
    from untrain.report.figures.leaderboard import save_leaderboard

    board.save(run.folder)
    save_leaderboard(run.folder)
    for note in board.notes:
        console.print(f"  {note}", markup=False, soft_wrap=True)


def _check(run: Run, k: int, candidates: int) -> None:
    for name in ("prompts.csv", "queries.safetensors"):
        if not run.path(name).exists():
            raise InputError(
                f"{run.folder} has no {name}: there are no generated pictures to be attributed. "
                "Run the experiment first: `untrain run FILE`, then `untrain bank FILE`"
            )
    drawn = PROMPTS.read(run.folder)
    known = run.record.get("fingerprints", {}).get("catalog")
    asked = run.prompts[["prompt_id", "prompt"]].astype(str).to_numpy().tolist()
    if drawn[["prompt_id", "prompt"]].to_numpy().tolist() != asked or (
        known is not None and known != run.catalog.fingerprint
    ):
        raise InputError(
            f"{run.folder} was made with other data or prompts than the experiment file names now: "
            "run it again, or put the file back as it was"
        )
    if not (run.prompts["role"] == "query").any():
        raise InputError("there are only control prompts; a leaderboard needs other prompts too")
    if not 1 <= k <= len(run.catalog):
        raise InputError(f"k is {k}; choose 1 to {len(run.catalog)}, the number of images")
    if candidates < 1:
        raise InputError(f"candidates are {candidates}; choose at least 1")


def of_halves(bank: Bank) -> np.ndarray:
    """Return which models of a bank are without a random half of the data, bool (models,)."""
    return np.isclose(bank.models["share"].to_numpy(np.float64), HALF)


def half_outcomes(run: Run, bank: Bank, prompt_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return what each half's model was trained on, and its mean measure of each query."""
    half = of_halves(bank)
    if half.sum() < LEAST_MODELS:
        raise InputError(
            f"the bank of {run.folder} has {half.sum()} models of random halves; a leaderboard "
            f"needs at least {LEAST_MODELS}, better 64 or more: `untrain bank FILE --models 64`"
        )
    if bank.kept.shape[1] != len(run.catalog):
        raise InputError(
            f"the bank of {run.folder} knows {bank.kept.shape[1]} images and the catalogue has "
            f"{len(run.catalog)}: make it again with `untrain bank FILE`"
        )
    means = bank.outcomes.groupby(["model_id", "prompt_id"])["value"].agg(["mean", "count"])
    models = bank.models["model_id"][half]
    cells = means.reindex(pd.MultiIndex.from_product([models, prompt_ids]))
    lacking = cells.index[~(cells["count"] == run.config.per_prompt)]
    if len(lacking):
        model, prompt = lacking[0]
        raise InputError(
            f"the bank of {run.folder}: not all pictures of prompt {prompt} were measured in model "
            f"{model} ({len(lacking)} such pairs): measure them with `untrain bank FILE`"
        )
    return bank.kept[half], cells["mean"].to_numpy(np.float64).reshape(len(models), -1)


def _judged(
    attributor: Attributor, evidence: Evidence, truth: Truth
) -> tuple[Estimate, dict[str, Any], tuple[Note, ...]]:
    """Return an attributor's LDS, its row and its notes."""
    draws = [draw.scores(evidence) for draw in attributor.draws()]
    return *judge(attributor.name, attributor.kind, draws, truth), draws[0].notes

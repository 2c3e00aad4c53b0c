"""The cheap estimate of what groups are worth: the scores of their images, summed; no training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from untrain.attribution.calibration import Calibration, recipe_key
from untrain.banks.measured import run_scores
from untrain.catalogs.groups import Groups
from untrain.core.bank_tables import SHARES
from untrain.core.errors import InputError
from untrain.core.vocabulary import Role
from untrain.evaluation.agreement import agreement
from untrain.runs.queries import queries_key
from untrain.runs.run import Run
from untrain.runs.shares import OVERALL, PROMPT, THESE, UNKNOWN, Shares

CALIBRATED, PROPORTION = "calibration", "proportion"


def with_scores(
    run: Run,
    groups: Groups,
    method: str,
    calibration: Calibration | None = None,
    shares: Shares | None = None,
) -> Shares:
    """Return shares with the estimate of an attributor beside them.

    A group's estimate for a prompt is the sum over its images of what the removal of each costs by
    itself, as the calibration of its score says. Without a calibration the sums of scores only say
    proportions; where a bank says what was learnt, that is shared out by them.

    Parameters
    ----------
    run : Run
        With a fitted model A and its pictures.
    groups : Groups
    method : str
        An attributor.
    calibration : Calibration, optional
        Of the same method, fitted on other runs.
    shares : Shares, optional
        Of the bank of the same groups; without them there is nothing to compare with.

    Raises
    ------
    InputError
        The calibration is of another method or unit, or the attributor lacks what it needs.
    """
    notes = list(shares.notes if shares else groups.notes)
    if calibration is not None:
        if calibration.method != method:
            raise InputError(f"the calibration is of {calibration.method}, the scores of {method}")
        notes += calibration.check(
            run.unit, recipe_key(run.generator), run.catalog.fingerprint, queries_key(run.folder)
        )
    evidence, scores = run_scores(run, method)
    single = np.nan_to_num(scores if calibration is None else calibration.effect(scores))
    members = np.arange(len(groups))[:, None] == groups.of  # (groups, images)
    sums = pd.DataFrame(
        single @ members.T.astype(np.float64), list(evidence.prompt_ids), list(groups.names)
    )
    base = shares or _bare(run, groups, list(evidence.prompt_ids))
    asked = set(run.prompts["prompt_id"][run.prompts["role"] == Role.QUERY])
    overall = _overall(sums.loc[[name in asked for name in sums.index]], calibration is None)
    table = _filled(base, sums, overall, calibration is not None)
    about = {"method": method, "scale": PROPORTION if calibration is None else CALIBRATED}
    checks = {k: v for k, v in base.checks.items() if not k.startswith("from_scores")}
    if shares is not None:
        checks |= _checks(table)
    return replace(base, table=table, checks=checks, scores=about, notes=tuple(notes))


def _overall(sums: pd.DataFrame, uncalibrated: bool) -> pd.Series:
    """Return the mean over prompts; of proportions, where scores of prompts have no common unit."""
    if not uncalibrated:
        return sums.mean()
    return _parts(sums).mean()


def _parts(sums: pd.DataFrame) -> pd.DataFrame:
    """Return each prompt's sums as parts of their total; missing where that is not positive."""
    total = sums.sum(axis=1)
    return sums.div(total.where(total > 0), axis=0)


def _bare(run: Run, groups: Groups, prompt_ids: list[str]) -> Shares:
    """Return the shares of a run without a bank: the groups, and nothing known of them."""
    scopes: list[tuple[str, str | None]] = [(OVERALL, None), *((PROMPT, p) for p in prompt_ids)]
    rows = [
        {"scope": s, "prompt_id": p, "group": name, "images": int(size), "status": UNKNOWN}
        for s, p in scopes
        for name, size in zip(groups.names, groups.sizes, strict=True)
    ]
    queries = int((run.prompts["role"] == Role.QUERY).sum())
    return Shares(
        SHARES.of(rows),
        groups.by,
        groups.key,
        run.config.name,
        run.unit,
        len(run.catalog),
        queries,
        notes=groups.notes,
    )


def _filled(base: Shares, sums: pd.DataFrame, overall: pd.Series, calibrated: bool) -> pd.DataFrame:
    """Return the table with the columns of the estimate."""
    whole = overall / overall.sum() if overall.sum() > 0 else overall * np.nan
    values = _column(base.table, sums, overall)
    share = _column(base.table, _parts(sums), whole)
    table = base.table.assign(
        share_from_scores=share,
        from_scores=values if calibrated else share * _learnt(base, base.table),
    )
    return SHARES.conform(table)


def _column(table: pd.DataFrame, by_prompt: pd.DataFrame, overall: pd.Series) -> np.ndarray:
    """Return numbers of prompts and groups in the places of a table, missing in its other rows."""
    group = pd.Index(by_prompt.columns).get_indexer(pd.Index(table["group"]))
    prompt = pd.Index(by_prompt.index).get_indexer(pd.Index(table["prompt_id"]))
    scope = table["scope"].to_numpy(str)
    found = np.where(np.isin(scope, [OVERALL, THESE]), overall.to_numpy(np.float64)[group], np.nan)
    own = (scope == PROMPT) & (prompt >= 0)
    found[own] = by_prompt.to_numpy(np.float64)[prompt[own], group[own]]
    return found


def _learnt(base: Shares, table: pd.DataFrame) -> np.ndarray:
    """Return what was learnt of each row's prompt, missing where no bank says so."""
    if base.totals.empty:
        return np.full(len(table), np.nan)
    rows = base.totals[base.totals["scope"].isin([OVERALL, THESE, PROMPT])]
    known = {
        (r["scope"], r["prompt_id"] if r["scope"] == PROMPT else None): float(r["learnt"])
        for r in rows.to_dict("records")
    }
    keys = zip(table["scope"], table["prompt_id"], strict=True)
    return np.array([known.get((s, p if s == PROMPT else None), np.nan) for s, p in keys])


def _checks(table: pd.DataFrame) -> dict[str, Any]:
    """Return how the estimate agrees with the bank."""
    return {
        f"from_scores-{kind}": {
            "overall": agreement(rows["from_scores"], rows[kind]),
            "prompts": agreement(cells["from_scores"], cells[kind]),
        }
        for kind in ("shapley", "last")
        for rows in [table[table["scope"] == OVERALL]]
        for cells in [table[table["scope"] == PROMPT]]
    }

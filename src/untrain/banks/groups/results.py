"""Shares of groups as results of a run: found, written, drawn."""

from __future__ import annotations

from pathlib import Path

from untrain.attribution.calibration import Calibration
from untrain.banks.groups.bank import folder_of, read_group_bank
from untrain.banks.groups.scores import with_scores
from untrain.banks.groups.shares import shares_of
from untrain.catalogs.groups import groups_of
from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.runs.run import Run
from untrain.runs.shares import UNTRAINED, Shares


def find_shares(
    run: Run,
    by: str = "",
    least: int = 1,
    method: str | None = None,
    calibration: Path | None = None,
    baseline: str = UNTRAINED,
) -> Shares:
    """Return the shares of a run's groups, and write them with their figure into ``results``.

    Parameters
    ----------
    run : Run
        With a bank of these groups, or with a ``method`` a fitted model and its pictures.
    by : str
        What makes the groups, or the name of their folder in ``groups``; empty for those of the
        only bank of groups that the run has.
    least : int
        Groups with fewer images are pooled; 1 takes the number that the bank was made with.
    method : str, optional
        An attributor whose estimate is to stand beside.
    calibration : Path, optional
        File of its calibration.
    baseline : {'untrained', 'uniform'}
        See `shares_of`.

    Raises
    ------
    InputError
        There is neither bank nor method, or they do not fit the run.
    """
    made = _made(run)
    if not by and len(made) != 1:
        raise InputError(
            f"{run.folder} has {len(made) or 'no'} banks of groups"
            f"{': ' + ', '.join(made) if made else ''}; say by what to group with --by"
        )
    for key, (made_by, made_least) in made.items():
        if by in ("", key, made_by):
            by, least = made_by, made_least if least == 1 else least
    groups = groups_of(run.catalog, by, least)
    trained = (folder_of(run.folder, groups) / "models.parquet").exists()
    found = (
        shares_of(run, read_group_bank(run, groups), baseline) if trained or not method else None
    )
    if method:
        worth = Calibration.load(calibration) if calibration else None
        found = with_scores(run, groups, method, worth, found)
    elif calibration:
        raise InputError("a calibration is of the scores of a method: name it with --from-scores")
    assert found is not None
    keep_shares(run, found)
    return found


def keep_shares(run: Run, found: Shares) -> None:
    """Write ``results/shares-<attribute>``: Parquet, CSV, JSON, Markdown and a figure."""
    from untrain.report.figures.groups import save_shares

    found.save(run.folder)
    save_shares(run.folder, found)


def _made(run: Run) -> dict[str, tuple[str, int]]:
    """Return by what the banks of groups of a run were made, and their least size, by their key."""
    found = {path.parent.name: read_json(path) for path in run.path("groups").glob("*/groups.json")}
    return {key: (str(found[key]["by"]), int(found[key]["least"])) for key in sorted(found)}

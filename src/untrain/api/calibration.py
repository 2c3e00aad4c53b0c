"""Calibration in Python: from scores to what removals cost, fitted on runs that measured some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from untrain.core.vocabulary import ATTRIBUTOR

if TYPE_CHECKING:
    from untrain.attribution.calibrating import Coverage
    from untrain.attribution.calibration import Calibration, MeasuredSets


def calibrate(
    runs: Sequence[str | Path],
    method: str = ATTRIBUTOR,
    source: str | None = None,
    scale: str | None = None,
    confidence: float = 0.95,
) -> Calibration:
    """Fit what the removal of images costs to the sum of their scores.

    Parameters
    ----------
    runs : sequence of str or Path
        Folders or names of finished runs, or of runs with a bank, all of one recipe. Each is
        scored by its own model A.
    method : str
        The attributor.
    source : {'trial', 'bank'}, optional
        What was measured: the forget sets of the trial, or random halves; left out, the trial
        where it is finished.
    scale : {'linear', 'isotonic'}, optional
        Left out, chosen by cross-validation over prompts.
    confidence : float
        Of the intervals, 0 to 1.

    Returns
    -------
    Calibration
        For `untrain.attribute`; ``save(path)`` keeps it.

    Raises
    ------
    InputError
        A run has measured nothing, or there are too few prompts.
    """
    from untrain.attribution.calibrating import fit_calibration

    return fit_calibration(_measured(runs, method, source), scale, confidence)


def coverage_on(
    calibration: Calibration, runs: Sequence[str | Path], source: str | None = None
) -> Coverage:
    """Return how a calibration does on runs that it was not fitted on.

    Raises
    ------
    InputError
        It was fitted on one of them.
    """
    from untrain.attribution.calibrating import coverage

    if source is None:
        kinds = {kind for run in calibration.about["runs"] for kind in run["sources"]}
        source = kinds.pop() if len(kinds) == 1 else None
    return coverage(calibration, _measured(runs, calibration.method, source))


def _measured(runs: Sequence[str | Path], method: str, source: str | None) -> list[MeasuredSets]:
    from untrain.banks.measured import measured_sets
    from untrain.runs.find import find_run
    from untrain.runs.run import open_run

    return [measured_sets(open_run(find_run(Path(run))), method, source) for run in runs]

"""What a stage left that is no longer as it was written: found, told, and made again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from untrain.core import disk
from untrain.core.atomic import discard_folder
from untrain.core.errors import Damaged
from untrain.core.manifest import RECORD, is_whole, note_gone
from untrain.core.marks import MARKER, is_marked
from untrain.core.printing import escape
from untrain.core.progress import console
from untrain.core.verifying import faults_below, recorded_below
from untrain.experiment.stages.base import Stage
from untrain.runs.run import Run

MODELS = ("model_a.parquet", "models.parquet")
SPARED = ("pictures/", "thumbnails/", "results/figures/", "results/tables/", "report-public.html")
"""What people delete to save space, which is no reason to do a stage again."""


def faults(run: Run, stage: Stage) -> dict[str, str]:
    """Return what a stage left that is damaged or missing, and which of the two; mostly nothing.

    A run that was recorded from its beginning must have a record of every output too.
    """
    found = faults_below(run.folder, _places(run, stage))
    if markers := [name for name in found if name.endswith(f"/{MARKER}")]:
        for name in markers:
            is_whole(run.path(name).parent)  # which puts the marker back
        found = faults_below(run.folder, _places(run, stage))
    found = {name: fault for name, fault in found.items() if _counts(name, fault)}
    if run.record.get("checksums"):
        for output in stage.outputs:
            if run.path(output).exists() and not recorded_below(run.folder, [output]):
                found[output] = "not recorded"
    return found


def tell(stage: Stage, found: dict[str, str]) -> None:
    """Say why a stage is done again."""
    name, fault = next(iter(found.items()))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    console.print(
        f"[yellow]{escape(name)} is {fault}[/]{more}: {stage.name} is done again", soft_wrap=True
    )


def tidy(run: Run, stage: Stage) -> None:
    """Forget what a stage left once and has not made again; what of it is damaged is deleted."""
    for name, fault in faults_below(run.folder, _places(run, stage)).items():
        path = run.path(name)
        within = [each for each in path.parents if each.is_relative_to(run.folder)]
        if marked := next((each for each in within if is_marked(each)), None):
            discard_folder(marked)  # of settings of before
            continue
        with suppress(OSError):
            if fault == "damaged":
                disk.delete_file(path)
            note_gone(path)


def digests(run: Run, stage: Stage) -> dict[str, str]:
    """Return the checksums of what a stage left, by name."""
    return recorded_below(run.folder, stage.outputs)


def _counts(name: str, fault: str) -> bool:
    return fault != "missing" or not name.startswith(SPARED)


def _places(run: Run, stage: Stage) -> Iterable[str]:
    places = [*stage.outputs, *stage.others]
    for table in MODELS:
        with suppress(FileNotFoundError, Damaged):
            if table in stage.outputs:
                places.extend(run.table(table.removesuffix(".parquet"))["path"].tolist())
    return [place for place in places if place != RECORD]

"""Accidents of a run: somebody deletes what it works with, at a moment of each stage."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import micro
from accidents_bench import Accident, Bench, Case, has_ended, nobody_left, wait_for
from micro import Place

STAGES = (
    "fit", "generate", "judge", "retrieve", "compare", "rank", "remove", "retrain", "regenerate",
    "evaluate", "report",
)  # fmt: skip


def _deleted(
    stage: str, happens: Callable[[Place, Case], object], cache_counts: bool = True
) -> Accident:
    def accident(bench: Bench, case: Case) -> None:
        place = bench.place()
        pid = micro.start(place)
        wait_for(place, pid, stage)
        end = time.monotonic() + case.draw() * bench.seconds[stage]
        while time.monotonic() < end and not has_ended(pid):
            time.sleep(0.001)
        happens(place, case)
        case.ended(place, micro.wait(pid), (0, 1, 2))
        nobody_left(case, pid)
        strange = _below_runs(micro.contents(place.folder)) - _below_runs(bench.whole())
        case.expect(not strange, f"made: {sorted(strange)}")
        bench.finishes(case, place, cache_counts=cache_counts)

    return accident


def _below_runs(files: dict[str, bytes]) -> set[str]:
    return {name for name in files if name.startswith("runs/")}


def _run(place: Place, case: Case) -> None:
    # A folder that comes while its tree is deleted makes `rmtree` leave what is above it.
    shutil.rmtree(place.run, ignore_errors=True)


def _visible(place: Place, case: Case) -> None:
    """Delete what ``rm -r runs/micro/*`` deletes."""
    for path in list(place.run.glob("[!.]*")):
        _delete(path)


def _models(place: Place, case: Case) -> None:
    shutil.rmtree(place.run / "models", ignore_errors=True)


def _one(place: Place, case: Case) -> None:
    files = sorted(path for path in place.run.rglob("*") if path.is_file())
    if files:
        _delete(files[int(case.draw() * len(files))])


def _cache(place: Place, case: Case) -> None:
    shutil.rmtree(place.cache, ignore_errors=True)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _in_each_stage(
    happens: Callable[[Place, Case], object], cache_counts: bool = True
) -> tuple[Accident, ...]:
    return tuple(_deleted(stage, happens, cache_counts) for stage in STAGES)


ACCIDENTS: dict[str, tuple[Accident, ...]] = {
    "the run's folder is deleted, in a stage": _in_each_stage(_run),
    "all in the run's folder is deleted (rm -r *), in a stage": _in_each_stage(_visible),
    "models/ is deleted, in a stage": _in_each_stage(_models),
    "one file of the run is deleted, in a stage": _in_each_stage(_one),
    "the cache is deleted, in a stage": _in_each_stage(_cache, False),
}

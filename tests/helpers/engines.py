"""Engines for tests: what is trained is noted, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from untrain.training.base import Batch, Group, TrainingMode
from untrain.training.local import LocalEngine


def noting_engine(note: Callable[[Group], object]) -> Callable[[str | None], LocalEngine]:
    """Return an engine for one worker that calls ``note`` with each group before training it."""

    class Noting(LocalEngine):
        def train(self, batch: Batch) -> None:
            def job(folder: Path, shared: Path, group: Group, mode: TrainingMode) -> object:
                note(group)
                return batch.job(folder, shared, group, mode)

            super().train(replace(batch, job=job))

    return Noting

"""The engine ``local``: processes of this machine."""

from __future__ import annotations

from untrain.core.errors import InputError
from untrain.training.base import Batch
from untrain.training.worker import default_workers, run_jobs


class LocalEngine:
    """The `untrain.training.base.Engine` of this machine: processes side by side."""

    remote = False

    def __init__(self, address: str | None = None) -> None:
        self.address = address

    def check(self) -> None:
        """Raise `InputError` if there is an address: there is nothing to reach."""
        if self.address is not None:
            raise InputError(
                f"engine.address is '{self.address}', but the engine 'local' trains only on "
                "this machine: leave the address out, or use the engine 'ray'"
            )

    def train(self, batch: Batch) -> None:
        """Train in ``workers`` processes; by default one per core, or one if there is a GPU."""
        arguments = [(batch.folder, batch.shared, group, batch.mode) for group in batch.groups]
        workers = batch.workers or default_workers()
        run_jobs(batch.job, arguments, workers, batch.mode.threads, batch.label, batch.work)

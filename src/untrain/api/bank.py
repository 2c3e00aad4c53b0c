"""A bank of models, each trained without a random subset: what attributions are benchmarked on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from untrain.core.notebook import facts_html, line_html

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from untrain.banks.bank import Bank as TrainedBank
    from untrain.banks.benchmark.read import Benchmark
    from untrain.runs.leaderboard import Leaderboard
    from untrain.settings.config import Config


class Bank:
    """Models of an experiment, each trained without a random subset of the data.

    `Experiment.bank` trains one.

    Parameters
    ----------
    config : Config
        Of the experiment.
    found : untrain.banks.bank.Bank
        Its models and their measures.
    """

    def __init__(self, config: Config, found: TrainedBank) -> None:
        self.config, self._found = config, found

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.folder

    @property
    def models(self) -> pd.DataFrame:
        """Columns model_id, share (of the data removed), draw, seed, fingerprint, path."""
        return self._found.models.copy()

    @property
    def kept(self) -> np.ndarray:
        """Which model was trained on which image, bool (models, images).

        Rows are those of `models`, columns those of `Result.catalog`.
        """
        return self._found.kept.copy()

    def __len__(self) -> int:
        return len(self._found.models)

    def leaderboard(
        self,
        k: int = 10,
        rankings: Sequence[str] = (),
        encoders: Sequence[str] = (),
        candidates: int = 5000,
    ) -> Leaderboard:
        """Benchmark every attributor on the bank; write ``results/leaderboard`` of the run.

        Parameters
        ----------
        k : int
            How many images the effect and the family precision are of.
        rankings, encoders : sequence of str
            Further ones, such as ``scores:influence.parquet``.
        candidates : int
            How many images a prompt's pictures are compared with; others count as the lowest.

        Returns
        -------
        Leaderboard
            Its ``table`` has a row for each attributor, best first.

        Raises
        ------
        InputError
            The bank has too few models of random halves, or the run other pictures.
        """
        from untrain.banks.leaderboard import keep_leaderboard, leaderboard
        from untrain.report.page.rewrite import write_again
        from untrain.runs.run import Run

        run = Run(self.config)
        with run.lock():
            board = leaderboard(run, self._found, k, rankings, encoders, candidates)
            keep_leaderboard(run, board)
        write_again(run.folder)
        return board

    def export(
        self, folder: Path | str, images: bool = False, baselines: Sequence[str] | None = None
    ) -> Benchmark:
        """Write the bank as plain files, on which anybody can test a method.

        Parameters
        ----------
        folder : Path
            New or empty.
        images : bool
            Write training images that untrain did not render, too.
        baselines : sequence of str, optional
            Methods whose scores go with it; default: family, text, fusion, nda and dtrak.

        Returns
        -------
        Benchmark

        Raises
        ------
        InputError
            The bank has too few models of random halves, or the folder is not empty.
        """
        from untrain.banks.benchmark.read import Benchmark
        from untrain.banks.benchmark.write import BASELINES, write_benchmark
        from untrain.runs.run import Run

        write_benchmark(Run(self.config), self._found, folder, images, baselines or BASELINES)
        return Benchmark(folder)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how many models without how much of the data."""
        sizes = self.models.groupby("share").size()
        facts = [
            (f"without {share:.0%} of the images", f"{count} models")
            for share, count in sizes.items()
        ]
        return line_html(repr(self)) + facts_html(facts)

    def __repr__(self) -> str:
        return f"Bank of {len(self)} models, in {(self.folder / 'bank').as_posix()}"

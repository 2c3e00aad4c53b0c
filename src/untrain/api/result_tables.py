"""The tables of a run, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.api.effect import Effect, check_known
from untrain.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from untrain.runs.results import RunResults
    from untrain.settings.config import Config


class ResultTables:
    """The tables of a run: see `untrain.Result`."""

    def __init__(self, folder: str | Path) -> None:
        from untrain.runs.find import find_run

        self.folder = find_run(Path(folder))

    @property
    def prompts(self) -> pd.DataFrame:
        """Columns prompt_id, prompt, family (may be missing), role (query or control), seen."""
        return self._table("prompts")

    @property
    def catalog(self) -> pd.DataFrame:
        """All training images: columns image_id, caption, content (a hash)."""
        return self._table("catalog")

    @property
    def retrieval(self) -> pd.DataFrame:
        """The candidates: columns prompt_id, image_id, rank, score."""
        return self._table("retrieval")

    @property
    def comparison(self) -> pd.DataFrame:
        """Every metric of every generated picture against every candidate of its prompt."""
        return self._table("comparison")

    @property
    def ranking(self) -> pd.DataFrame:
        """Columns method, prompt_id, image_id, score (higher: more influential), rank from 1."""
        return self._table("ranking")

    @property
    def forget_sets(self) -> pd.DataFrame:
        """Which images are in which forget set: forget_set_id, arm, prompt_id, k, image_id, …"""
        return self._table("forget_sets")

    @property
    def measures(self) -> pd.DataFrame:
        """Columns model_id, prompt_id, generation, measure, value; the primary one is in `unit`."""
        return self._table("results/measures")

    @property
    def effects(self) -> pd.DataFrame:
        """Effects by design, arm, k, prompt (missing: overall) and measure, with interval and p."""
        return self._table("results/effects")

    @property
    def verdicts(self) -> pd.DataFrame:
        """Columns prompt_id, verdict, reason and p_holm, the p adjusted for all prompts.

        A run that cannot be trusted (`doubts`) withholds its verdicts.
        """
        from untrain.evaluation.trust import withhold

        table, run = self._table("results/verdicts"), self._read()
        return withhold(table, run.effects, run.doubts)

    @property
    def fidelity(self) -> pd.DataFrame:
        """How near methods of unlearning came to exact retraining: method, budget, group, rho, …"""
        return self._table("results/fidelity")

    @property
    def overall(self) -> pd.DataFrame:
        """The overall effects in `unit`, a row an arm and size, naive figures beside them."""
        from untrain.report.tables.effects import overall_table

        return overall_table(self._read().effects)

    def shares(self, by: str | None = None) -> pd.DataFrame:
        """Return what share each group of training images has in what the model learnt.

        Columns scope (overall, held_out, prompt, picture), prompt_id, generation, group, images,
        shapley with its limits, status (``separable`` from zero or not), share, banzhaf, …:
        `untrain.core.tables.SHARES`. ``untrain bank FILE --by brand`` or `Experiment.shares` makes
        them.

        Parameters
        ----------
        by : str, optional
            What makes the groups, such as ``brand``; not needed where there is only one.

        Raises
        ------
        InputError
            There are none, or several and ``by`` says not which.
        """
        from untrain.runs.shares import read_shares

        return read_shares(self.folder, by).table

    def effect(self, prompt_id: str, arm: str | None = None, k: int | None = None) -> Effect:
        """Return what removing a prompt's images does to its pictures.

        Parameters
        ----------
        prompt_id : str
            The prompt's id, or its text.
        arm : str, optional
            Which images: ``targeted`` (those found for the prompt), ``random_uniform``, or another
            arm of the run. Default: ``family`` for a positive control, else ``targeted``.
        k : int, optional
            The size of the set. Default: the smallest, which verdicts are about.

        Raises
        ------
        InputError
            The run has no such prompt, arm or size, or no effects yet.

        Examples
        --------
        >>> import untrain
        >>> effect = untrain.load_result("runs/micro").effect("p00")
        >>> effect.arm, effect.k, effect.unit
        ('targeted', 3, 'bits/token')
        >>> 0 < effect.p_value <= 1
        True
        """
        from untrain.api.effect import effect_of

        return effect_of(self._read(), self._prompt(prompt_id), arm, k)

    @property
    def doubts(self) -> list[str]:
        """Why the run cannot be trusted, as codes (`untrain.core.vocabulary.Doubt`); or nothing.

        ``generator-cannot-draw`` and ``control-failed`` withhold its verdicts.
        """
        return [str(doubt) for doubt in self._read().doubts]

    @property
    def unit(self) -> str:
        """Of the effects: bits/token, or what the run's generator is measured in."""
        return self._read().unit

    @property
    def summary(self) -> dict[str, Any]:
        """The content of ``results/summary.json``."""
        from untrain.core.files import read_json

        return dict(read_json(self._path("results/summary.json")))

    @property
    def config(self) -> Config:
        """The settings: ``untrain.Experiment(result.config)`` is the experiment again."""
        from untrain.runs.inputs import run_config

        return run_config(self.folder)

    def _prompt(self, prompt: str) -> str:
        """Return the id of a prompt that is given by its id or its text."""
        table = self.prompts
        if prompt in set(table["prompt_id"]):
            return prompt
        texts = dict(zip(table["prompt"], table["prompt_id"], strict=True))
        check_known("prompt", prompt, [*table["prompt_id"], *texts])
        return str(texts[prompt])

    def _read(self) -> RunResults:
        from untrain.runs.results import read_results

        return read_results(self.folder)

    def _table(self, name: str) -> pd.DataFrame:
        from untrain.core.tables import TABLES

        table = TABLES[name]
        self._path(f"{table.name}{table.suffix}")
        return table.read(self.folder)

    def _path(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise InputError(
                f"{self.folder} has no {name} yet: run the experiment further; `result` itself "
                "says how far it is"
            )
        return path

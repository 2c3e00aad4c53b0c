"""An experiment: its settings, and what runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from untrain.api.bank import Bank
from untrain.api.result import Result
from untrain.core.errors import InputError, did_you_mean
from untrain.core.notebook import facts_html, line_html

if TYPE_CHECKING:
    from untrain.catalogs.base import Catalog
    from untrain.experiment.planned import Plan
    from untrain.runs.shares import Shares
    from untrain.settings.config import Config


class Experiment:
    """An experiment: its settings, and what runs it.

    Parameters
    ----------
    config : Config
        As `untrain.load_config` reads it; `from_yaml`, `from_dict` and `demo` are shorter.

    Examples
    --------
    >>> import untrain
    >>> experiment = untrain.Experiment.from_yaml("experiment.yaml", name="micro")
    >>> result = experiment.run()
    >>> result.ranking.columns.tolist()
    ['method', 'prompt_id', 'image_id', 'score', 'rank']
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def from_yaml(cls, path: str | Path, *settings: str, **changes: Any) -> Self:
        """Read an experiment file.

        Parameters
        ----------
        path : str or Path
            The file; relative paths in it are relative to its folder.
        *settings : str
            Single settings to replace, as ``--set`` of the command line takes them.
        **changes
            Top-level settings to replace, such as ``seed=3``.

        Raises
        ------
        InputError
            No such file, or a wrong key or value: named, with its line.

        Examples
        --------
        >>> experiment = Experiment.from_yaml("experiment.yaml", "removal.k=[2, 4]", seed=3)
        >>> experiment.config.removal.k, experiment.config.seed
        ((2, 4), 3)
        """
        from untrain.settings.load import load_config

        return cls(load_config(Path(path), settings, **changes))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Take the settings of an experiment file as a dictionary.

        Raises
        ------
        InputError
            A wrong key or value.

        Examples
        --------
        >>> experiment = Experiment.from_dict({"name": "mine", "prompts": {"families": 4}})
        >>> experiment.folder.as_posix()
        'runs/mine'
        """
        from untrain.settings.load import make_config

        return cls(make_config(values))

    @classmethod
    def demo(cls, preset: str = "demo", *settings: str, **changes: Any) -> Self:
        """Return the experiment on pictures that untrain renders itself.

        Parameters
        ----------
        preset : str
            ``demo`` takes minutes; ``micro`` takes seconds, and its results mean nothing.
        *settings, **changes
            As for `from_yaml`.

        Examples
        --------
        >>> Experiment.demo(seed=3).config.design.models
        8
        """
        from importlib.resources import as_file, files

        presets = ("demo", "micro")
        if preset not in presets:
            raise InputError(f"unknown demo preset '{preset}'{did_you_mean(preset, presets)}")
        with as_file(files("untrain.settings") / f"{preset}.yaml") as path:
            return cls.from_yaml(path, *settings, **changes)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.folder

    @cached_property
    def catalog(self) -> Catalog:
        """The training catalogue with its pictures: what is left after subset and hold-out."""
        from untrain.runs.inputs import open_inputs

        return open_inputs(self.config).train

    def plan(self, noise: float | None = None) -> Plan:
        """Return what a run would cost, and what it could find, in numbers; `print` it to read it.

        Parameters
        ----------
        noise : float, optional
            Standard deviation of a query between models, in the run's unit. Default: that of
            finished runs of the same data and model, or of the demo.

        Raises
        ------
        InputError
            What a run would find wrong with its input, or the disk has too little room.

        Examples
        --------
        >>> plan = Experiment.demo("micro").plan()
        >>> plan.models, plan.forget_sets, plan.power.unit
        (5, 14, 'bits/token')
        """
        from untrain.experiment.plan import plan

        return plan(self.config, noise)

    def run(self, until: str = "report", again: bool = False) -> Result:
        """Run every stage that is not done yet; a stopped run goes on where it was.

        Parameters
        ----------
        until : str
            The last stage to run, such as ``"rank"``.
        again : bool
            Run the last stage even if it is done.

        Raises
        ------
        InputError
            An unknown stage, or something wrong with settings or data: found before anything is
            trained.

        Examples
        --------
        >>> Experiment.demo("micro").run()
        Result('runs/micro'): done
        """
        from untrain.experiment.pipeline import run_stages
        from untrain.runs.run import Run

        return Result(run_stages(Run(self.config), until, again))

    def bank(self, models: int = 64, shares: Sequence[float] = (0.5,)) -> Bank:
        """Train a bank: models that each lack a random subset of the data.

        Models that are there are not trained again; stages up to ``generate`` are run first.

        Parameters
        ----------
        models : int
            How many of each share, at least 2.
        shares : sequence of float
            Shares of the training images to remove, each in (0, 1).

        Raises
        ------
        InputError
            A share or a number of models that cannot be, or pictures that were given.
        """
        from untrain.banks.bank import train_bank
        from untrain.runs.run import Run

        return Bank(self.config, train_bank(Run(self.config), models, shares))

    def shares(
        self,
        by: str,
        models: int | None = None,
        shares: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        leave_one_out: int = 0,
        least: int = 1,
    ) -> Shares:
        """Train models that whole groups of images have left; return what each group is worth.

        Models that are there are not trained again; stages up to ``generate`` are run first.
        Writes ``results/shares-<attribute>`` of the run.

        Parameters
        ----------
        by : str
            An attribute of the catalogue, such as ``brand``; ``folder``; or a CSV file of image ids
            and groups.
        models : int, optional
            How many of each share; left out, 16, or enough for four models a group.
        shares : sequence of float
            Chances of each group to leave.
        leave_one_out : int
            For how many groups to train a model without that group only, as a check.
        least : int
            Groups with fewer images are pooled.

        Returns
        -------
        Shares
            ``overall`` has a row for each group, the largest first; ``table`` has every prompt's
            and picture's too.

        Raises
        ------
        InputError
            The groups or their numbers are impossible, or there would be too few models.
        """
        from untrain.banks.groups.bank import train_group_bank
        from untrain.banks.groups.results import keep_shares
        from untrain.banks.groups.shares import shares_of
        from untrain.report.page.rewrite import write_again
        from untrain.runs.run import Run

        run = Run(self.config)
        found = shares_of(run, train_group_bank(run, by, models, shares, leave_one_out, least))
        with run.lock():
            keep_shares(run, found)
        write_again(run.folder)
        return found

    def ladder(self, **asked: Any) -> Result:
        """Hold methods of unlearning against exact retraining; `Result.fidelity` has what came.

        Stages up to ``remove`` are run first. What is there is not made again.

        Parameters
        ----------
        **asked
            What the command takes: ``methods`` (all if left out), ``budgets`` (shares of one
            training), ``seeds`` (models that forget each set), ``dear`` (budgets above it are tried
            on one model and a set of each kind), how many ``targeted``, ``random`` and ``family``
            sets of the run are forgotten, or ``sets``, files of own ones in their place.

        Raises
        ------
        InputError
            A method, a budget or a set that cannot be, or a run without a model.
        """
        from untrain.banks.ladder.asked import asked_of
        from untrain.banks.ladder.ladder import climb_ladder
        from untrain.banks.ladder.results import keep_fidelity
        from untrain.report.page.rewrite import write_again
        from untrain.runs.run import Run

        wanted = asked_of(asked)
        found = self.run(until="remove") if self.config.given is None else Result(self.folder)
        run = Run(self.config)
        keep_fidelity(run, climb_ladder(run, wanted))
        write_again(run.folder)
        return found

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the settings that are not as usual, and how far it is."""
        from untrain.runs.find import RECORD
        from untrain.runs.status import status

        begun = (self.folder / RECORD).is_file()
        state = status(self.folder).state if begun else "not begun"
        chosen = self.config.model_dump(mode="json", exclude_defaults=True)
        facts = [(name, _as_yaml(value)) for name, value in chosen.items()]
        return line_html(repr(self)) + facts_html([("state", state), *facts])

    def __repr__(self) -> str:
        return f"Experiment('{self.config.name}'), in {self.folder.as_posix()}"


def _as_yaml(value: Any) -> str:
    """Return a setting as an experiment file has it, on one line."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("...\n").strip().strip("{}")

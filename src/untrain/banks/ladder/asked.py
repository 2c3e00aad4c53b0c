"""What a ladder is to compare, and what it would cost before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from untrain.core.errors import InputError, did_you_mean
from untrain.experiment.planned import in_words
from untrain.unlearning.registry import METHODS, check_budget, make_method

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of one training, the goal (0.05) among them."""
DEAR = 0.05
"""Budgets above it are tried on fewer models and sets: they are most of what a ladder costs, and
nobody would spend half a training to save one."""
ANEW = ("sisa",)
"""Methods that take all steps of a training whatever the budget, each with fewer pairs: their time
does not fall with it, so they are tried where dear budgets are."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a ladder.

    Attributes
    ----------
    methods : tuple of str
        Names, with options after a colon; all methods if empty.
    budgets : tuple of float
        Shares of one training, above 0 and at most 1.
    seeds : int
        How many models, each of another seed, forget every set; the first has seed B of the run.
    dear : float
        Budgets above this are tried on the first model only, and there on the first set of each
        kind, except random ones.
    targeted, random, family : int
        How many sets of each kind, see `untrain.banks.ladder.sets.sets_of_run`.
    sets : tuple of Path
        A user's own lists, in place of those of the run.
    """

    methods: tuple[str, ...] = ()
    budgets: tuple[float, ...] = BUDGETS
    seeds: int = 2
    dear: float = DEAR
    targeted: int = 2
    random: int = 1
    family: int = 1
    sets: tuple[Path, ...] = ()

    def check(self) -> None:
        """Raise `InputError` for what cannot be, before anything is opened."""
        for name in self.methods:
            make_method(name)
        if not self.budgets:
            raise InputError("a ladder needs a budget, such as 0.05; found none")
        for budget in self.budgets:
            check_budget(budget)
        if self.seeds < 1:
            raise InputError(f"{self.seeds} seeds: expected at least one model to forget the sets")
        if min(self.targeted, self.random, self.family) < 0:
            raise InputError("a number of sets cannot be below 0")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The methods, each once."""
        return tuple(dict.fromkeys(self.methods or tuple(METHODS)))


def asked_of(values: Mapping[str, Any]) -> Asked:
    """Return what is asked by keywords; lists may stand for tuples.

    Raises
    ------
    InputError
        An unknown keyword ("did you mean"), or what `Asked.check` refuses.
    """
    known = {each.name for each in fields(Asked)}
    for name in values:
        if name not in known:
            raise InputError(f"a ladder takes no '{name}'{did_you_mean(name, known)}")
    whole: dict[str, Any] = dict(values)
    for name in ("methods", "budgets", "sets"):
        given = whole.get(name, ())
        whole[name] = (given,) if isinstance(given, (str, float, Path)) else tuple(given)
    whole["budgets"] = whole["budgets"] or BUDGETS
    whole["sets"] = tuple(Path(file) for file in whole["sets"])
    asked = Asked(**whole)
    asked.check()
    return asked


def numbers(text: str) -> tuple[float, ...]:
    """Read budgets separated by commas or spaces.

    Raises
    ------
    InputError
        One of them is no number.

    Examples
    --------
    >>> numbers("0.01, 0.05")
    (0.01, 0.05)
    """
    try:
        return tuple(dict.fromkeys(float(part) for part in text.replace(",", " ").split()))
    except ValueError:
        raise InputError(
            f"budgets are shares of a training such as 0.01,0.05; found '{text}'"
        ) from None


@dataclass(frozen=True)
class LadderPlan:
    """What a ladder would make, for how long.

    Attributes
    ----------
    models, sets : int
        Models that forget, and forget sets.
    twins : int
        Exact retrainings that are needed, and the models themselves.
    missing : int
        How many of these are still to be trained.
    rungs : int
        Models that methods make and that are measured.
    due : int
        How many of them are still to be made.
    trainings : float
        What the due ones cost, in trainings, if every method spends all of its budget.
    measuring : float
        What measuring them costs, in trainings.
    workers : int
        How many are made at once.
    seconds_per_model : float or None
        None if the generator does not say.
    kinds : tuple of str
        The kinds of the sets.
    """

    models: int
    sets: int
    twins: int
    missing: int
    rungs: int
    due: int
    trainings: float
    measuring: float
    workers: int
    seconds_per_model: float | None
    kinds: Sequence[str] = field(default=())

    @property
    def seconds(self) -> float | None:
        """At most, of training and unlearning together; None if unknown."""
        if self.seconds_per_model is None:
            return None
        rounds = -(-self.missing // self.workers) + (self.trainings + self.measuring) / self.workers
        return rounds * self.seconds_per_model

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan for people."""
        kinds = ", ".join(f"{self.kinds.count(kind)} {kind}" for kind in dict.fromkeys(self.kinds))
        time = "unknown: the generator does not say what training costs (its method `cost`)"
        if self.seconds is not None:
            time = f"at most about {in_words(self.seconds)}, {self.workers} at a time"
        return [
            ("models", f"{self.models}, each of another seed"),
            ("forget sets", f"{self.sets}: {kinds}"),
            ("exact twins", f"{self.twins} models with those that forget, {self.missing} to train"),
            ("unlearning", f"{self.rungs} models, {self.due} to make and measure"),
            (
                "cost",
                f"{self.missing} trainings, at most {self.trainings:.1f} of unlearning, and "
                f"{self.measuring:.1f} of measuring",
            ),
            ("time", time),
        ]

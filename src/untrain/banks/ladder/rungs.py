"""The rungs of a ladder: which models are made and measured, and what each is known by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from untrain import __version__
from untrain.banks.ladder.asked import ANEW, Asked
from untrain.banks.ladder.items import items_key
from untrain.banks.ladder.job import MEASURED_ONLY, Rung
from untrain.banks.ladder.sets import RANDOM, LadderSet
from untrain.core.files import fingerprint
from untrain.core.vocabulary import Reference
from untrain.runs.queries import queries_key
from untrain.runs.run import Run
from untrain.training.base import ModelRequest
from untrain.unlearning.registry import kind_of, make_method

MEASURING = 100
"""Pairs passed that measuring a model counts as, for the progress bar."""


class Step(NamedTuple):
    """A rung before its models are trained.

    Attributes
    ----------
    model : ModelRequest
        That forgets.
    chosen : LadderSet
    method : str
    budget : float
    without : LadderSet or None
        The set without which the model was trained that is measured as it is: of references.
    """

    model: ModelRequest
    chosen: LadderSet
    method: str
    budget: float
    without: LadderSet | None = None


@dataclass(frozen=True, eq=False)
class Rungs:
    """All that is asked of a ladder of a run.

    Attributes
    ----------
    run : Run
        Its generator must be prepared.
    asked : Asked
    sets : sequence of LadderSet
    depends : mapping of str to str
        Fingerprints of what all rungs depend on.
    items : mapping of str to str
        What is measured for each set, by its key.
    """

    run: Run
    asked: Asked
    sets: Sequence[LadderSet]
    depends: Mapping[str, str]
    items: Mapping[str, str]

    @classmethod
    def of(cls, run: Run, asked: Asked, sets: Sequence[LadderSet]) -> Rungs:
        """Return those of a run whose generator is prepared."""
        items = {each.set_id: items_key(run, each) for each in sets}
        return cls(run, asked, sets, depends_on(run), items)

    @property
    def models(self) -> list[ModelRequest]:
        """The models that forget: seed B, and those after it."""
        first = self.run.config.b_seed
        return [ModelRequest(f"m{i}", first + i) for i in range(self.asked.seeds)]

    @property
    def requests(self) -> list[ModelRequest]:
        """All that is to be trained: the models, then their twins, by model and set."""
        return self.models + [
            ModelRequest(f"{model.model_id}/{each.set_id}", model.seed, each.ids)
            for model in self.models
            for each in self.sets
        ]

    def steps(self) -> Iterator[Step]:
        """Yield the references of every model and set, then methods, cheap ones first."""
        for model in self.models:
            for chosen in self.sets:
                yield Step(model, chosen, Reference.FULL.value, 0.0)
                yield Step(model, chosen, Reference.TWIN.value, 1.0, chosen)
                if other := self._wrong(chosen):
                    yield Step(model, chosen, Reference.OTHER_SET.value, 1.0, other)
        for budget in sorted(self.asked.budgets):
            for method in self.asked.chosen:
                for model, chosen in self.pairs(method, budget):
                    yield Step(model, chosen, method, budget)

    def pairs(self, method: str, budget: float) -> list[tuple[ModelRequest, LadderSet]]:
        """Return the models and sets that a method is tried on; see `Asked.dear`."""
        if self.asked.dear >= 1 or (budget <= self.asked.dear and kind_of(method) not in ANEW):
            return [(model, chosen) for model in self.models for chosen in self.sets]
        first = {chosen.kind: chosen for chosen in reversed(self.sets)}
        some = [chosen for chosen in self.sets if first[chosen.kind] is chosen]
        some = [chosen for chosen in some if chosen.kind != RANDOM] or some
        return [(self.models[0], chosen) for chosen in some]

    def _wrong(self, chosen: LadderSet) -> LadderSet | None:
        """Return a random set that has no image of another: forgetting it is the wrong thing."""
        for other in self.sets:
            if other.kind == RANDOM and not set(other.ids) & set(chosen.ids):
                return other
        return None

    def key(self, step: Step) -> str:
        """Return what a rung is known by: all that its rows depend on, and its names."""
        named = [step.model.seed, step.chosen.set_id, step.chosen.kind, step.method, step.budget]
        if step.method in MEASURED_ONLY:
            options: object = list(step.without.ids) if step.without else []
        else:
            options = asdict(make_method(step.method))  # type: ignore[call-overload]
        items = self.items[step.chosen.set_id]
        return fingerprint("rung", dict(self.depends), items, named, options)

    def rung(self, step: Step, paths: Mapping[str, str], seconds: float | None) -> Rung:
        """Return what a process is told of a step.

        Parameters
        ----------
        step : Step
        paths : mapping of str to str
            Of the models in `requests`, from the run folder.
        seconds : float or None
            That a training took, if any was needed.
        """
        model, chosen = step.model, step.chosen
        begun = f"{model.model_id}/{step.without.set_id}" if step.without else model.model_id
        trainer = self.run.trainer
        passed = 0 if step.method in MEASURED_ONLY else step.budget
        return Rung(
            key=self.key(step),
            model_id=model.model_id,
            set_id=chosen.set_id,
            kind=chosen.kind,
            method=step.method,
            budget=step.budget,
            seed=model.seed,
            forget=chosen.ids,
            model=paths[begun],
            twin=paths[f"{model.model_id}/{chosen.set_id}"],
            items=f"{ITEMS}/{self.items[chosen.set_id]}",
            seconds=seconds if step.method == Reference.TWIN else None,
            work=MEASURING + int(passed * trainer.generator.fit_work(trainer.catalog)),
        )


ITEMS = "ladder/items"


def rung_path(folder: Path, key: str) -> Path:
    """Return where the rows of a rung are, in a run folder."""
    return folder / "ladder" / "rungs" / f"{key}.parquet"


def depends_on(run: Run) -> dict[str, str]:
    """Return the fingerprints of what all rungs depend on; the generator must be prepared."""
    recipe = fingerprint(run.generator.fingerprint(run.catalog), run.config.b_seed, run.config.seed)
    return {
        "models": recipe,
        "queries": queries_key(run.folder),
        "unit": run.unit,
        "version": __version__,
    }

"""Runs the checks, functions of a `Bench` that raise `AssertionError`: what was found, and why.

Modelled on scikit-learn's ``check_estimator``: many small named checks, any of which can be run by
itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from untrain.catalogs.base import Catalog
from untrain.core.progress import bar
from untrain.testing import drawing, fitting, gradients, identity, keeping, likelihood
from untrain.testing.bench import Bench, Make
from untrain.testing.shared import Skip

CHECKS: tuple[Callable[[Bench], None], ...] = (
    identity.check_attributes,
    identity.check_fingerprint,
    identity.check_unknown_ids_are_refused,
    fitting.check_fit_is_deterministic,
    fitting.check_fit_draws_only_from_its_seed,
    fitting.check_seed_matters,
    fitting.check_removal_matters,
    fitting.check_removed_pairs_leave_no_trace,
    fitting.check_removed_pairs_keep_their_place,
    fitting.check_a_removal_is_smaller_than_a_seed,
    fitting.check_order_of_removed_ids,
    fitting.check_nearly_everything_can_go,
    fitting.check_fit_needs_no_pictures,
    drawing.check_pictures,
    drawing.check_encode_and_decode,
    drawing.check_noise_decides,
    drawing.check_pictures_do_not_depend_on_their_batch,
    likelihood.check_likelihood,
    likelihood.check_likelihood_is_repeatable,
    likelihood.check_likelihood_does_not_depend_on_its_batch,
    gradients.check_module_is_all_that_is_learnt,
    gradients.check_pair_losses_are_those_of_training,
    gradients.check_measurements_are_likelihoods,
    gradients.check_losses_do_not_depend_on_their_batch,
    gradients.check_predictions_make_the_losses,
    gradients.check_gradients,
    keeping.check_saved_and_loaded,
    keeping.check_files_are_safe,
)

MARKS = {"failed": "✗", "skipped": "–", "passed": "✓"}
"""How an outcome begins, in the order in which a report shows them."""


@dataclass(frozen=True)
class Check:
    """A check of one generator; call it. As text it is its name, for ``ids=str``."""

    name: str
    run: Callable[[Bench], None]
    bench: Bench

    def __call__(self) -> None:
        """Run the check.

        Raises
        ------
        AssertionError
            It fails: what was found, and why it matters.
        """
        try:
            self.run(self.bench)
        except Skip:
            return

    def __str__(self) -> str:
        return self.name


def generator_checks(make_generator: Make, catalog: Catalog | None = None) -> list[Check]:
    """Return the checks of a generator, to be called one by one; models are fitted once for all.

    Parameters
    ----------
    make_generator : callable
        Returns a new generator each time, such as its class. Small settings keep this quick.
    catalog : Catalog, optional
        Some tens of pairs to train on; 32 rendered ones if left out.
    """
    bench = Bench(make_generator, catalog)
    return [Check(run.__name__.removeprefix("check_"), run, bench) for run in CHECKS]


@dataclass(frozen=True)
class Outcome:
    """What a check came to.

    Attributes
    ----------
    name : str
        Of the check.
    about : str
        What it asks, in a sentence.
    state : {"passed", "skipped", "failed"}
    found : str
        Of one that was skipped, why; of one that failed, what was found and what to do.
    """

    name: str
    about: str
    state: str
    found: str = ""

    def __str__(self) -> str:
        said = f"{MARKS[self.state]} {self.name} — {self.about}"
        if self.state == "failed":
            return f"{said}\n    {self.found}"
        return f"{said} (skipped: {self.found})" if self.found else said


class GeneratorReport(Sequence[str]):
    """What `check_generator` found: as text, a line a check and the verdict last.

    Those that failed come first, then those that do not apply.

    Attributes
    ----------
    generator : str
        Name of the class.
    outcomes : tuple of Outcome
        In the order of the text.
    """

    def __init__(self, generator: str, outcomes: Iterable[Outcome]) -> None:
        self.generator = generator
        self.outcomes = tuple(sorted(outcomes, key=lambda o: list(MARKS).index(o.state)))

    def names(self, state: str) -> list[str]:
        """Return the names of the checks that passed, failed or were skipped."""
        return [outcome.name for outcome in self.outcomes if outcome.state == state]

    @property
    def verdict(self) -> str:
        """The last line: whether the generator can be used."""
        total, failed, skipped = len(self.outcomes), self.names("failed"), self.names("skipped")
        if failed:
            return (
                f"{len(failed)} of {total} checks failed: {self.generator} does not keep the "
                "contract yet. Mend the first one first; others often follow from it."
            )
        told = f", {len(skipped)} do not apply" if skipped else ""
        return (
            f"{total - len(skipped)} of {total} checks passed{told}: {self.generator} keeps the "
            "contract and can be named in an experiment file."
        )

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        """Return the line of a check."""
        return list(map(str, self.outcomes))[at]

    def __str__(self) -> str:
        return "\n".join([*self, self.verdict])

    __repr__ = __str__  # what a prompt and a notebook show


def check_generator(make_generator: Make, catalog: Catalog | None = None) -> GeneratorReport:
    """Check that a generator keeps the contract, `untrain.Generator`.

    Parameters
    ----------
    make_generator, catalog
        As for `generator_checks`.

    Returns
    -------
    GeneratorReport
        To be printed: a line for each check, all passed, and the verdict.

    Raises
    ------
    AssertionError
        Some checks failed. Its text is the report: those first, with what each found, why that
        matters and what to do.
    """
    outcomes = []
    checks = generator_checks(make_generator, catalog)
    with bar("checking the generator", len(checks)) as advance:
        for check in checks:
            outcomes.append(_tried(check))
            advance(1)
    report = GeneratorReport(getattr(make_generator, "__name__", "the generator"), outcomes)
    if report.names("failed"):
        raise AssertionError(f"\n{report}")
    return report


def _tried(check: Check) -> Outcome:
    """Run a check and return what came of it."""
    about = (check.run.__doc__ or "").strip().splitlines()[0].rstrip(".")
    try:
        check.run(check.bench)
    except Skip as why:
        return Outcome(check.name, about, "skipped", str(why))
    except AssertionError as error:
        return Outcome(check.name, about, "failed", str(error))
    except Exception as error:  # whatever the user's class raises
        found = f"it raised {type(error).__name__}: {error}{_place(error)}"
        return Outcome(check.name, about, "failed", found)
    return Outcome(check.name, about, "passed")


def _place(error: Exception) -> str:
    """Return where an error was raised: in the user's own file, if it went through one."""
    frames = traceback.extract_tb(error.__traceback__)
    others = (str(Path(__file__).parents[1]), "site-packages")
    own = [frame for frame in frames if not any(place in frame.filename for place in others)]
    last = (own or frames)[-1]
    return f" ({Path(last.filename).name}, line {last.lineno}: {last.line})"

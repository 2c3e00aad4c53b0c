"""Runs the checks, functions of a `Bench` that raise `AssertionError`: what was found, and why.

Modelled on scikit-learn's ``check_estimator``: many small named checks, any of which can be run by
itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from untrain.catalogs.base import Catalog
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


def check_generator(make_generator: Make, catalog: Catalog | None = None) -> list[str]:
    """Check that a generator keeps the contract, `untrain.Generator`.

    Parameters
    ----------
    make_generator, catalog
        As for `generator_checks`.

    Returns
    -------
    list of str
        The names of the checks, all passed; ``(skipped: why)`` follows one that does not apply.

    Raises
    ------
    AssertionError
        Names every check that failed, what it found and why that matters.
    """
    passed, failed = [], []
    for check in generator_checks(make_generator, catalog):
        try:
            check.run(check.bench)
            passed.append(check.name)
        except Skip as why:
            passed.append(f"{check.name} (skipped: {why})")
        except Exception as error:  # whatever the user's class raises
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            failed.append(f"- {check.name}: {kind}{error}")
    if failed:
        head = f"{len(failed)} of {len(CHECKS)} checks failed:\n"
        raise AssertionError(head + "\n".join(failed))
    return passed

"""Checks of `fit`: pairing, and removal that leaves no trace."""

from __future__ import annotations

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.testing.bench import (
    OTHER_SEED,
    Bench,
    with_other_content,
    without_pictures,
)
from untrain.testing.shared import Skip, disturb, only_if_paired


def check_fit_is_deterministic(bench: Bench) -> None:
    """The same seed and the same data give the same model, to the bit."""
    only_if_paired(bench)
    first, again = bench.fitted()[1], bench.fitted(again="again")[1]
    assert first == again, (
        "two models of one seed, with nothing removed, differ"
        f" (by {first.distance(again):.3g}): every effect would be mixed with this difference."
        " Draw all randomness of fit from its seed"
    )


def check_fit_draws_only_from_its_seed(bench: Bench) -> None:
    """What was drawn elsewhere before does not matter."""
    only_if_paired(bench)
    disturb()
    found = bench.fitted(again="disturbed")[1]
    assert found == bench.fitted()[1], (
        "after other code has drawn random numbers, the same seed gives another model: seed "
        "torch (torch.manual_seed) and numpy inside fit"
    )


def check_seed_matters(bench: Bench) -> None:
    """Another seed gives another model."""
    assert bench.fitted()[1] != bench.fitted(seed=OTHER_SEED)[1], (
        "two seeds give the same model: the queries come from a model of another seed than those "
        "that are compared, or effects are measured on what the model was told to draw"
    )


def check_removal_matters(bench: Bench) -> None:
    """A model without some pairs is another model."""
    assert bench.fitted()[1] != bench.fitted(bench.removed)[1], (
        f"the model without {len(bench.removed)} of {len(bench.catalog)} pairs is the same as the "
        "one with all: `removed` is not used"
    )


def check_removed_pairs_leave_no_trace(bench: Bench) -> None:
    """What a removed pair shows and says cannot be found in the model."""
    only_if_paired(bench)
    expected = bench.fitted(bench.removed)[1]
    frozen = bool(bench.new().frozen)  # which saw the pictures: only `fit` itself can be asked
    other = with_other_content(bench.catalog, bench.removed, captions=not frozen, claimed=frozen)
    name = "shared" if frozen else "other"
    found = bench.fitted(bench.removed, catalog=other, name=name)[1]
    assert found == expected, (
        "when the removed pairs show other pictures"
        + ("" if frozen else " and have other captions")
        + f" the model changes (by {expected.distance(found):.3g}), although they were removed: "
        "they still teach it something (a loss that is not masked, statistics over all pairs)"
    )


def check_removed_pairs_keep_their_place(bench: Bench) -> None:
    """Removing pairs does not move the others to other batches."""
    only_if_paired(bench)
    catalog = bench.catalog
    rest = catalog.subset(set(catalog.ids) - set(bench.removed))
    if bench.fitted(bench.removed)[1] != bench.fitted(catalog=rest, name="rest")[1]:
        return
    turned = _turned(catalog)
    if bench.fitted(catalog=turned, name="turned")[1] == bench.fitted()[1]:
        raise Skip("the order of the data does not matter to it")
    raise AssertionError(
        "a model without some pairs is to the bit the model of a catalogue that never had them: "
        "the removed pairs were dropped, which moves all others to other batches, and the effect "
        "of that is as large as a removal's. Keep each in its place with a loss of zero"
    )


def check_a_removal_is_smaller_than_a_seed(bench: Bench) -> None:
    """Without one pair a model is nearer to the full one than a model of another seed is."""
    only_if_paired(bench)
    full, reseeded = bench.fitted()[1], bench.fitted(seed=OTHER_SEED)[1]
    one = bench.fitted(bench.catalog.ids[3:4])[1]
    near, far = full.distance(one), full.distance(reseeded)
    assert near < 0.8 * far, (
        f"without one of {len(bench.catalog)} pairs a model changes by {near:.3g}, with another "
        f"seed by {far:.3g}: initial weights or order depend on what is removed. Let them follow "
        "only from the seed, or declare `paired = False`"
    )


def check_order_of_removed_ids(bench: Bench) -> None:
    """In which order ids are given does not matter."""
    only_if_paired(bench)
    turned = tuple(reversed(bench.removed))
    assert bench.fitted(turned)[1] == bench.fitted(bench.removed)[1], (
        "the same removal in another order gives another model: a set has no order"
    )


def check_nearly_everything_can_go(bench: Bench) -> None:
    """A model of two pairs is no error and no NaN."""
    drawn = bench.fitted(bench.catalog.ids[2:])[1]
    finite = drawn.likely is None or np.isfinite(drawn.likely).all()
    assert finite, (
        "without all but two pairs the likelihood is NaN or infinite: a batch may hold no pair "
        "that is kept (divide by the size of the full batch)"
    )


def check_fit_needs_no_pictures(bench: Bench) -> None:
    """A generator that says so is fitted on what it prepared, with nothing to read."""
    if bench.new().reads_pictures:
        raise Skip("it reads pictures")
    bench.fitted(catalog=without_pictures(bench.catalog))


def _turned(catalog: Catalog) -> Catalog:
    """Return a catalogue from back to front."""
    return Catalog(
        name=catalog.name,
        ids=catalog.ids[::-1],
        captions=catalog.captions[::-1],
        hashes=catalog.hashes[::-1],
        read=catalog.read,
        attributes=catalog.attributes.iloc[::-1].reset_index(drop=True),
    )

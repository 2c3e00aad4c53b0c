"""The checks: each a function of a `Bench` that raises `AssertionError`, in one line what and why.

Modelled on scikit-learn's ``check_estimator``: many small named checks, any of which can be run by
itself.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.generators.base import Generator, Noise, has_likelihood
from untrain.testing.bench import (
    OTHER_SEED,
    Bench,
    Make,
    silent,
    with_other_content,
    without_pictures,
)

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")
ROUNDING = 1e-3  # of a likelihood's size, between batches
LEVELS = 3  # of 255, between batches


class Skip(Exception):
    """A check that does not apply to this generator, and why."""


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


# What it is --------------------------------------------------------------------------------------


def check_attributes(bench: Bench) -> None:
    """It says what it draws and with which noise."""
    made = bench.new()
    assert isinstance(made, Generator), "it is no subclass of untrain.Generator"
    size = getattr(made, "image_size", None)
    whole = isinstance(size, tuple) and len(size) == 2 and all(isinstance(n, int) for n in size)
    assert whole, f"image_size is {size!r}; expected (height, width)"
    noise = getattr(made, "noise", None)
    assert isinstance(noise, Noise), f"noise is {noise!r}; expected untrain.Noise(kind, shape)"
    assert isinstance(made.unit, str) and made.unit, f"unit is {made.unit!r}; expected words"


def check_fingerprint(bench: Bench) -> None:
    """Two that are made alike have one fingerprint; with other data or options another."""
    made, alike = bench.new(), bench.new()
    why = "by it trained models are found again"
    found = made.fingerprint(bench.catalog)
    assert found == alike.fingerprint(bench.catalog), (
        f"two generators made alike have the fingerprints {found} and "
        f"{alike.fingerprint(bench.catalog)}: {why}, and with another they are trained again"
    )
    fewer = bench.catalog.subset(bench.catalog.ids[1:])
    assert found != made.fingerprint(fewer), (
        f"the fingerprint is the same on other data: {why}, so those of the old data would be used"
    )
    json.dumps(made.recipe(), default=str)
    for name, value in vars(made).items():
        if name.startswith("_") or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if name not in _option_names(made):
            continue
        changed = copy.copy(made)
        setattr(changed, name, value + 1)
        assert found != changed.fingerprint(bench.catalog), (
            f"the fingerprint does not depend on the option '{name}': {why}, and with another "
            f"{name} those of the old one would be used"
        )


def _option_names(made: Generator) -> set[str]:
    import inspect

    return set(inspect.signature(type(made)).parameters)


def check_unknown_ids_are_refused(bench: Bench) -> None:
    """To remove an image that is not there is an error, not nothing."""
    generator = bench.prepared()
    try:
        generator.fit(bench.catalog, ["no-such-image"], 0, silent)
    except InputError:
        return
    raise AssertionError(
        "fit took the unknown id 'no-such-image' without an InputError: a typing error would pass "
        "for a removal that has no effect (untrain.kept_rows refuses it)"
    )


# Fitting -----------------------------------------------------------------------------------------


def check_fit_is_deterministic(bench: Bench) -> None:
    """The same seed and the same data give the same model, to the bit."""
    _only_if_paired(bench)
    first, again = bench.fitted()[1], bench.fitted(again="again")[1]
    assert first == again, (
        "two models of one seed, with nothing removed, differ"
        f" (by {first.distance(again):.3g}): every effect would be mixed with this difference."
        " Draw all randomness of fit from its seed"
    )


def check_fit_draws_from_its_seed_alone(bench: Bench) -> None:
    """What was drawn elsewhere before does not matter."""
    _only_if_paired(bench)
    _disturb()
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
    _only_if_paired(bench)
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
    _only_if_paired(bench)
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
    _only_if_paired(bench)
    full, reseeded = bench.fitted()[1], bench.fitted(seed=OTHER_SEED)[1]
    one = bench.fitted(bench.catalog.ids[3:4])[1]
    near, far = full.distance(one), full.distance(reseeded)
    assert near < 0.8 * far, (
        f"without one of {len(bench.catalog)} pairs a model changes by {near:.3g}, with another "
        f"seed by {far:.3g}: initial weights or order depend on what is removed. Let them follow "
        "from the seed alone, or declare `paired = False`"
    )


def check_order_of_removed_ids(bench: Bench) -> None:
    """In which order ids are given does not matter."""
    _only_if_paired(bench)
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


# Drawing -----------------------------------------------------------------------------------------


def check_pictures(bench: Bench) -> None:
    """Pictures are uint8 of the size that was said; samples are numbers, one row a picture."""
    generator, found = bench.fitted()
    expected = (len(bench.prompts), *generator.image_size, 3)
    assert found.images.shape == expected and found.images.dtype == np.uint8, (
        f"generate gave pictures {found.images.shape} of {found.images.dtype}; expected "
        f"{expected} of uint8"
    )
    assert len(found.samples) == len(bench.prompts) and found.samples.dtype.kind in "iuf", (
        f"samples are {found.samples.shape} of {found.samples.dtype}; expected a row a picture, of "
        "integers or floats"
    )


def check_encode_and_decode(bench: Bench) -> None:
    """Pictures can be encoded as samples are, and decoded to pictures."""
    generator, found = bench.fitted()
    pixels = bench.catalog.pixels(generator.image_size, bench.catalog.ids[:3])
    encoded = generator.encode(pixels)
    assert encoded.shape[1:] == found.samples.shape[1:], (
        f"encode gives rows of {encoded.shape[1:]}, generate samples of "
        f"{found.samples.shape[1:]}: held-out and removed images are measured as samples are"
    )
    decoded = generator.decode(encoded)
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8, (
        f"decode gave {decoded.shape} of {decoded.dtype}; expected {pixels.shape} of uint8"
    )


def check_noise_decides(bench: Bench) -> None:
    """The same noise gives the same picture, whatever was drawn before; other noise another."""
    generator, found = bench.fitted()
    _disturb()
    again = generator.generate(bench.prompts, bench.noise).images
    assert _alike(again, found.images), (
        "the same prompts with the same noise gave other pictures: use the noise that is given, "
        "and draw none of your own"
    )
    other = generator.generate(bench.prompts, bench.noise[::-1].copy()).images
    assert not np.array_equal(other, found.images), (
        "other noise gives the same pictures: the pictures of a prompt would all be one"
    )


def check_pictures_do_not_depend_on_their_batch(bench: Bench) -> None:
    """Picture i follows from prompt i and noise i alone."""
    generator, found = bench.fitted()
    turned = generator.generate(bench.prompts[::-1], bench.noise[::-1].copy()).images[::-1]
    alone = [
        generator.generate([prompt], bench.noise[i : i + 1]).images[0]
        for i, prompt in enumerate(bench.prompts)
    ]
    for images, how in ((turned, "in another order"), (np.stack(alone), "alone")):
        assert _alike(images, found.images), (
            f"drawn {how}, the same prompts and noises give other pictures: those of two models "
            "could not be compared picture by picture. Index the noise by picture"
        )


# Likelihood --------------------------------------------------------------------------------------


def check_likelihood(bench: Bench) -> None:
    """It is finite, a row a picture."""
    _, found = _likely(bench)
    n = len(bench.captions)
    assert found.ndim == 2 and len(found) == n and found.shape[1] > 0, (
        f"log_likelihood gave {found.shape} for {n} pictures; expected ({n}, terms)"
    )
    assert found.dtype.kind == "f" and np.isfinite(found).all(), (
        "log_likelihood is not finite, or not of floats"
    )


def check_likelihood_is_repeatable(bench: Bench) -> None:
    """Times and noise of its terms are fixed: asked again it says the same."""
    generator, found = _likely(bench)
    _disturb()
    again = bench.likelihood(generator, bench.pairs(generator), bench.captions)
    assert _near(again, found), (
        f"asked again, log_likelihood says something else (by {np.abs(again - found).max():.3g}): "
        "draw times and noise of its terms from a fixed seed, the same for all models"
    )


def check_likelihood_does_not_depend_on_its_batch(bench: Bench) -> None:
    """Row i follows from sample i and prompt i alone."""
    generator, found = _likely(bench)
    samples = bench.pairs(generator)
    alone = [
        bench.likelihood(generator, samples[i : i + 1], [caption])[0]
        for i, caption in enumerate(bench.captions)
    ]
    turned = bench.likelihood(generator, samples[::-1].copy(), bench.captions[::-1])[::-1]
    for values, how in ((np.stack(alone), "alone"), (turned, "in another order")):
        assert _near(values, found), (
            f"asked {how}, log_likelihood of the same pictures differs (by "
            f"{np.abs(values - found).max():.3g}): draw what is random in its terms by the "
            "picture, not by its place in the batch"
        )


def check_gradients(bench: Bench) -> None:
    """Per-example gradients, where there are any, are a row a picture and finite."""
    generator = bench.fitted()[0]
    give = getattr(generator, "per_example_gradients", None)
    if give is None:
        raise Skip("it has no per_example_gradients")
    found = np.asarray(give(bench.pairs(generator), bench.captions))
    whole = found.ndim == 2 and len(found) == len(bench.captions) and np.isfinite(found).all()
    assert whole, f"per_example_gradients gave {found.shape}; expected ({len(bench.captions)}, d)"


# Keeping -----------------------------------------------------------------------------------------


def check_saved_and_loaded(bench: Bench) -> None:
    """A model that is read in a new generator does what it did, to the bit."""
    generator, found = bench.fitted(bench.removed)
    folder = bench.folder / "saved"
    folder.mkdir(exist_ok=True)
    generator.save(folder)
    loaded = bench.prepared().load(folder)
    assert isinstance(loaded, Generator), "load returned no generator; end it with `return self`"
    again = bench.behaviour(loaded)
    assert again == found, (
        f"saved and loaded, the model does something else (by {found.distance(again):.3g}): all "
        "measures are made on loaded models. Save all that fit has learnt"
    )


def check_files_are_safe(bench: Bench) -> None:
    """What is saved can be read without running code."""
    folder = bench.folder / "files"
    folder.mkdir(exist_ok=True)
    bench.fitted()[0].save(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files, "save wrote no file"
    for path in files:
        with path.open("rb") as file:
            head = file.read(8)
        unsafe = path.suffix in PICKLES or re.match(rb"\x80[\x02-\x05]|PK\x03\x04", head)
        assert not unsafe, (
            f"save wrote {path.name}, which is pickled or looks so: who opens a run folder would "
            "run what is in it. Use safetensors and JSON"
        )


# Helpers -----------------------------------------------------------------------------------------


def _only_if_paired(bench: Bench) -> None:
    if not bench.new().paired:
        raise Skip("it says that it is not paired")


def _likely(bench: Bench) -> tuple[Generator, np.ndarray]:
    generator, found = bench.fitted()
    if not has_likelihood(generator) or found.likely is None:
        raise Skip("it has no log_likelihood")
    return generator, found.likely


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


def _disturb() -> None:
    """Draw random numbers as other code might."""
    import random

    import torch

    random.random()
    np.random.random()  # noqa: NPY002 - the state that nobody should depend on
    torch.rand(3)


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether pictures are the same but for rounding: of a few pixels, or of a few levels."""
    off = np.abs(a.astype(int) - b.astype(int)) > LEVELS
    return bool(off.mean() < 0.01)


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether likelihoods are the same but for rounding."""
    return a.shape == b.shape and bool(np.abs(a - b).max() <= ROUNDING * np.abs(b).max())


CHECKS: tuple[Callable[[Bench], None], ...] = (
    check_attributes,
    check_fingerprint,
    check_unknown_ids_are_refused,
    check_fit_is_deterministic,
    check_fit_draws_from_its_seed_alone,
    check_seed_matters,
    check_removal_matters,
    check_removed_pairs_leave_no_trace,
    check_removed_pairs_keep_their_place,
    check_a_removal_is_smaller_than_a_seed,
    check_order_of_removed_ids,
    check_nearly_everything_can_go,
    check_fit_needs_no_pictures,
    check_pictures,
    check_encode_and_decode,
    check_noise_decides,
    check_pictures_do_not_depend_on_their_batch,
    check_likelihood,
    check_likelihood_is_repeatable,
    check_likelihood_does_not_depend_on_its_batch,
    check_gradients,
    check_saved_and_loaded,
    check_files_are_safe,
)

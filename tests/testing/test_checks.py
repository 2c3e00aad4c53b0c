"""The conformance suite: it passes what keeps the contract, and names what broken ones break."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch

from tests.helpers.painter import Painter, TorchPainter
from untrain.catalogs import Catalog, rendered
from untrain.core.files import rng
from untrain.generators.base import Generations
from untrain.generators.registry import make_generator
from untrain.testing import check_generator, generator_checks
from untrain.testing.checks import CHECKS

Batch = dict[str, torch.Tensor]
OF_GRADIENTS = [
    check.__name__.removeprefix("check_")
    for check in CHECKS
    if check.__module__ == "untrain.testing.gradients"
]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("check", generator_checks(TorchPainter), ids=str)
def test_a_good_one_passes(check: Any) -> None:
    check()


def test_one_without_gradients_passes() -> None:
    said = check_generator(Painter)
    assert said.names("skipped")[-len(OF_GRADIENTS) :] == OF_GRADIENTS
    assert all("(skipped: it has no gradients)" in line for line in said if "– gradients" in line)


def test_the_report_reads_as_a_success_with_the_verdict_last() -> None:
    *lines, last = str(check_generator(TorchPainter)).splitlines()
    assert "✓ saved_and_loaded — A model that is read in a new generator does" in lines[-2]
    skipped = [line for line in lines if line.startswith("–")]
    assert lines[: len(skipped)] == skipped and all("(skipped: " in line for line in skipped)
    assert all(line.startswith("✓ ") for line in lines[len(skipped) :])
    assert last == (
        f"{len(lines) - len(skipped)} of {len(CHECKS)} checks passed, {len(skipped)} do not apply: "
        "TorchPainter keeps the contract and can be named in an experiment file."
    )


class Raising(Painter):
    """It has a bug."""

    def save(self, folder: Path) -> None:
        raise KeyError("weights")


def test_failures_come_first_and_say_where_a_bug_is(few: Catalog) -> None:
    with pytest.raises(AssertionError) as caught:
        check_generator(Raising, few)
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("✗ saved_and_loaded — ")
    assert "it raised KeyError: 'weights' (test_checks.py, line " in lines[2]
    assert lines[-1].startswith(f"2 of {len(CHECKS)} checks failed: Raising does not keep")
    assert "✓ attributes — " in lines[5] or "–" in lines[5]


class Mute(Painter):
    """Says nothing about likelihood."""

    log_likelihood = None  # type: ignore[assignment]


class Unpaired(Painter):
    """Has a random start, and says so."""

    paired = False

    def fit(self, catalog: Catalog, removed: Collection[str], seed: int, progress: Any) -> None:
        super().fit(catalog, removed, seed + 10 * len(removed), progress)


@pytest.mark.parametrize("kind", [Mute, Unpaired])
def test_what_a_generator_does_not_claim_is_not_asked(kind: type[Painter]) -> None:
    said = check_generator(kind)
    assert len(said) == len(CHECKS)
    assert any("skipped" in line for line in said)


def test_the_reference_generator_passes() -> None:
    small = {"epochs": 2, "epochs_ae": 1}
    said = check_generator(lambda: make_generator("dalle", preset="micro", settings=small))
    assert len(said) == len(CHECKS) and not any("skipped" in line for line in said)


# Broken ones -------------------------------------------------------------------------------------


class RandomStart(Painter):
    """Its initial weights come from nowhere."""

    def fit(self, catalog: Catalog, removed: Collection[str], seed: int, progress: Any) -> None:
        super().fit(catalog, removed, int(np.random.randint(10**6)), progress)  # noqa: NPY002


class StartOfTheRemoved(Painter):
    """Its initial weights depend on what is removed."""

    def fit(self, catalog: Catalog, removed: Collection[str], seed: int, progress: Any) -> None:
        super().fit(catalog, removed, seed + 100 * len(removed), progress)


class Dropping(Painter):
    """It drops the removed pairs, so that all others move to other batches."""

    def fit(self, catalog: Catalog, removed: Collection[str], seed: int, progress: Any) -> None:
        rest = catalog.subset(set(catalog.ids) - set(removed))
        super().fit(catalog, removed, seed, progress)  # refuses unknown ids
        super().fit(rest, [], seed, progress)


class Leaking(Painter):
    """It knows the mean picture of all pairs, the removed ones too."""

    def fit(self, catalog: Catalog, removed: Collection[str], seed: int, progress: Any) -> None:
        super().fit(catalog, removed, seed, progress)
        self.weights += 0.01 * self._floats(catalog).mean(axis=0)


class Unmasked(Painter):
    """It forgets to remove anything."""

    def fit(self, catalog: Catalog, removed: Collection[str], seed: int, progress: Any) -> None:
        super().fit(catalog, removed, seed, progress)
        super().fit(catalog, [], seed, progress)


class OwnNoise(Painter):
    """It draws noise of its own."""

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        own = np.random.standard_normal(noise.shape)  # noqa: NPY002
        return super().generate(prompts, own)


class NoiseByPlace(Painter):
    """Its noise depends on the place in the batch."""

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        return super().generate(prompts, noise + 3 * np.arange(len(noise))[:, None])


class Forgetful(Painter):
    """It does not save all that it has learnt."""

    def load(self, folder: Path) -> Self:
        super().load(folder)
        self.weights = self.weights.astype(np.float16).astype(np.float64)
        return self


class Pickling(Painter):
    """It pickles its weights."""

    def save(self, folder: Path) -> None:
        with (folder / "model.bin").open("wb") as file:
            pickle.dump(self.weights, file)

    def load(self, folder: Path) -> Self:
        with (folder / "model.bin").open("rb") as file:
            self.weights = pickle.load(file)
        return self


class RandomTerms(Painter):
    """The noise of its loss is new each time."""

    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        drawn = np.random.standard_normal(samples.shape)  # noqa: NPY002
        return super().log_likelihood(samples + 20 * drawn, prompts)


class TermsByPlace(Painter):
    """The noise of its loss is fixed, but goes by the place in the batch."""

    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        drawn = rng("terms").standard_normal(samples.shape)
        return super().log_likelihood(samples + 20 * drawn, prompts)


class Careless(Painter):
    """It takes ids that are not there."""

    def fit(self, catalog: Catalog, removed: Collection[str], seed: int, progress: Any) -> None:
        super().fit(catalog, set(removed) & set(catalog.ids), seed, progress)


class Nameless(Painter):
    """Its fingerprint does not depend on how it trains."""

    def recipe(self) -> dict[str, Any]:
        return {"class": "nameless"}


class WrongSign(TorchPainter):
    """Its measurements are likelihoods: larger is better."""

    def measurements(self, batch: Batch) -> torch.Tensor:
        return -super().measurements(batch)


class WrongUnit(TorchPainter):
    """Its pair losses are sums over pixels, where it trained on means."""

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        return self.errors(batch).sum(1)


class Ascending(TorchPainter):
    """Its pair losses fall where the training's rise."""

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        return -super().pair_losses(batch)


class Detached(TorchPainter):
    """Its losses are numbers, cut off from the weights."""

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        return super().pair_losses(batch).detach()


class HalfDetached(TorchPainter):
    """A part of its computation is cut off from the weights."""

    def measurements(self, batch: Batch) -> torch.Tensor:
        errors = self.errors(batch)
        half = errors.shape[1] // 2
        return torch.cat((errors[:, :half].detach(), errors[:, half:]), 1).mean(1)


class OtherGradient(TorchPainter):
    """The gradient of its loss is that of another loss."""

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        each = super().pair_losses(batch)
        return each.detach() + 2 * (each - each.detach())


class DroppedWeight(TorchPainter):
    """It has a weight that its module does not hold."""

    def _hold(self, weights: np.ndarray) -> None:
        super()._hold(weights)
        self.rest = self.layer.weight.data[:100].clone()

    def log_likelihood(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        return super().log_likelihood(samples, prompts) - self.rest.square().sum().item()


class StaleModule(TorchPainter):
    """Its module is a copy: what changes in it changes no picture."""

    def module(self) -> torch.nn.Module:
        return copy.deepcopy(super().module())


class LossByPlace(TorchPainter):
    """What is random in its loss goes by the place in the batch."""

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        each = super().pair_losses(batch)
        return each * (1 + 0.1 * torch.arange(len(each)))


BROKEN = {
    WrongSign: "measurements_are_likelihoods",
    WrongUnit: "pair_losses_are_those_of_training",
    Ascending: "pair_losses_are_those_of_training",
    Detached: "gradients",
    HalfDetached: "gradients",
    OtherGradient: "gradients",
    DroppedWeight: "module_is_all_that_is_learnt",
    StaleModule: "module_is_all_that_is_learnt",
    LossByPlace: "losses_do_not_depend_on_their_batch",
    RandomStart: "fit_is_deterministic",
    StartOfTheRemoved: "a_removal_is_smaller_than_a_seed",
    Dropping: "removed_pairs_keep_their_place",
    Leaking: "removed_pairs_leave_no_trace",
    Unmasked: "removal_matters",
    OwnNoise: "noise_decides",
    NoiseByPlace: "pictures_do_not_depend_on_their_batch",
    Forgetful: "saved_and_loaded",
    Pickling: "files_are_safe",
    RandomTerms: "likelihood_is_repeatable",
    TermsByPlace: "likelihood_does_not_depend_on_its_batch",
    Careless: "unknown_ids_are_refused",
    Nameless: "fingerprint",
}


@pytest.fixture(scope="module")
def few() -> Catalog:
    return rendered(families=6, size_of_family=3, seed=1, resolution=16)


@pytest.mark.parametrize(("kind", "name"), BROKEN.items(), ids=lambda value: str(value))
def test_a_broken_one_fails_where_it_is_broken(
    kind: type[Painter], name: str, few: Catalog
) -> None:
    with pytest.raises(AssertionError) as caught:
        check_generator(kind, few)
    message = str(caught.value)
    assert f"✗ {name} — " in message
    found = [line for line in message.splitlines() if line.startswith("    ")]
    assert found and all(len(line) > 40 for line in found), "each says what and why"


def test_a_check_by_itself_raises(few: Catalog) -> None:
    checks = {str(check): check for check in generator_checks(Dropping, few)}
    checks["saved_and_loaded"]()
    with pytest.raises(AssertionError, match="dropped"):
        checks["removed_pairs_keep_their_place"]()

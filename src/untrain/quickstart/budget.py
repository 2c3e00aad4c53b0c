"""How large a trial fits into the time: a few steps of the real networks are timed, then scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from untrain.catalogs.base import Catalog
from untrain.core.threads import default_threads, threads_set
from untrain.generators.dalle.presets import preset_of
from untrain.generators.spec import GeneratorSpec

QUICK = ("tiny", "micro")
LASTING = ("photo", "tiny", "micro")
EPOCHS = 6  # a model that sees its pictures less often learns little of any; they are then fewer
DEMO_PAIR = 1 / 775  # seconds of a pair of the preset tiny on one idle core, in the demo
OTHER_STAGES = 25.0  # seconds of a small trial's stages beside training, on the demo's machine


@dataclass(frozen=True)
class Need:
    """What a preset needs to become anything.

    Attributes
    ----------
    most : int
        Pairs that a model passes in training, those of the demo or of the shop of 6,119 photos;
        more are not asked for here.
    least : int
        Below this it draws blots; the preset is then not used.
    """

    most: int
    least: int


NEEDS = {"photo": Need(110_000, 45_000), "tiny": Need(15_000, 7_000), "micro": Need(12_000, 2_500)}


@dataclass(frozen=True)
class Timed:
    """What was timed of a preset on this machine, as it is busy now.

    Attributes
    ----------
    pair : float
        Seconds a pair in training a model on one thread.
    picture : float
        Seconds a picture in training the frozen parts on all threads.
    """

    pair: float
    picture: float


@dataclass(frozen=True)
class Size:
    """A trial that fits.

    Attributes
    ----------
    preset : str
    epochs, epochs_ae : int
        Of the model, and of the frozen parts.
    images : int
        Pictures of the data to train on.
    models : int
        Of the trial, A not counted.
    seconds : float
        What it is expected to take, all stages.
    timed : Timed
        What that rests on.
    """

    preset: str
    epochs: int
    epochs_ae: int
    images: int
    models: int
    seconds: float
    timed: Timed

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Size:
        """Return what `to_dict` was called on."""
        return cls(**{**values, "timed": Timed(**values["timed"])})

    @property
    def settings(self) -> dict[str, int]:
        """Settings of the preset that are changed."""
        return {"epochs": self.epochs, "epochs_ae": self.epochs_ae}


def time_steps(catalog: Catalog, preset: str) -> Timed:
    """Train a few steps of a preset's networks on noise, and return what they take."""
    generator = GeneratorSpec("dalle", 0, None, {"preset": preset}).make()
    with threads_set(default_threads()):
        cost, first = generator.cost(catalog), generator.prepare_seconds(catalog)
    assert cost is not None  # the reference generator always knows
    return Timed(
        cost.seconds / generator.fit_work(catalog), first / generator.prepare_work(catalog)
    )


def fit_into(
    seconds: float,
    images: int,
    timed: dict[str, Timed],
    workers: int,
    models: Sequence[int],
    planted: int = 0,
) -> Size | None:
    """Return the best trial that fits into a time; None if none does.

    The first preset of ``timed`` that can be trained enough is taken: fully with as many models as
    possible, or with the fewest models as far as the time goes.

    Parameters
    ----------
    seconds : float
        For all stages.
    images : int
        How many there are.
    timed : dict of str to Timed
        Presets in the order of preference, as `time_steps` found them.
    workers : int
        Models trained at once.
    models : sequence of int
        Sizes of a trial, the largest first.
    planted : int
        Images that come on top of ``images``.
    """
    pace = timed["tiny"].pair / DEMO_PAIR if "tiny" in timed else 1.0
    other = OTHER_STAGES * max(1.0, pace)  # a slow machine, or a busy one, is slow at those too
    for preset, step in timed.items():
        need = NEEDS[preset]
        known = preset_of(preset)
        more = known.epochs_ae / known.epochs  # passes of the frozen parts for one of a model
        for count in models:
            rounds = 1 + -(-count // min(workers, count))
            a_pass = more * step.picture + rounds * step.pair
            affordable = (seconds - other) / a_pass
            enough = need.least if count == models[-1] else need.most
            if affordable < enough:
                continue
            passes = min(affordable, need.most)
            used = min(images, max(1, int(passes / EPOCHS) - planted))
            epochs = max(1, round(passes / (used + planted)))
            return Size(
                preset,
                epochs,
                max(1, round(more * epochs)),
                used,
                count,
                other + epochs * (used + planted) * a_pass,
                step,
            )
    return None

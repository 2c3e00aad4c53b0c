"""Precision: what it is by default, what it changes and what it must not change.

bfloat16 keeps 8 bits of a number: rounding changes it by at most 2⁻⁸ of itself. Bounds below are
small multiples of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.generators import silent
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.hardware import (
    PRECISIONS,
    VARIABLE,
    Precision,
    default_precision,
    device,
    has_fast_bfloat16,
)
from untrain.generators.base import Cost, Generator, Noise
from untrain.generators.dalle.generator import DalleGenerator
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.stacked import train_stacked
from untrain.generators.dalle.training import TokenData, pair_losses, train_transformer
from untrain.generators.dalle.transformer import Transformer
from untrain.generators.precision import measure_precision
from untrain.generators.registry import GENERATORS, make_generator

ROUNDING = 2.0**-8
PRESET = preset_of("micro", epochs=1)
VOCABULARY = 50
DRAW = np.random.default_rng(0)
TEXT = DRAW.integers(1, VOCABULARY, (24, 6))
IMAGE = DRAW.integers(0, PRESET.codes, (24, PRESET.positions))
both = pytest.mark.parametrize("precision", PRECISIONS)


def trained(kept: np.ndarray, precision: Precision) -> dict[str, torch.Tensor]:
    data = TokenData(TEXT, IMAGE, kept, VOCABULARY)
    return train_transformer(data, PRESET, 3, silent, precision)[0].state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("in_hardware", ["0", "1"])
def test_the_default_follows_the_device_not_the_processor(
    in_hardware: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, in_hardware)
    assert has_fast_bfloat16() == (in_hardware == "1")
    expected = "bfloat16" if device().type == "cuda" and in_hardware == "1" else "float32"
    assert default_precision() == expected
    assert make_generator("dalle", preset="micro").precision == expected


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="float32 or bfloat16, found 'float16'"):
        make_generator("dalle", precision="float16")


def test_losses_agree_up_to_the_rounding_of_the_format() -> None:
    torch.manual_seed(0)
    model = Transformer(PRESET, VOCABULARY).to(device())
    data = torch.from_numpy(TEXT).to(device()), torch.from_numpy(IMAGE).to(device())
    exact, rounded = (
        pair_losses(model, *data, PRESET, precision).mean().item() for precision in PRECISIONS
    )
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=2 * ROUNDING)


@both
def test_models_are_paired_to_the_bit(precision: Precision) -> None:
    whole = np.ones(len(TEXT), bool)
    fewer = whole.copy()
    fewer[3] = False
    assert same(trained(whole, precision), trained(whole.copy(), precision))
    assert not same(trained(whole, precision), trained(fewer, precision))


@both
def test_a_row_of_a_stack_does_not_depend_on_the_others(precision: Precision) -> None:
    kept = np.ones((3, len(TEXT)), bool)
    kept[1, :8] = kept[2, 5:] = False
    first, turned = (
        train_stacked(TokenData(TEXT, IMAGE, rows, VOCABULARY), PRESET, 3, silent, precision)
        for rows in (kept, kept[::-1])
    )
    states = ([model.state_dict() for model, _ in each] for each in (first, turned[::-1]))
    for ours, theirs in zip(*states, strict=True):
        assert same(ours, theirs)


def test_weights_in_bfloat16_stay_near_those_in_float32() -> None:
    kept = np.ones(len(TEXT), bool)
    exact, rounded = (trained(kept, precision) for precision in PRECISIONS)
    assert not same(exact, rounded)
    # AdamW moves a weight by at most lr a step, whatever the gradient's rounding.
    steps = -(-len(TEXT) // PRESET.batch) * PRESET.epochs
    for name, weight in exact.items():
        assert weight.dtype == torch.float32
        assert float((weight - rounded[name]).abs().max()) <= 2 * 1.1 * steps * PRESET.lr


def test_models_of_another_precision_are_not_taken(catalog: Catalog, tmp_path: Path) -> None:
    exact, rounded = (DalleGenerator(PRESET, 0, precision) for precision in PRECISIONS)
    assert exact.fingerprint(catalog) != rounded.fingerprint(catalog)
    assert exact.shared_key(catalog) != rounded.shared_key(catalog)
    exact.prepare(catalog, tmp_path / "shared", silent)
    with pytest.raises(InputError, match="another data set or recipe"):
        rounded.prepare(catalog, tmp_path / "shared", silent)


class Timed(Generator):
    """A generator that only says how long a training would take in either precision."""

    image_size, noise = (16, 16), Noise("gaussian", (1,))
    asked: list[str]

    def __init__(self, precision: str = "float32", seconds: tuple[float, float] = (1, 1)) -> None:
        self.precision, self.seconds = precision, seconds  # type: ignore[assignment]

    def cost(self, catalog: Catalog) -> Cost:
        self.asked.append(str(self.precision))
        return Cost(self.seconds[PRECISIONS.index(str(self.precision))], 1, "")  # type: ignore[arg-type]

    fit = generate = save = load = None  # type: ignore[assignment]


class OwnWay(Generator):
    """A generator that has no such option."""

    image_size, noise = (16, 16), Noise("gaussian", (1,))
    fit = generate = save = load = None  # type: ignore[assignment]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return a function that has the precision chosen for given seconds in float32, bfloat16."""
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "1")
    Timed.asked = []

    def choose(*seconds: float, known: dict | None = None) -> str:
        return measure_precision("timed", 0, {"seconds": seconds}, known).chosen

    with GENERATORS.temporary(timed=Timed):
        yield choose


def test_auto_takes_bfloat16_where_it_pays(timed: Callable[..., str]) -> None:
    assert timed(2.0, 1.0) == "bfloat16"
    assert timed(1.0, 2.0) == "float32"
    assert timed(1.0, 0.95) == "float32"  # too little to round for


def test_auto_measures_once(timed: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    timed(2.0, 1.0)
    said = capsys.readouterr()
    assert "bfloat16: measured 0.5 pairs/s in float32, 1 pairs/s in bfloat16" in said.out + said.err
    measured = len(Timed.asked)
    assert timed(2.0, 1.0) == "bfloat16"
    assert len(Timed.asked) == measured


def test_a_run_stays_with_what_it_recorded(
    timed: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seconds = {"seconds": (2.0, 1.0)}
    known = measure_precision("timed", 0, seconds).to_dict()
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "another"))
    monkeypatch.setenv(VARIABLE, "0")
    assert measure_precision("timed", 0, seconds, known).chosen == "bfloat16"
    assert measure_precision("timed", 0, {"seconds": (2.0, 1.5)}, known).chosen == "float32"


def test_without_instructions_nothing_is_measured(
    timed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    assert timed(2.0, 1.0) == "float32"
    assert not Timed.asked


def test_a_class_without_the_option_decides_for_itself() -> None:
    with GENERATORS.temporary(own_way=OwnWay):
        assert make_generator("own_way").precision is None
        with pytest.raises(InputError, match="no option 'precision'"):
            make_generator("own_way", precision="bfloat16")

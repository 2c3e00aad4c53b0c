"""The contract of the generators on a GPU, in both precisions, and a bank that is resumed there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.runs import run
from tests.helpers.settings import MICRO
from untrain.core.hardware import PRECISIONS, STEPS, Precision
from untrain.generators.registry import make_generator
from untrain.settings.load import load_config
from untrain.testing import generator_checks


def dalle(precision: Precision):
    return make_generator("dalle", 0, precision, preset="micro", settings={"epochs": 2})


def diffusion(precision: Precision):
    settings = {"epochs": 1, "batch": 8}
    return make_generator("diffusion", 0, precision, preset="diffusion-micro", settings=settings)


CHECKS = {
    f"{make.__name__}-{precision}-{check}": check
    for make in (dalle, diffusion)
    for precision in PRECISIONS
    for check in generator_checks(lambda make=make, precision=precision: make(precision))
}


@pytest.mark.gpu  # tests/testing and tests/generators have them on a CPU
@pytest.mark.parametrize("name", CHECKS)
def test_the_contract(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU, or it is hidden: pytest -m gpu")
    if name.startswith("diffusion"):
        pytest.importorskip("diffusers", reason="needs untrain[diffusion]")
    CHECKS[name]()


@pytest.mark.parametrize("steps", ["eager", "graph"])
def test_a_bank_that_lost_models_gets_the_same_bits_again(
    where: str, steps: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "cpu" and steps == "graph":
        pytest.skip("a CPU has no graphs")
    monkeypatch.setenv(STEPS, steps)
    config = load_config(MICRO, ["workers=1", "generator.settings.epochs=1"], runs=tmp_path)
    folder = run(config, until="retrain").folder
    models = {path.parent: path.read_bytes() for path in folder.glob("models/*/*.safetensors")}
    assert len(models) > 2
    for each in sorted(models)[::2]:
        shutil.rmtree(each)
    run(config, until="retrain")
    found = {path.parent: path.read_bytes() for path in folder.glob("models/*/*.safetensors")}
    assert found == models

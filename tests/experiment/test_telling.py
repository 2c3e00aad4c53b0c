"""What a run says while it works: why, how long, by what; and the pictures that it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from untrain.core.files import read_json, write_json
from untrain.experiment import expected as module
from untrain.experiment.expected import DEMO, PAST, STEPS, expected
from untrain.experiment.pipeline import NAMES
from untrain.experiment.telling import Telling
from untrain.generators.base import Cost
from untrain.generators.dalle.generator import DalleGenerator
from untrain.runs.run import Run, open_run
from untrain.settings.config import Config


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps take ten seconds a model, and the frozen parts five."""
    monkeypatch.setattr(module, "BRIEF", 1)
    monkeypatch.setattr(DalleGenerator, "cost", lambda self, catalog: Cost(10.0, 10, "small"))
    monkeypatch.setattr(DalleGenerator, "prepare_seconds", lambda self, catalog: 5.0)


@pytest.mark.usefixtures("timed")
def test_a_first_run_is_timed_by_steps(config: Callable[..., Config]) -> None:
    found = expected(Run(config("workers=2")), NAMES)
    assert (found["fit"].seconds, found["fit"].source) == (15.0, STEPS)
    assert found["retrain"].seconds == 20.0  # four models, two at a time
    assert found["compare"].source == DEMO
    assert expected(Run(config()), ["rank"]) == {}  # nothing is known of it, and nothing invented


@pytest.mark.usefixtures("timed")
def test_a_run_of_before_knows_better(config: Callable[..., Config]) -> None:
    old = Run(config(name="old"))
    with old.lock():
        old.describe()
        stages = {name: {"state": "done", "seconds": 4.0} for name in NAMES}
        write_json(old.path("run.json"), {**read_json(old.path("run.json")), "stages": stages})
    found = expected(Run(config("design.models=8")), NAMES)
    assert {each.source for each in found.values()} == {PAST}
    assert (found["fit"].seconds, found["retrain"].seconds) == (4.0, 8.0)  # twice the models
    other = expected(Run(config("generator.settings.epochs=2")), NAMES)
    assert other["fit"].source == STEPS


def test_pictures_come_as_files(micro_copy: Callable[[], Path]) -> None:
    run = open_run(micro_copy())
    telling = Telling(run)
    telling.start(NAMES)
    for name in NAMES:
        telling.before(name)
        telling.after(name)
    names = ("catalogue", "model-a", "with-and-without")
    sizes = [Image.open(run.path("pictures", f"{name}.png")).size for name in names]
    assert all(width > 300 for width, _ in sizes)
    run.path("pictures", "model-a.png").unlink()  # as if stopped between the stage and its sheet
    before = run.path("pictures", "with-and-without.png").stat().st_mtime_ns
    for name in NAMES:
        telling.after(name)
    assert run.path("pictures", "model-a.png").exists()
    assert run.path("pictures", "with-and-without.png").stat().st_mtime_ns == before

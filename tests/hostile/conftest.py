"""A folder with pictures and an experiment, to be spoilt, and an end to whatever hangs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain, write_experiment
from tests.helpers.hostile import PATIENCE, Meet, met


@pytest.fixture(autouse=True)
def _nothing_is_waited_for() -> Iterator[None]:
    """Let a test that hangs fail, not wait for ever."""
    signal = pytest.importorskip("signal")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)


@pytest.fixture
def meet(untrain: Untrain, experiment: Path) -> Meet:
    """Return a function that spoils the folder and gives the command of a case."""
    return lambda case: met(untrain, case, experiment.parent)


@pytest.fixture
def file(untrain: Untrain, tmp_path: Path) -> Path:
    """The experiment without its pictures: whether settings are right is told without them."""
    return write_experiment(tmp_path)


@pytest.fixture
def settle(untrain: Untrain, file: Path) -> Meet:
    """Return a function as `meet`, without pictures."""
    return lambda case: met(untrain, case, file.parent)


@pytest.fixture
def here(untrain: Untrain, tmp_path: Path, _photos: Path) -> Path:
    """A folder with one picture, ``photos/000000.png``."""
    (tmp_path / "photos").mkdir()
    shutil.copy(_photos / "000000.png", tmp_path / "photos")
    return tmp_path
